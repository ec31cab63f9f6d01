// Definitions of share_verifiably, for vss.cc and for tests with other rules.
#pragma once

#include <algorithm>
#include <memory>

#include "mpc/vss.h"

namespace witan::mpc {

namespace vss {

using runtime::ok;
using runtime::Task;
using runtime::Work;

/// The run of one party. Kernels own what they read (runtime/task.h, rule 3), so that is shared and constant after R1.
template <Word Z, class Rules>
class Run {
 public:
  Run(SyncRun& run, runtime::Step step, const Secret<std::vector<Gr<Z>>>& secrets)
      : run_(run),
        step_(step),
        shape_{run.committee(), secrets.reveal().size()},
        dealing_(std::make_shared<const Dealing<Z>>(run.committee().threshold(), secrets, run.rng)),
        held_(std::make_shared<Held<Z>>()) {
    for (std::size_t i = 0; i < shape_.parties(); ++i) {
      held_->slices.emplace_back(shape_.committee.threshold(), shape_.secrets);
      for (auto* pads : {&held_->sent, &held_->received})
        pads->emplace_back(std::vector<Gr<Z>>(shape_.parties() * shape_.secrets));
    }
  }

  Task<Result<SharedSecrets<Z>>> run() {
    SharedSecrets<Z> out;
    const runtime::Instant deadline = run_.session.loop().after(run_.private_round());
    co_await ok(co_await send_deals());
    co_await ok(co_await take_deals(deadline, out));

    const std::vector<std::size_t> points_bytes(shape_.parties(), shape_.points_bytes());
    const auto points = co_await ok(co_await broadcast(co_await own_points(), points_bytes));
    const auto conflicts = co_await conflicts_in(points);

    std::vector<std::vector<Share<Z>>> repaired(shape_.parties());  // by dealer; those of this party
    if (!conflicts.empty()) {
      const auto testimonies =
          co_await ok(co_await broadcast(co_await own_testimony(conflicts), testimony_bytes(shape_, conflicts)));
      const auto complaints = co_await ok(co_await complaints_in(conflicts, testimonies));
      if (!complaints.empty()) {
        const auto answers =
            co_await ok(co_await broadcast(co_await own_answer(complaints), answer_bytes(shape_, complaints)));
        repaired = co_await ok(co_await repairs_in(complaints, answers));
      }
    }
    for (const Role dealer : RoleSet::all(shape_.committee)) out.shares.push_back(shares_of(dealer, repaired));
    co_return out;
  }

 private:
  template <class Kernel>
  auto compute(Kernel kernel) {
    return run_.compute(Work::preprocessing, std::move(kernel));
  }

  Task<Status> send_deals() {
    const Role self = run_.self();
    for (const Role peer : RoleSet::others(shape_.committee, self) & run_.active) {
      auto& pads = held_->sent[peer.index()].reveal_mutable();
      const MutableByteView raw(reinterpret_cast<std::uint8_t*>(pads.data()), pads.size() * Gr<Z>::kSizeBytes);
      run_.rng.fill(raw);
      Bytes message = co_await compute([shape = shape_, dealing = dealing_, peer] {
        Bytes out;
        out.reserve(shape.deal_bytes());  // no reallocation: no stale copy
        dealing->slices(peer).append_to(out);
        return out;
      });
      append(message, raw);
      co_await ok(run_.session.send(peer, step_, runtime::make_payload(std::move(message))));
    }
    held_->slices[self.index()] = dealing_->slices(self);
    co_return Status{};
  }

  /// One message of every active peer, or none.
  Task<Status> take_deals(runtime::Instant deadline, SharedSecrets<Z>& out) {
    for (const Role dealer : RoleSet::others(shape_.committee, run_.self()) & run_.active) {
      auto message = co_await run_.session.receive(dealer, step_, deadline);
      if (!message) {
        const Code code = message.error().code;
        if (code != Code::deadline_exceeded && code != Code::unavailable) co_return fail(std::move(message).error());
        out.silent.insert(dealer);
        continue;
      }
      const ByteView bytes = message->bytes();
      if (bytes.size() != shape_.deal_bytes()) {
        out.unusable.insert(dealer);
        continue;
      }
      auto& pads = held_->received[dealer.index()].reveal_mutable();
      std::memcpy(pads.data(), bytes.data() + shape_.slices_bytes(), pads.size() * Gr<Z>::kSizeBytes);
      auto kernel = [shape = shape_, payload = message->payload, self = run_.self()] {
        auto slices = Slices<Z>::decode(shape.committee.threshold(), shape.secrets,
                                        ByteView(*payload).first(shape.slices_bytes()));
        const bool usable = !Rules::check_own_point || slices.meet_at(self);
        return std::pair(std::move(slices), usable);
      };
      auto [slices, usable] = co_await compute(std::move(kernel));
      if (usable)
        held_->slices[dealer.index()] = std::move(slices);
      else
        out.unusable.insert(dealer);
    }
    co_return Status{};
  }

  /// A broadcast of all active parties in which each says as many bytes as expected; who does not is excluded.
  Task<Result<BroadcastOutcome>> broadcast(Bytes own, std::vector<std::size_t> expected) {
    const std::uint32_t number = run_.next_broadcast;
    auto outcome = co_await ok(co_await run_.broadcast_all(std::move(own), std::ranges::max(expected)));
    co_await ok(run_.exclude(misshapen(outcome, run_.active, expected, number)));
    co_return outcome;
  }

  Task<Bytes> own_points() {
    Bytes out;
    out.reserve(shape_.points_bytes());
    for (const Role dealer : RoleSet::all(shape_.committee))
      append(out, co_await compute([shape = shape_, held = held_, self = run_.self(), dealer] {
               return masked_points(shape, self, *held, dealer);
             }));
    co_return out;
  }

  Task<std::vector<Conflict>> conflicts_in(BroadcastOutcome points) {
    std::vector<Conflict> out;
    for (const Role dealer : run_.active)
      std::ranges::copy(co_await compute([shape = shape_, points, active = run_.active, dealer] {
                          return conflicts_of(shape, points, active, dealer);
                        }),
                        std::back_inserter(out));
    co_return out;
  }

  Task<Bytes> own_testimony(std::vector<Conflict> conflicts) {
    Bytes out;
    for (const Conflict& conflict : conflicts)
      if (conflict.witnesses().contains(run_.self()))
        append(out, co_await compute([held = held_, dealing = dealing_, self = run_.self(), conflict] {
                 return testimony(*held, *dealing, self, conflict);
               }));
    co_return out;
  }

  /// Excludes dealers with too many unhappy parties; the complaints about the others.
  Task<Result<std::vector<Complaint>>> complaints_in(std::vector<Conflict> conflicts, BroadcastOutcome testimonies) {
    auto complaints = co_await compute([shape = shape_, conflicts, testimonies, active = run_.active] {
      return complaints_of(shape, conflicts, testimonies, active);
    });
    std::vector<Exclusion> found;
    for (const Complaint& complaint : complaints)
      if (complaint.unhappy.size() > shape_.committee.threshold())
        found.push_back({complaint.dealer, Fault::contradicted, run_.next_broadcast - 1});
    co_await ok(run_.exclude(found));
    std::erase_if(complaints, [this](const Complaint& c) { return !run_.active.contains(c.dealer); });
    co_return complaints;
  }

  Task<Bytes> own_answer(std::vector<Complaint> complaints) {
    Bytes out;
    for (const Complaint& complaint : complaints)
      append(out, co_await compute([held = held_, dealing = dealing_, self = run_.self(), complaint] {
               return answer(*held, *dealing, self, complaint);
             }));
    co_return out;
  }

  /// Excludes dealers that too few support; of the others the shares that this party was told in public, by dealer.
  Task<Result<std::vector<std::vector<Share<Z>>>>> repairs_in(std::vector<Complaint> complaints,
                                                              BroadcastOutcome answers) {
    std::vector<std::vector<Share<Z>>> out(shape_.parties());
    std::vector<Exclusion> found;
    for (std::size_t i = 0; i < complaints.size(); ++i) {
      const Complaint& complaint = complaints[i];
      if (!run_.active.contains(complaint.dealer)) continue;
      auto repaired = co_await compute([shape = shape_, complaints, i, answers, active = run_.active] {
        return repair(shape, complaints, i, answers, active);
      });
      if (repaired.fewest_agreeing < Rules::needed_agreeing(shape_.committee))
        found.push_back({complaint.dealer, Fault::unsupported, run_.next_broadcast - 1});
      std::size_t at = 0;
      for (const Role unhappy : complaint.unhappy) {
        if (unhappy == run_.self()) out[complaint.dealer.index()] = repaired.shares[at];
        ++at;
      }
    }
    co_await ok(run_.exclude(found));
    co_return out;
  }

  Secret<std::vector<Share<Z>>> shares_of(Role dealer, const std::vector<std::vector<Share<Z>>>& repaired) const {
    std::vector<Share<Z>> out(shape_.secrets);
    if (run_.active.contains(dealer)) {
      const Slices<Z>& slices = held_->slices[dealer.index()];
      for (std::size_t k = 0; k < shape_.secrets; ++k)
        out[k] = repaired[dealer.index()].empty() ? slices.share(k) : repaired[dealer.index()][k];
    }
    return Secret(std::move(out));
  }

  SyncRun& run_;
  const runtime::Step step_;
  const Shape<Z> shape_;
  std::shared_ptr<const Dealing<Z>> dealing_;
  std::shared_ptr<Held<Z>> held_;
};

}  // namespace vss

template <Word Z, class Rules>
runtime::Task<Result<SharedSecrets<Z>>> share_verifiably_with(SyncRun& run, runtime::Step step,
                                                              Secret<std::vector<Gr<Z>>> secrets) {
  vss::Run<Z, Rules> party(run, step, secrets);
  co_return co_await party.run();
}

}  // namespace witan::mpc
