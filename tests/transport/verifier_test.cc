#include "transport/verifier.h"

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <gtest/gtest.h>

#include <span>

#include "transport/fixture.h"

namespace witan::transport {
namespace {

using namespace std::chrono_literals;

TrustRoots roots_of(std::span<const Identity> parties) {
  TrustRoots roots;
  for (std::size_t i = 0; i < parties.size(); ++i)
    roots.parties.emplace(parties[i].name, TrustRoots::Party{Role(static_cast<int>(i) + 1), {parties[i].ca}});
  return roots;
}

// Both "don't verify" settings of gRPC are on: without a verifier anybody could connect (channels.md 6.2).
TEST(Verifier, CredentialsWithoutOneAreAnError) {
  Identity self(1);
  const auto leaf = self.leaf();
  const std::string key(leaf.key_pem.reveal().begin(), leaf.key_pem.reveal().end());
  EXPECT_EQ(server_credentials(nullptr, leaf.certificate_pem, key).error().code, Code::failed_precondition);
  EXPECT_EQ(channel_credentials(nullptr, {"a", "b"}, leaf.certificate_pem, key).error().code,
            Code::failed_precondition);
  const std::shared_ptr<const Verifier> verifier = Verifier::make(roots_of({&self, 1})).value();
  EXPECT_TRUE(server_credentials(verifier, leaf.certificate_pem, key));
  EXPECT_TRUE(channel_credentials(verifier, {self.name, "localhost"}, leaf.certificate_pem, key));
  // A channel that would take any party, or any host.
  EXPECT_EQ(channel_credentials(verifier, {std::nullopt, "b"}, leaf.certificate_pem, key).error().code,
            Code::failed_precondition);
  EXPECT_EQ(channel_credentials(verifier, {self.name, std::nullopt}, leaf.certificate_pem, key).error().code,
            Code::failed_precondition);
}

TEST(Verifier, EmptyTrustRootsAreAnError) {
  EXPECT_EQ(Verifier::make({}).error().code, Code::failed_precondition);
  const Identity one(1);
  TrustRoots no_ca = roots_of({&one, 1});
  no_ca.parties.begin()->second.ca_pems.clear();
  EXPECT_EQ(Verifier::make(no_ca).error().code, Code::failed_precondition);
}

TEST(Verifier, EachPartyIsJudgedByItsOwnCaAlone) {
  std::vector<Identity> parties;
  for (int i = 1; i <= 3; ++i) parties.emplace_back(i);
  const auto verifier = Verifier::make(roots_of(parties)).value();
  const Expected second{parties[1].name, "localhost"};

  const auto reason = [&](const std::string& pem, const Expected& expected) {
    const auto judged = verifier->judge(pem, expected);
    return judged ? fmt::format("party {}", judged->number()) : judged.error().message;
  };
  const auto contains = [](std::string_view part) { return testing::HasSubstr(std::string(part)); };
  EXPECT_EQ(reason(parties[1].leaf().certificate_pem, second), "party 2");
  EXPECT_EQ(reason(parties[2].leaf().certificate_pem, {}), "party 3");  // accepting: any of them

  EXPECT_THAT(reason(parties[2].leaf().certificate_pem, second), contains("expected was '" + parties[1].name + "'"));
  EXPECT_THAT(reason(Identity(9).leaf().certificate_pem, {}), contains("no other party"));
  Identity impostor(2, "impostor");
  EXPECT_EQ(impostor.name, parties[1].name);
  EXPECT_THAT(reason(impostor.leaf().certificate_pem, second), contains("issuer"));
  EXPECT_THAT(reason(impostor.leaf().certificate_pem, {}), contains(parties[1].name));
  const auto now = now_seconds();
  EXPECT_THAT(reason(parties[1].leaf(now - 5000, now - 1000).certificate_pem, second), contains("expired"));
  EXPECT_THAT(reason(parties[1].leaf(now + 1000, now + 5000).certificate_pem, second), contains("not yet valid"));
  EXPECT_THAT(reason(parties[1].ca, second), contains("CA certificate"));
  EXPECT_THAT(reason(parties[1].leaf().certificate_pem, {parties[1].name, "elsewhere.example"}),
              contains("ostname mismatch"));
  EXPECT_EQ(reason(parties[1].leaf().certificate_pem, {parties[1].name, "core." + parties[1].name}), "party 2");
  EXPECT_THAT(reason("", second), contains("PEM"));
  EXPECT_THAT(reason("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", second), contains("PEM"));
}

TEST(Verifier, LogLinesOfAttackersAreLimited) {
  LogLimiter limiter;
  const LogLimiter::Time start{};
  EXPECT_TRUE(limiter.allow("a", start));
  EXPECT_FALSE(limiter.allow("a", start + 30s));
  EXPECT_TRUE(limiter.allow("a", start + 61s));
  int lines = 0;
  for (int i = 0; i < 1000; ++i) lines += limiter.allow(std::to_string(i), start + 70s);
  EXPECT_EQ(lines, 63);
  EXPECT_TRUE(limiter.allow("later", start + 140s));
  EXPECT_EQ(printable("one\nline\x1b[31m\xff"), "one?line?[31m?");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 303u);
}

}  // namespace
}  // namespace witan::transport
