// Attempts of synchronous protocols in the journal (mpc.md 5.2): a session of an attempt is opened in one life of the node only.
// Table "attempts": kind(1) || id(32) -> the highest attempt used(2, little endian); for ever.
#pragma once

#include "crypto/ids.h"
#include "runtime/journal.h"

namespace witan::node {

/// Above all that were recorded. Error: data_loss.
Result<std::uint16_t> next_attempt(const runtime::Journal& journal, const ByteArray<32>& id, crypto::SessionKind kind);

/// Before the first message of the attempt. Errors: those of the journal; internal (it is not above all that were recorded).
runtime::Task<Status> record_attempt(runtime::Journal& journal, ByteArray<32> id, crypto::SessionKind kind,
                                     std::uint16_t attempt);

}  // namespace witan::node
