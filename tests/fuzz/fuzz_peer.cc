// A peer that lies as the input says, in whole runs of synchronous protocols between four parties in the simulator: every reader of what
// peers send, and all that follows from what was read. Three honest parties end, agree, and convict nobody of themselves.
//
//   protocol(1), life(1), then lies: skip(1), receivers(1), how(1), length(1), that many bytes
//
// Steps are counted as the liar speaks in them; `skip` of them pass before the next lie, which all receivers in the set hear.
#include "fuzz/fuzz.h"
#include "mpc/common_start.h"
#include "mpc/draw_keys_for_test.h"
#include "mpc/set_up.h"
#include "protocols/preprocessing_impl.h"

namespace witan::fuzz {
namespace {

using namespace std::chrono_literals;
using runtime::Frame;
using runtime::RoleSet;
using runtime::sim::Node;
using runtime::sim::World;

const Role kLiar(4);
constexpr runtime::Duration kRoundTimeout = 2s;
constexpr std::size_t kMostLies = 64;

const CommitteeSize& committee() {
  static const auto value = CommitteeSize::make(4, 1).value();
  return value;
}
const mpc::test::DealtEpoch& dealt() {
  static const mpc::test::DealtEpoch epoch(committee(), 3);
  return epoch;
}

enum class How : std::uint8_t { say, overwrite, flip, shorten, lengthen, nothing, count };

struct Lie {
  std::size_t step = 0;  // by first appearance
  RoleSet receivers;
  How how = How::say;
  Bytes bytes;
};

std::vector<Lie> lies_of(Reader& in) {
  std::vector<Lie> out;
  std::size_t step = 0;
  while (in.remaining() > 0 && out.size() < kMostLies) {
    Lie lie;
    lie.step = step += in.u8();
    const std::uint8_t receivers = in.u8();
    for (int i = 1; i <= committee().parties(); ++i)
      if (receivers >> (i - 1) & 1) lie.receivers.insert(Role(i));
    lie.how = static_cast<How>(in.u8() % static_cast<std::uint8_t>(How::count));
    const ByteView bytes = in.raw(std::min<std::uint64_t>(in.u8(), in.remaining()));
    lie.bytes.assign(bytes.begin(), bytes.end());
    if (in.failed()) break;
    out.push_back(std::move(lie));
  }
  return out;
}

/// False: nothing is sent.
bool tell(const Lie& lie, Bytes& payload) {
  const std::size_t at = lie.bytes.empty() ? 0 : lie.bytes[0];
  const auto change = [&](auto&& operation) {
    for (std::size_t i = 1; i < lie.bytes.size() && at + i - 1 < payload.size(); ++i)
      payload[at + i - 1] = operation(payload[at + i - 1], lie.bytes[i]);
  };
  switch (lie.how) {
    case How::say:
      payload = lie.bytes;
      break;
    case How::overwrite:
      change([](std::uint8_t, std::uint8_t said) { return said; });
      break;
    case How::flip:
      change([](std::uint8_t old, std::uint8_t said) { return static_cast<std::uint8_t>(old ^ said); });
      break;
    case How::shorten:
      payload.resize(payload.size() - std::min(payload.size(), at + 1));
      break;
    case How::lengthen:
      append(payload, lie.bytes);
      break;
    case How::nothing:
    case How::count:
      return false;
  }
  return true;
}

runtime::sim::Corrupt telling(std::vector<Lie> lies) {
  auto steps = std::make_shared<std::map<std::pair<SessionId, runtime::Step>, std::size_t>>();
  return [lies = std::move(lies), steps](Role receiver, const Frame& frame) -> std::vector<Frame> {
    if (frame.kind != runtime::FrameKind::data) return {frame};
    const std::size_t step = steps->try_emplace({frame.session, frame.step}, steps->size()).first->second;
    Bytes payload = frame.payload ? *frame.payload : Bytes{};
    bool changed = false;
    for (const Lie& lie : lies) {
      if (lie.step != step || !lie.receivers.contains(receiver)) continue;
      if (!tell(lie, payload)) return {};
      changed = true;
    }
    if (!changed) return {frame};
    Frame out = frame;
    out.payload = runtime::make_payload(std::move(payload));
    return {out};
  };
}

// ---- The keys of an epoch (mpc/common_start.h, mpc/set_up.h).

void set_up(World& world, std::map<int, Result<mpc::EpochKeys>>& ended) {
  for (const Role role : RoleSet::all(committee()))
    world.set_program(role, [&ended](Node& node) -> runtime::Task<void> {
      if (node.life() > 0) co_return;
      auto start =
          node.router().open(mpc::start_session({9}, crypto::SessionKind::epoch_setup), mpc::start_session_options());
      WITAN_CHECK(start.has_value());
      mpc::CommonStart common(*start, kRoundTimeout, 0,
                              [](std::uint16_t) -> runtime::Task<Status> { co_return Status{}; });
      for (;;) {
        const auto attempt = co_await common.start();
        if (!attempt) {
          ended.insert_or_assign(node.role().number(), std::unexpected(attempt.error()));
          break;
        }
        auto session = node.router().open(SessionId{u128{77} + *attempt}, mpc::set_up_session(committee()));
        WITAN_CHECK(session.has_value());
        const auto signatories = dealt().signatories(node.role());
        mpc::EpochSetUp run(*session, node.compute(), signatories, node.rng(), kRoundTimeout);
        auto keys = co_await run.run();
        const bool good = keys.has_value();
        ended.insert_or_assign(node.role().number(), std::move(keys));
        if (!good) continue;
        static_cast<void>(common.done());
        break;
      }
      co_await node.loop().sleep_for(300s);  // stay to answer
    });
}

void check_set_up(const World& world, const std::map<int, Result<mpc::EpochKeys>>& ended) {
  std::map<std::pair<bool, mpc::PartySet>, mpc::SetKey> keys;
  for (const Role role : RoleSet::all(committee()) - world.byzantine()) {
    const auto found = ended.find(role.number());
    WITAN_CHECK(found != ended.end() && found->second.has_value());
    const auto& own = *found->second;
    for (std::size_t i = 0; i < own.set_keys().size(); ++i)
      WITAN_CHECK(keys.emplace(std::pair(true, own.set_keys().sets()[i]), own.set_keys().key(i)).first->second ==
                  own.set_keys().key(i));
    for (std::size_t i = 0; i < own.zero_keys().size(); ++i)
      WITAN_CHECK(keys.emplace(std::pair(false, own.zero_keys().sets()[i]), own.zero_keys().key(i)).first->second ==
                  own.zero_keys().key(i));
  }
}

// ---- Preprocessing (protocols/preprocessing.h, attempts.h; mpc/detected_opening.h, calls.h).

/// What is made is judged by the tests of preprocessing; here its name tells whether parties have the same.
class Nowhere final : public protocols::MaterialStore {
 public:
  runtime::Task<Status> put(std::size_t, std::uint64_t, SessionId, Secret<Bytes>) override { co_return Status{}; }
  runtime::Task<Status> drop(std::size_t, protocols::UnitRange) override { co_return Status{}; }
};

struct Made {
  Status status = fail(Code::unavailable, "did not end");
  crypto::Digest content{};
  std::vector<mpc::Verdict> verdicts;
};

void preprocess(World& world, std::map<int, Made>& made) {
  static const protocols::MaterialPlan plan = {
      {.kind = protocols::MaterialOrder::Kind::bits, .word_bits = 128, .count = 38},
      {.kind = protocols::MaterialOrder::Kind::noises, .word_bits = 64, .count = 20, .bound_log2 = 3},
      {.kind = protocols::MaterialOrder::Kind::slice, .word_bits = 128, .inputs = 3, .outputs = 4}};
  for (const Role role : RoleSet::all(committee()))
    world.set_program(role, [&made](Node& node) -> runtime::Task<void> {
      Nowhere store;
      const auto signatories = dealt().signatories(node.role());
      made[node.role().number()] = {};
      protocols::Preprocessing run(
          {node.router(), node.journal(), node.compute(), dealt().keys(node.role()), signatories, default_epoch_id()},
          PreprocId(ByteArray<32>{9}), 0, plan, store,
          {.variant = mpc::variant_for(committee()), .batch_elements = 25, .chunk_rows = 4, .delay = 700ms});
      Made& own = made[node.role().number()];
      own.status = co_await run.run();
      own.content = run.content();
      own.verdicts = run.disputes().verdicts();
      co_await node.loop().sleep_for(300s);
    });
}

void check_preprocessing(const World& world, const std::map<int, Made>& made, bool all_succeed) {
  const RoleSet honest = RoleSet::all(committee()) - world.byzantine();
  const Made* first = nullptr;
  for (const Role role : honest) {
    const Made& own = made.at(role.number());
    WITAN_CHECK(own.status.has_value() || !all_succeed);
    for (const mpc::Verdict& verdict : own.verdicts)
      WITAN_CHECK(!all_succeed || !honest.contains(verdict.party) || !honest.contains(verdict.other));
    if (!own.status) continue;
    WITAN_CHECK(first == nullptr || own.content == first->content);
    first = &own;
  }
}

}  // namespace

void fuzz_one(ByteView input) {
  Reader in(input);
  const std::uint8_t protocol = in.u8(), life = in.u8();
  if (in.failed()) return;
  World world({.seed = 7, .committee = committee(), .router = {}}, {});
  auto& faults = world.faults(kLiar);
  faults.byzantine = true;
  std::map<int, Result<mpc::EpochKeys>> keys;
  std::map<int, Made> made;
  if (protocol % 2 == 0) {
    set_up(world, keys);
  } else {
    preprocess(world, made);
    // A party that comes back makes the others call for another attempt; two parties are then faulty, or late.
    if (life > 0) world.faults(Role(1)).crashes = {{std::uint64_t{life} * 8, 1s}};
  }
  faults.corrupt = telling(lies_of(in));
  world.run(300'000s);
  WITAN_CHECK(world.audit().verdict().has_value());
  if (protocol % 2 == 0)
    check_set_up(world, keys);
  else
    check_preprocessing(world, made, life == 0);
}

}  // namespace witan::fuzz
