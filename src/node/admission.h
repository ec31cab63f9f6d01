// Which decryptions a node takes on when it has more than it can do at once. Loop thread only.
//
// There are two bounds, as work differs by three orders of magnitude: decryptions, one as good as the other, and blocks that are to be
// squashed for Small formats (default parameters: 0.13 s of a core each). Each is an Admission; a request weighs what it has of it.
//
// A decryption is answered only if n - t nodes take it on, so nodes that refuse at random waste what the others accept. Here all
// nodes prefer the same requests: with L at once as the limit and on average (over the last half second) from L/4 on, a growing
// part of the ids is refused, by a hash. What t + 1 peers have begun already, so an honest one among them, is taken on up to the limit;
// what fewer have begun, a little beyond what the hash says: nodes are not equally busy, and one of them alone answers nobody.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/ids.h"
#include "crypto/hash.h"
#include "crypto/separators.h"
#include "node/permit.h"
#include "runtime/clock.h"
#include "runtime/role_set.h"

namespace witan::node {

class Admission {
 public:
  using Permit = node::Permit<Admission>;

  /// `what`: the name of what is limited, for messages. `on_load` is told when a dozen are being worked on over the last half second,
  /// and when that is over (at the latest by the next request).
  Admission(const char* what, std::uint32_t limit, int threshold, const runtime::Clock& clock,
            std::function<void(bool under_load)> on_load = {})
      : what_(what),
        limit_(limit),
        threshold_(threshold),
        clock_(clock),
        on_load_(std::move(on_load)),
        updated_(clock.now()) {}

  /// `begun`: peers that have sent their shares for it. Errors: resource_exhausted, invalid_argument (more than the limit).
  Result<Permit> take(const RequestId& id, runtime::RoleSet begun, std::uint64_t weight = 1) {
    if (weight > limit_)
      return fail(Code::invalid_argument, "the request has {} {}, this node works on at most {}; split it", weight,
                  what_, limit_);
    update();
    const bool admitted =
        in_use_ + weight <= limit_ &&
        (begun.size() > threshold_ || std::min(static_cast<double>(in_use_), average_) <= 0.25 * limit_ ||
         average_ < (place_of(id) + kBegunAlready * begun.size() / (threshold_ + 1)) * limit_);
    if (!admitted)
      return fail(Code::resource_exhausted,
                  "the node is busy: it works on {} {}, at most on {}, the request has {}; try again later", in_use_,
                  what_, limit_, weight);
    return take_anyway(weight);
  }
  /// For what was accepted before a restart.
  Permit take_anyway(std::uint64_t weight = 1) {
    update();
    in_use_ += weight;
    return Permit(*this, weight);
  }
  std::uint64_t in_use() const { return in_use_; }

 private:
  friend Permit;
  void give_back(std::uint64_t count) {
    update();
    in_use_ -= count;
  }

  /// Up to which part of the limit the request is taken on, 1/4 to 1: the same on all nodes.
  static double place_of(const RequestId& id) {
    const crypto::Digest hash = crypto::tagged_hash(crypto::separators::kAdmission, id.view());
    return 0.25 + 0.75 * std::ldexp(static_cast<double>(load_le<std::uint32_t>(hash.data())), -32);
  }

  /// Before in_use_ changes or the average is looked at.
  void update() {
    const std::chrono::duration<double> passed = clock_.now() - std::exchange(updated_, clock_.now());
    average_ += (static_cast<double>(in_use_) - average_) * -std::expm1(-passed.count() / kSeconds);
    if (under_load_ ? average_ > kCalm : average_ < kLoad) return;
    under_load_ = !under_load_;
    if (on_load_) on_load_(under_load_);
  }

  static constexpr double kSeconds = 0.5, kLoad = 12, kCalm = 6;
  static constexpr double kBegunAlready = 0.5;  // of the limit, if t + 1 peers had
  const char* what_;
  std::uint32_t limit_;
  int threshold_;
  const runtime::Clock& clock_;
  std::function<void(bool)> on_load_;
  runtime::Instant updated_;
  bool under_load_ = false;
  double average_ = 0;
  std::uint64_t in_use_ = 0;
};

}  // namespace witan::node
