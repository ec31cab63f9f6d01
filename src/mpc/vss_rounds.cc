#include "mpc/vss_rounds.h"

#include <algorithm>

namespace witan::mpc::vss {
namespace {

template <Word Z>
void append_element(Bytes& out, const Gr<Z>& element) {
  out.resize(out.size() + Gr<Z>::kSizeBytes);
  element.encode(out.data() + out.size() - Gr<Z>::kSizeBytes);
}

/// One block: of each secret what `value` says.
template <Word Z, class Value>
void append_block(Bytes& out, std::size_t secrets, Value&& value) {
  for (std::size_t k = 0; k < secrets; ++k) append_element<Z>(out, value(k));
}

/// Position of the two blocks about `other` in the points of `self` about one dealer.
std::size_t position(Role self, Role other) {
  return other.index() - (other > self ? 1 : 0);
}

/// a_ij (which = 0) or b_ij (1), i = self and j = other.
template <Word Z>
ByteView point_block(const Shape<Z>& shape, const BroadcastOutcome& points, Role dealer, Role self, Role other,
                     std::size_t which) {
  const std::size_t block = (dealer.index() * (shape.parties() - 1) + position(self, other)) * 2 + which;
  return ByteView(*points[self.index()]).subspan(block * shape.block_bytes(), shape.block_bytes());
}

/// Reads the messages of all parties side by side.
class SideBySide {
 public:
  explicit SideBySide(const BroadcastOutcome& outcome) : outcome_(outcome), at_(outcome.size()) {}
  ByteView next(Role role, std::size_t size_bytes) {
    std::size_t& at = at_[role.index()];
    at += size_bytes;
    return ByteView(*outcome_[role.index()]).subspan(at - size_bytes, size_bytes);
  }

 private:
  const BroadcastOutcome& outcome_;
  std::vector<std::size_t> at_;
};

/// Of one party's answer to one complaint.
template <Word Z>
std::size_t answer_bytes_of(const Shape<Z>& shape, const Complaint& complaint, Role role) {
  const auto blocks = static_cast<std::size_t>(complaint.unhappy.size()) * shape.block_bytes();
  if (role == complaint.dealer) return (static_cast<std::size_t>(shape.committee.threshold()) + 1) * blocks;
  return complaint.unhappy.contains(role) ? 0 : blocks;
}

}  // namespace

template <Word Z>
Bytes masked_points(const Shape<Z>& shape, Role self, const Held<Z>& held, Role dealer) {
  Bytes out;
  out.reserve((shape.parties() - 1) * 2 * shape.block_bytes());
  const Slices<Z>& slices = held.slices[dealer.index()];
  for (const Role other : RoleSet::others(shape.committee, self)) {
    const std::size_t first = dealer.index() * shape.secrets;
    const auto pads = [first](const typename Held<Z>::Pads& all) { return all.reveal().data() + first; };
    append_block<Z>(out, shape.secrets,
                    [&, pad = pads(held.sent[other.index()])](std::size_t k) { return slices.f(k, other) + pad[k]; });
    append_block<Z>(out, shape.secrets, [&, pad = pads(held.received[other.index()])](std::size_t k) {
      return slices.g(k, other) + pad[k];
    });
  }
  return out;
}

template <Word Z>
std::vector<Conflict> conflicts_of(const Shape<Z>& shape, const BroadcastOutcome& points, RoleSet active, Role dealer) {
  std::vector<Conflict> out;
  for (const Role row : active)
    for (const Role column : active)
      if (row != column && !std::ranges::equal(point_block(shape, points, dealer, row, column, 0),
                                               point_block(shape, points, dealer, column, row, 1)))
        out.push_back({dealer, row, column});
  return out;
}

template <Word Z>
Bytes testimony(const Held<Z>& held, const Dealing<Z>& own, Role self, const Conflict& conflict) {
  Bytes out;
  if (self == conflict.dealer) {
    const Slices<Z> row = own.slices(conflict.row);
    append_block<Z>(out, row.count(), [&](std::size_t k) { return row.f(k, conflict.column); });
  } else {
    const Slices<Z>& slices = held.slices[conflict.dealer.index()];
    append_block<Z>(out, slices.count(), [&](std::size_t k) {
      return self == conflict.row ? slices.f(k, conflict.column) : slices.g(k, conflict.row);
    });
  }
  return out;
}

template <Word Z>
std::vector<std::size_t> testimony_bytes(const Shape<Z>& shape, std::span<const Conflict> conflicts) {
  std::vector<std::size_t> out(shape.parties());
  for (const Conflict& conflict : conflicts)
    for (const Role role : conflict.witnesses()) out[role.index()] += shape.block_bytes();
  return out;
}

template <Word Z>
std::vector<Complaint> complaints_of(const Shape<Z>& shape, std::span<const Conflict> conflicts,
                                     const BroadcastOutcome& testimonies, RoleSet active) {
  const Bytes zero(shape.block_bytes());
  std::vector<RoleSet> unhappy(shape.parties());
  SideBySide blocks(testimonies);
  for (const Conflict& conflict : conflicts) {
    std::vector<ByteView> said(shape.parties(), ByteView(zero));
    for (const Role role : conflict.witnesses() & active) said[role.index()] = blocks.next(role, shape.block_bytes());
    for (const Role role : {conflict.row, conflict.column})
      if (!std::ranges::equal(said[role.index()], said[conflict.dealer.index()]))
        unhappy[conflict.dealer.index()].insert(role);
  }
  std::vector<Complaint> out;
  for (const Role dealer : active)
    if (!unhappy[dealer.index()].empty()) out.push_back({dealer, unhappy[dealer.index()]});
  return out;
}

template <Word Z>
Bytes answer(const Held<Z>& held, const Dealing<Z>& own, Role self, const Complaint& complaint) {
  Bytes out;
  for (const Role unhappy : complaint.unhappy) {
    if (self == complaint.dealer)
      own.slices(unhappy).append_f_to(out);
    else if (!complaint.unhappy.contains(self))
      append_block<Z>(out, own.count(),
                      [&](std::size_t k) { return held.slices[complaint.dealer.index()].g(k, unhappy); });
  }
  return out;
}

template <Word Z>
std::vector<std::size_t> answer_bytes(const Shape<Z>& shape, std::span<const Complaint> complaints) {
  std::vector<std::size_t> out(shape.parties());
  for (const Complaint& complaint : complaints)
    for (const Role role : RoleSet::all(shape.committee)) out[role.index()] += answer_bytes_of(shape, complaint, role);
  return out;
}

template <Word Z>
Repair<Z> repair(const Shape<Z>& shape, std::span<const Complaint> complaints, std::size_t which,
                 const BroadcastOutcome& answers, RoleSet active) {
  const Complaint& complaint = complaints[which];
  SideBySide messages(answers);
  for (const Complaint& earlier : complaints.first(which))
    for (const Role role : active) messages.next(role, answer_bytes_of(shape, earlier, role));

  const std::size_t width = static_cast<std::size_t>(shape.committee.threshold()) + 1;
  Repair<Z> out;
  out.fewest_agreeing = shape.committee.parties();
  for (int i = 0; i < complaint.unhappy.size(); ++i) {
    const ByteView dealt = messages.next(complaint.dealer, width * shape.block_bytes());
    std::vector<Gr<Z>> f(width * shape.secrets);
    if (!dealt.empty()) std::memcpy(f.data(), dealt.data(), dealt.size());
    int agreeing = 1;  // the dealer
    for (const Role witness : active - complaint.unhappy - RoleSet{complaint.dealer}) {
      const ByteView said = messages.next(witness, shape.block_bytes());
      bool agrees = true;
      for (std::size_t k = 0; agrees && k < shape.secrets; ++k)
        agrees = algebra::evaluate<Z>(std::span(f).subspan(k * width, width), algebra::evaluation_point<Z>(witness)) ==
                 Gr<Z>::decode(said.data() + k * Gr<Z>::kSizeBytes);
      agreeing += agrees;
    }
    out.fewest_agreeing = std::min(out.fewest_agreeing, agreeing);
    std::vector<Share<Z>> shares;
    for (std::size_t k = 0; k < shape.secrets; ++k) shares.push_back({f[k * width]});
    out.shares.push_back(std::move(shares));
  }
  return out;
}

std::vector<Exclusion> misshapen(const BroadcastOutcome& outcome, RoleSet active, std::span<const std::size_t> expected,
                                 std::uint32_t broadcast) {
  std::vector<Exclusion> out;
  for (const Role role : active) {
    const runtime::Payload& message = outcome[role.index()];
    if (!message)
      out.push_back({role, Fault::no_broadcast, broadcast});
    else if (message->size() != expected[role.index()])
      out.push_back({role, Fault::malformed, broadcast});
  }
  return out;
}

#define WITAN_INSTANTIATE(Z)                                                                                         \
  template Bytes masked_points(const Shape<Z>&, Role, const Held<Z>&, Role);                                         \
  template std::vector<Conflict> conflicts_of(const Shape<Z>&, const BroadcastOutcome&, RoleSet, Role);              \
  template Bytes testimony(const Held<Z>&, const Dealing<Z>&, Role, const Conflict&);                                \
  template std::vector<std::size_t> testimony_bytes(const Shape<Z>&, std::span<const Conflict>);                     \
  template std::vector<Complaint> complaints_of(const Shape<Z>&, std::span<const Conflict>, const BroadcastOutcome&, \
                                                RoleSet);                                                            \
  template Bytes answer(const Held<Z>&, const Dealing<Z>&, Role, const Complaint&);                                  \
  template std::vector<std::size_t> answer_bytes(const Shape<Z>&, std::span<const Complaint>);                       \
  template Repair<Z> repair(const Shape<Z>&, std::span<const Complaint>, std::size_t, const BroadcastOutcome&, RoleSet);
WITAN_INSTANTIATE(Z64)
WITAN_INSTANTIATE(Z128)
#undef WITAN_INSTANTIATE

}  // namespace witan::mpc::vss
