// PartialKeyGenPreproc (service.md 5.8): a part of the offline phase of a key generation, to measure it without waiting for all of it.
//
//   percentage_offline         so many percent of the units of every kind of bits and noises are made by protocol W, like those of a real
//                              preprocessing, and of the slices of products; the first ones of each
//   store_dummy_preprocessing  the other units become constants that everybody can compute: key bits and noises from a hash. Slices are made
//                              all, since nobody knows the factors that a dummy would have to multiply
//
// With dummies, or 100 percent, KeyGen takes the preprocessing; its key counts as dealt, and witan-node uses neither. Otherwise what was made
// is erased at the end, and KeyGen refuses it.
#pragma once

#include "node/core.h"
#include "protocols/preprocessing.h"

namespace witan::insecure {

/// What of a plan is made in earnest.
struct PartialPlan {
  protocols::MaterialPlan made;
  std::vector<std::size_t> of;  // made[i] is the beginning of order of[i] of the whole plan
};
/// Precondition (checked): at most 100 percent.
PartialPlan partial_plan(const protocols::MaterialPlan& whole, unsigned percent, bool dummies);

/// Units first .. first + count - 1 of an order of bits or noises that everybody can compute, as a party stores them: the value itself is the
/// share of every party. Equal for equal ids. Precondition (checked): not a slice.
Bytes dummy_units(const protocols::MaterialOrder& order, std::size_t number, const PreprocId& id, std::uint64_t first,
                  std::uint64_t count);

/// PartialKeyGenPreproc. Its result comes by GetKeyGenPreprocResult. Errors: those of KeyGenPreproc; invalid_argument (a part of the request is
/// missing, more than 100 percent); unimplemented (UseExisting).
api::ExtraMethods partial_preprocessing_methods(node::Core& core);

}  // namespace witan::insecure
