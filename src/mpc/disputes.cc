#include "mpc/disputes.h"

#include <fmt/format.h>

namespace witan::mpc {

Disputes::Disputes(CommitteeSize committee)
    : committee_(committee),
      active_(runtime::RoleSet::all(committee)),
      disputed_with_(static_cast<std::size_t>(committee.parties())) {}

runtime::RoleSet Disputes::partners(Role j) const {
  return active_ - disputed_with_[j.index()];
}

const Verdict* Disputes::exclusion(Role party) const {
  for (const Verdict& verdict : verdicts_)
    if (verdict.kind != Verdict::Kind::disputed && verdict.party == party) return &verdict;
  return nullptr;
}

void Disputes::exclude(Role party, std::string reason, Verdict::Kind kind) {
  if (!active_.contains(party)) return;
  active_.erase(party);
  if (kind == Verdict::Kind::excluded) convicted_.insert(party);
  verdicts_.push_back({kind, party, party, std::move(reason)});
}

void Disputes::dispute(Role party, Role other, std::string reason) {
  if (party == other || disputed_with_[party.index()].contains(other)) return;
  disputed_with_[party.index()].insert(other);
  disputed_with_[other.index()].insert(party);
  verdicts_.push_back({Verdict::Kind::disputed, party, other, std::move(reason)});
  for (const Role role : {party, other})
    if (disputed_with_[role.index()].size() > committee_.threshold())
      exclude(role, fmt::format("it is in dispute with {} parties", disputed_with_[role.index()].size()),
              Verdict::Kind::missing);
}

Status Disputes::check() const {
  if (excluded().size() <= committee_.threshold()) return {};
  std::string reasons;
  for (const Verdict& verdict : verdicts_)
    if (verdict.kind != Verdict::Kind::disputed)
      reasons += fmt::format("{}party {}: {}", reasons.empty() ? "" : "; ", verdict.party.number(), verdict.reason);
  return fail(Code::aborted, "aborted: {} of {} parties are excluded, at most {} may be: {}", excluded().size(),
              committee_.parties(), committee_.threshold(), reasons);
}

}  // namespace witan::mpc
