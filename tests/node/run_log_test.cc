// What the log says of a run: of a later attempt no less than of the first one.
#include "node/run_log.h"

#include "node/node_testing.h"

namespace witan::node {
namespace {

using mpc::Verdict;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> texts(const std::vector<RunLog::Line>& lines) {
  std::vector<std::string> out;
  for (const RunLog::Line& line : lines) out.push_back(line.text);
  return out;
}

TEST(RunLog, SaysEachTenthOnce) {
  RunLog log("key 1");
  RunState state{.stage = "online", .pace = {.done = 0, .total = 100}};
  EXPECT_THAT(texts(log.news(state)), IsEmpty());
  state.pace = {.done = 25, .total = 100, .per_second = 12.5};
  EXPECT_THAT(texts(log.news(state)), ElementsAre("key 1: online 20 %, 25 of 100 elements, 12 elements/s, 6 s left"));
  EXPECT_THAT(texts(log.news(state)), IsEmpty());
  state.pace.done = 100;
  EXPECT_THAT(texts(log.news(state)), ElementsAre(HasSubstr("100 %")));
  EXPECT_THAT(texts(log.news({})), IsEmpty()) << "nothing of nothing";
}

TEST(RunLog, SaysNoRateThatIsNotKnown) {
  EXPECT_THAT(texts(RunLog("key 1").news({.stage = "online", .pace = {.done = 25, .total = 100, .seconds = 2}})),
              ElementsAre("key 1: online 20 %, 25 of 100 elements"));
}

TEST(RunLog, SaysEachVerdictOnce) {
  RunLog log("preprocessing 1");
  std::vector<Verdict> verdicts{{Verdict::Kind::missing, Role(3), Role(3), "it was silent"}};
  EXPECT_THAT(texts(log.news({.verdicts = verdicts})),
              ElementsAre("preprocessing 1: party 3 takes no part: it was silent"));
  EXPECT_THAT(texts(log.news({.verdicts = verdicts})), IsEmpty());
  verdicts.push_back({Verdict::Kind::excluded, Role(1), Role(1), "it lied"});
  verdicts.push_back({Verdict::Kind::disputed, Role(2), Role(4), "either lies"});
  EXPECT_THAT(
      texts(log.news({.verdicts = verdicts})),
      ElementsAre(HasSubstr("party 1 is excluded: it lied"), HasSubstr("parties 2 and 4 are in dispute: either lies")));
}

// An attempt begins with fewer elements and its own verdicts: those are as new as the first ones.
TEST(RunLog, BeginsAgainWithEveryAttempt) {
  RunLog log("preprocessing 1");
  const std::vector<Verdict> first{{Verdict::Kind::missing, Role(3), Role(3), "it was silent"},
                                   {Verdict::Kind::excluded, Role(2), Role(2), "it lied"}};
  log.news({.stage = "preprocessing", .pace = {.done = 80, .total = 100}, .verdicts = first});
  const std::vector<Verdict> second{{Verdict::Kind::excluded, Role(2), Role(2), "it was convicted"}};
  RunState state{.attempt = 1, .stage = "preprocessing", .pace = {.done = 30, .total = 100}, .verdicts = second};
  EXPECT_THAT(texts(log.news(state)), ElementsAre("preprocessing 1: attempt 1 has begun with 30 of 100 elements",
                                                  HasSubstr("party 2 is excluded: it was convicted")));
  state.pace.done = 45;
  EXPECT_THAT(texts(log.news(state)), ElementsAre(HasSubstr("40 %")));
  state.attempt = 2;
  state.verdicts = first;
  EXPECT_THAT(texts(log.news(state)),
              ElementsAre(HasSubstr("attempt 2 has begun"), HasSubstr("it was silent"), HasSubstr("it lied")));
}

}  // namespace
}  // namespace witan::node
