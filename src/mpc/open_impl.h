// Definitions of RobustOpening, for the instantiations in open.cc and those of tests with other rules.
#pragma once

#include <algorithm>
#include <utility>

#include "mpc/open.h"

namespace witan::mpc {

/// Shares (values times parties) that are checked and opened on the loop's own thread.
inline constexpr std::size_t kSmallOpening = 512;

template <Word Z, class Rules>
RobustOpening<Z, Rules>::RobustOpening(runtime::Session& session, runtime::Compute& compute, runtime::Step step,
                                       Bytes header, std::vector<Share<Z>> own, runtime::Work work)
    : session_(session), compute_(compute), step_(step), work_(work), header_(std::move(header)) {
  std::vector<Gr<Z>> word;
  word.reserve(own.size());
  for (const Share<Z>& share : own) word.push_back(share.value);
  roles_.push_back(session.self());
  words_.push_back(std::make_shared<const std::vector<Gr<Z>>>(std::move(word)));
}

template <Word Z, class Rules>
void RobustOpening<Z, Rules>::take(const runtime::Message& message) {
  const std::size_t rows = words_.front()->size();
  const std::size_t expected = header_.size() + rows * Gr<Z>::kSizeBytes;
  const ByteView bytes = message.bytes();
  if (bytes.size() < header_.size() || !std::ranges::equal(bytes.first(header_.size()), header_))
    other_.insert(message.from);
  if (!Rules::fits(bytes.size(), expected)) {
    malformed_.insert(message.from);
    return;
  }
  std::vector<Gr<Z>> word(rows);
  const ByteView body = bytes.size() > header_.size() ? bytes.subspan(header_.size()) : ByteView{};
  std::memcpy(word.data(), body.data(), std::min(body.size(), rows * Gr<Z>::kSizeBytes));
  roles_.push_back(message.from);
  words_.push_back(std::make_shared<const std::vector<Gr<Z>>>(std::move(word)));
}

template <Word Z, class Rules>
runtime::Task<Result<std::vector<Gr<Z>>>> RobustOpening<Z, Rules>::accept(runtime::Instant deadline) {
  const CommitteeSize committee = session_.committee();
  WITAN_CHECK(!accepted_);
  bool first = true;
  for (;;) {
    if (roles_.size() >= Rules::needed(committee)) {
      auto attempt = [committee, roles = roles_, words = words_] {
        std::vector<std::span<const Gr<Z>>> views;
        for (const Words& word : words) views.emplace_back(*word);
        return algebra::open_batch_with<Z>(committee, roles, views, Rules::needed(committee));
      };
      // A few microseconds are less than the way to another thread and back. Once: what comes after has liars to be found.
      const bool small = std::exchange(first, false) && words_.front()->size() * roles_.size() <= kSmallOpening;
      auto opened = small ? attempt() : co_await compute_(work_, std::move(attempt));
      if (opened) {
        for (const Role role : opened->agreed) agreed_.insert(role);
        for (const Role role : opened->wrong) wrong_.insert(role);
        accepted_ = true;
        co_return std::move(opened->values);
      }
    }
    auto message = co_await session_.next(step_, deadline);
    if (!message) {
      const Code code = message.error().code;
      if (code == Code::deadline_exceeded)
        co_return fail(Code::deadline_exceeded, "no {} parties agreed in time: {}", Rules::needed(committee),
                       describe());
      if (code == Code::out_of_range || code == Code::unavailable)
        co_return fail(Code::aborted, "aborted: no {} parties agree and no more messages can come: {}",
                       Rules::needed(committee), describe());
      co_return fail(std::move(message).error());
    }
    take(*message);
  }
}

template <Word Z, class Rules>
runtime::Task<void> RobustOpening<Z, Rules>::watch_late(runtime::Instant until, std::function<void(Role)> on_lie) {
  WITAN_CHECK(accepted_);
  std::vector<Role> agreed;
  std::vector<std::span<const Gr<Z>>> base_words;
  for (std::size_t i = 0; i < roles_.size(); ++i)
    if (agreed_.contains(roles_[i])) agreed.push_back(roles_[i]);
  const algebra::Predictor<Z> predictor(session_.committee(), agreed);
  for (const Role role : predictor.base())
    base_words.emplace_back(*words_[static_cast<std::size_t>(std::ranges::find(roles_, role) - roles_.begin())]);
  for (;;) {
    auto message = co_await session_.next(step_, until);
    if (!message) co_return;
    const std::size_t known = roles_.size();
    take(*message);
    const bool truth = roles_.size() > known && predictor.matches(message->from, *words_.back(), base_words);
    if (truth)
      agreed_.insert(message->from);
    else
      wrong_.insert(message->from), on_lie(message->from);
  }
}

template <Word Z, class Rules>
OpeningReport RobustOpening<Z, Rules>::report() const {
  OpeningReport out;
  out.agreed = agreed_;
  const runtime::RoleSet wrong = wrong_ | malformed_;
  out.other = wrong & other_;
  out.lied = (wrong - other_) | session_.equivocators();
  out.silent = runtime::RoleSet::all(session_.committee()) - malformed_;
  for (const Role role : roles_) out.silent.erase(role);
  return out;
}

template <Word Z, class Rules>
std::string RobustOpening<Z, Rules>::describe() const {
  const auto list = [](runtime::RoleSet set) {
    std::string out;
    for (const Role role : set) out += fmt::format("{}{}", out.empty() ? "" : ", ", role.number());
    return out.empty() ? std::string("none") : out;
  };
  runtime::RoleSet heard;
  for (const Role role : roles_) heard.insert(role);
  return fmt::format("heard parties {}; silent {}; malformed {}; with other content {}; contradicting themselves {}",
                     list(heard), list(report().silent), list(malformed_), list(other_), list(session_.equivocators()));
}

}  // namespace witan::mpc
