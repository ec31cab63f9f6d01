#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "store/vault_file/file_vault.h"
#include "support/support.h"

namespace witan::store {
namespace {

using runtime::ObjectName;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

ByteArray<32> id_of(std::uint8_t last, std::uint8_t first = 4) {
  ByteArray<32> id{};
  id[0] = first;
  id[31] = last;
  return id;
}
ObjectName object(std::string type, std::uint8_t last) {
  return {std::move(type), std::nullopt, id_of(last)};
}
Bytes bytes(std::string_view text) {
  return Bytes(text.begin(), text.end());
}
mode_t mode_of(const fs::path& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

class VaultTest : public ::testing::Test {
 protected:
  VaultTest() {
    std::string name = (fs::temp_directory_path() / "witan-vault-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~VaultTest() override { fs::remove_all(root_); }

  std::unique_ptr<FileVault> open(std::string prefix = "PRIV", FileVaultOptions::Visibility visibility = kPrivate,
                                  FileVaultOptions::Access access = FileVaultOptions::Access::read_write) {
    auto vault = FileVault::open({root_, std::move(prefix), visibility, access});
    EXPECT_TRUE(vault) << vault.error().message;
    return vault ? *std::move(vault) : nullptr;
  }
  /// All regular files below the root, relative to it.
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(root_))
      if (entry.is_regular_file()) out.push_back(fs::relative(entry.path(), root_).string());
    std::ranges::sort(out);
    return out;
  }

  static constexpr auto kPrivate = FileVaultOptions::Visibility::private_objects;
  static constexpr auto kPublic = FileVaultOptions::Visibility::public_objects;
  fs::path root_;
};

TEST_F(VaultTest, ObjectsLieWhereTheSpecificationSays) {
  const auto paths = witan::test::read_json("service/paths.json");
  ASSERT_GE(paths.size(), 10u);
  for (const auto& entry : paths) {
    const auto vault = open(entry.at("prefix"), entry.at("vault") == "public" ? kPublic : kPrivate);
    ObjectName name{entry.at("type"), std::nullopt, {}};
    std::ranges::copy(witan::test::hex(entry.at("id").get<std::string>()), name.id.begin());
    if (entry.contains("epoch")) name.epoch = EpochId::parse(entry.at("epoch").get<std::string>()).value();
    ASSERT_TRUE(vault->put(name, bytes("content")));
    EXPECT_EQ(witan::test::read_file(root_ / entry.at("path").get<std::string>()), bytes("content"));
    EXPECT_EQ(vault->get(name, 100).value(), bytes("content"));
    EXPECT_EQ(vault->list(name.type).value(), std::vector{name});
  }
  EXPECT_EQ(files().size(), paths.size());
}

TEST_F(VaultTest, WhatWasWrittenInPiecesComesBackWhole) {
  const auto vault = open();
  witan::test::SeededRng rng("pieces");
  Bytes all;
  auto writer = vault->create(object("T", 1)).value();
  for (const std::size_t size : {1u, 7u, 300000u, 262143u, 1u, 262144u, 262145u, 0u, 5u}) {
    Bytes piece(size);
    rng.fill(piece);
    ASSERT_TRUE(writer->write(piece));
    append(all, piece);
  }
  ASSERT_TRUE(writer->finish());
  EXPECT_TRUE(vault->get(object("T", 1), all.size()).value() == all);
  auto reader = vault->open(object("T", 1)).value();
  EXPECT_EQ(reader->size_bytes(), all.size());
  Bytes part(1000);
  EXPECT_EQ(reader->read(part).value(), 1000u);
  EXPECT_TRUE(std::ranges::equal(part, ByteView(all).first(1000)));
  ASSERT_TRUE(vault->put(object("T", 2), {}));
  EXPECT_EQ(vault->get(object("T", 2), 0).value(), Bytes());
}

TEST_F(VaultTest, AnExistingObjectIsNeverOverwritten) {
  const auto vault = open();
  auto late = vault->create(object("T", 1)).value();
  ASSERT_TRUE(late->write(bytes("late")));
  ASSERT_TRUE(vault->put(object("T", 1), bytes("first")));
  const auto second = vault->create(object("T", 1));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::already_exists);
  const Status finished = late->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, Code::already_exists);
  EXPECT_EQ(vault->get(object("T", 1), 100).value(), bytes("first"));
  EXPECT_EQ(files().size(), 1u) << "the partial file is gone";
}

TEST_F(VaultTest, NothingIsVisibleBeforeFinishAndNothingRemainsWithoutIt) {
  const auto vault = open();
  {
    auto writer = vault->create(object("T", 1)).value();
    ASSERT_TRUE(writer->write(Bytes(1 << 20)));
    EXPECT_FALSE(vault->exists(object("T", 1)).value());
    EXPECT_EQ(vault->open(object("T", 1)).error().code, Code::not_found);
    EXPECT_THAT(vault->list("T").value(), IsEmpty());
    const auto names = files();
    ASSERT_EQ(names.size(), 1u);
    const std::string expected =
        fmt::format("PRIV/T/.{}.partial.{}.", to_hex(id_of(1)), ::getpid());  // and a sequence number
    EXPECT_THAT(names[0], ::testing::StartsWith(expected));
  }
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(VaultTest, ListGivesIdsOfAllEpochsSortedAndNothingElse) {
  const auto vault = open();
  const EpochId first(id_of(1, 8)), second(id_of(2, 8));
  const std::vector<ObjectName> names{
      {"FheKeyInfo", first, id_of(7)}, {"FheKeyInfo", first, id_of(9)}, {"FheKeyInfo", second, id_of(7)}};
  for (const auto& name : {names[2], names[1], names[0]}) ASSERT_TRUE(vault->put(name, bytes("x")));
  const fs::path folder = root_ / "PRIV/FheKeyInfo";
  std::ofstream(folder / ("." + to_hex(id_of(3)))) << "dot name";
  std::ofstream(folder / "notes.txt") << "no id";
  std::string upper = to_hex(id_of(3));
  upper[0] = 'F';
  std::ofstream(folder / upper) << "upper case";
  fs::create_directory(folder / ".hidden");
  fs::create_symlink(folder / "notes.txt", folder / to_hex(id_of(5)));
  EXPECT_EQ(vault->list("FheKeyInfo").value(), names);
  EXPECT_THAT(vault->list("CrsInfo").value(), IsEmpty());
}

TEST_F(VaultTest, ModesAreExactWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    const mode_t before = ::umask(mask);
    const std::string suffix = std::to_string(mask);
    const auto secret = open("PRIV" + suffix, kPrivate);
    const auto open_to_all = open("PUB" + suffix, kPublic);
    const ObjectName name{"FheKeyInfo", EpochId(id_of(1, 8)), id_of(1)};
    EXPECT_TRUE(secret->put(name, bytes("x")));
    EXPECT_TRUE(open_to_all->put(name, bytes("x")));
    ::umask(before);
    for (const auto& [prefix, file_mode, folder_mode] :
         {std::tuple{"PRIV" + suffix, mode_t{0600}, mode_t{0700}}, {"PUB" + suffix, mode_t{0644}, mode_t{0755}}}) {
      EXPECT_EQ(mode_of(root_ / prefix / name.path()), file_mode) << prefix;
      for (fs::path folder = fs::path(prefix) / name.path(); folder.has_parent_path();) {
        folder = folder.parent_path();
        EXPECT_EQ(mode_of(root_ / folder), folder_mode) << folder;
      }
    }
  }
}

TEST_F(VaultTest, APrivateVaultThatWasOpenToOthersIsNarrowed) {
  fs::create_directories(root_ / "PRIV");
  ASSERT_EQ(::chmod((root_ / "PRIV").c_str(), 0755), 0);
  open();
  EXPECT_EQ(mode_of(root_ / "PRIV"), 0700u);
}

TEST_F(VaultTest, AbandonedPartialFilesAreSweptAtOpenAndLivingOnesAreNot) {
  const auto vault = open();
  const ObjectName epoched{"FheKeyInfo", EpochId(id_of(1, 8)), id_of(1)};
  ASSERT_TRUE(vault->put(epoched, bytes("x")));
  ASSERT_TRUE(vault->put(object("Context", 1), bytes("x")));
  auto living = vault->create(object("Context", 2)).value();
  ASSERT_TRUE(living->write(bytes("living")));
  for (const fs::path& folder :
       {root_ / "PRIV", root_ / "PRIV/Context", (root_ / "PRIV" / epoched.path()).parent_path()})
    std::ofstream(folder / ("." + to_hex(id_of(3)) + ".partial.12345.6")) << "left behind";
  std::ofstream(root_ / "PRIV/Context/.keep") << "not ours";

  const auto other = open();
  const auto names = files();
  EXPECT_EQ(names.size(), 4u) << ::testing::PrintToString(names);  // two objects, the living partial, .keep
  ASSERT_TRUE(living->finish());
  EXPECT_EQ(other->get(object("Context", 2), 100).value(), bytes("living"));
}

TEST_F(VaultTest, AWriterKilledAtAnyMomentLeavesNothingVisible) {
  // The child writes and publishes one object after the other; each is a single repeated byte of full length or not there.
  constexpr std::size_t kSize = 1 << 20;
  open();
  for (int round = 0; round < 8; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto vault = FileVault::open({root_, "PRIV", kPrivate, FileVaultOptions::Access::read_write});
      for (int i = 0; vault; ++i) {
        const auto number = static_cast<std::uint8_t>(round * 30 + i % 30);
        if (!(*vault)->erase(object("T", number))) ::_exit(1);
        if (!(*vault)->put(object("T", number), Bytes(kSize, number))) ::_exit(1);
      }
      ::_exit(1);
    }
    ::usleep(static_cast<useconds_t>(3000 + 2711 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto vault = open();
    for (const ObjectName& name : vault->list("T").value())
      EXPECT_TRUE(vault->get(name, kSize).value() == Bytes(kSize, name.id[31]));
    for (const std::string& file : files()) EXPECT_EQ(file.find(".partial."), std::string::npos) << file;
  }
}

TEST_F(VaultTest, EraseRemovesAndASecondTimeIsSuccess) {
  const auto vault = open();
  ASSERT_TRUE(vault->put(object("T", 1), bytes("x")));
  ASSERT_TRUE(vault->erase(object("T", 1)));
  EXPECT_FALSE(vault->exists(object("T", 1)).value());
  EXPECT_TRUE(vault->erase(object("T", 1)));
  EXPECT_TRUE(vault->erase(object("Never", 1)));
  ASSERT_TRUE(vault->put(object("T", 1), bytes("again")));
}

TEST_F(VaultTest, NamesThatWouldLeaveTheVaultAreRefused) {
  const auto vault = open();
  for (const std::string type : {"", "..", "a/b", "/etc", ".hidden", "with space", "Typ\xc3\xa9", "a\nb"}) {
    EXPECT_EQ(vault->create(object(type, 1)).error().code, Code::invalid_argument) << type;
    EXPECT_EQ(vault->open(object(type, 1)).error().code, Code::invalid_argument) << type;
    EXPECT_EQ(vault->exists(object(type, 1)).error().code, Code::invalid_argument) << type;
    EXPECT_EQ(vault->list(type).error().code, Code::invalid_argument) << type;
    EXPECT_EQ(vault->erase(object(type, 1)).error().code, Code::invalid_argument) << type;
  }
  EXPECT_FALSE(vault->create(object(std::string(41, 'T'), 1)));
  EXPECT_TRUE(vault->create(object(std::string(40, 'T'), 1)));
  for (const std::string prefix : {"", "..", "a/../b", "/PRIV", "PRIV/", "a//b", ".PRIV", "a b", "a\\b"})
    EXPECT_EQ(FileVault::open({root_, prefix, kPrivate, {}}).error().code, Code::invalid_argument) << prefix;
  EXPECT_TRUE(FileVault::open({root_, "BACKUP/" + to_hex(id_of(1)), kPrivate, {}}));
}

TEST_F(VaultTest, SymbolicLinksBelowTheRootLeadNowhere) {
  const auto vault = open();
  ASSERT_TRUE(vault->put(object("T", 1), bytes("x")));
  fs::create_directory(root_ / "outside");
  std::ofstream(root_ / "outside" / to_hex(id_of(1))) << "stolen";
  fs::create_directory_symlink(root_ / "outside", root_ / "PRIV/Linked");
  fs::create_symlink(root_ / "outside" / to_hex(id_of(1)), root_ / "PRIV/T" / to_hex(id_of(2)));
  EXPECT_EQ(vault->open(object("Linked", 1)).error().code, Code::unavailable);
  EXPECT_EQ(vault->open(object("T", 2)).error().code, Code::unavailable);
  EXPECT_FALSE(vault->create(object("Linked", 3)));
}

TEST_F(VaultTest, AReadOnlyVaultTouchesNothing) {
  const auto access = FileVaultOptions::Access::read_only;
  EXPECT_EQ(FileVault::open({root_, "PUB", kPublic, access}).error().code, Code::not_found);
  EXPECT_FALSE(fs::exists(root_ / "PUB"));
  ASSERT_TRUE(open("PUB", kPublic)->put(object("T", 1), bytes("x")));
  std::ofstream(root_ / "PUB/T/.x.partial.1.1") << "left behind";
  const auto vault = open("PUB", kPublic, access);
  EXPECT_EQ(vault->get(object("T", 1), 10).value(), bytes("x"));
  EXPECT_EQ(vault->create(object("T", 2)).error().code, Code::failed_precondition);
  EXPECT_EQ(vault->erase(object("T", 1)).error().code, Code::failed_precondition);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_THAT(vault->describe(), HasSubstr("read only"));
}

TEST_F(VaultTest, UnusableFoldersNameThePathAndTheReason) {
  std::ofstream(root_ / "plain") << "file";
  struct Case {
    fs::path root;
    std::string reason;
  };
  for (const auto& [root, reason] :
       {Case{root_ / "plain", "Not a directory"}, Case{root_ / "plain/x", "Not a directory"},
        Case{"/proc/no/such", "No such file"}}) {
    const auto vault = FileVault::open({root, "PRIV", kPrivate, {}});
    ASSERT_FALSE(vault) << root;
    EXPECT_THAT(vault.error().message, HasSubstr((root / "PRIV").string()));
    EXPECT_THAT(vault.error().message, HasSubstr(reason));
  }
}

/// Runs in a child with another user id, because permissions do not stop root.
TEST_F(VaultTest, AnUnwritableFolderIsUnavailable) {
  fs::create_directory(root_ / "PUB");
  ASSERT_EQ(::chmod((root_ / "PUB").c_str(), 0555), 0);
  ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0 && ::setuid(kNobody) != 0) ::_exit(2);
    const auto vault = FileVault::open({root_, "PUB", kPublic, {}});
    const bool as_expected = !vault && vault.error().code == Code::unavailable &&
                             vault.error().message.find("Permission denied") != std::string::npos &&
                             vault.error().message.find(root_.string()) != std::string::npos;
    ::_exit(as_expected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ASSERT_EQ(::chmod((root_ / "PUB").c_str(), 0755), 0);
}

/// A file size limit of the process stands for a full disk: write(2) fails part of the way.
class NoSpace {
 public:
  explicit NoSpace(rlim_t max_file_bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limited{max_file_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~NoSpace() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

TEST_F(VaultTest, AFailingWriteIsUnavailableAndItsSpaceIsFreed) {
  const auto vault = open();
  {
    const NoSpace limit(1 << 20);
    auto writer = vault->create(object("T", 1)).value();
    Status status;
    for (int i = 0; i < 100 && status; ++i) status = writer->write(Bytes(100000));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::unavailable);
    EXPECT_THAT(status.error().message, HasSubstr(object("T", 1).path()));
    EXPECT_THAT(files(), IsEmpty()) << "the partial file is removed at once";
    EXPECT_FALSE(writer->write(bytes("x")));
    EXPECT_FALSE(writer->finish());
  }
  EXPECT_FALSE(vault->exists(object("T", 1)).value());
  ASSERT_TRUE(vault->put(object("T", 1), bytes("x")));
}

TEST_F(VaultTest, ObjectsAboveTwoGibibytesAreRefused) {
  const auto vault = open();
  auto writer = vault->create(object("T", 1)).value();
  // The view is never read: the limit is found before.
  const Bytes one(1);
  ASSERT_TRUE(writer->write(one));
  const Status status = writer->write(ByteView(one.data(), runtime::Vault::kMaxObjectBytes));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::resource_exhausted);
  EXPECT_THAT(files(), IsEmpty());

  ASSERT_TRUE(vault->put(object("T", 2), bytes("x")));
  const fs::path file = root_ / "PRIV" / object("T", 2).path();
  fs::resize_file(file, runtime::Vault::kMaxObjectBytes + 1);  // sparse
  EXPECT_EQ(vault->open(object("T", 2)).error().code, Code::data_loss);
  fs::resize_file(file, runtime::Vault::kMaxObjectBytes);
  EXPECT_EQ(vault->open(object("T", 2)).value()->size_bytes(), runtime::Vault::kMaxObjectBytes);
  EXPECT_EQ(vault->get(object("T", 2), 1000).error().code, Code::resource_exhausted);
}

TEST_F(VaultTest, DescribeTellsKindAndPlace) {
  EXPECT_EQ(open()->describe(), "private file vault at " + (root_ / "PRIV").string());
  EXPECT_EQ(open("PUB-p1", kPublic)->describe(), "public file vault at " + (root_ / "PUB-p1").string());
}

}  // namespace
}  // namespace witan::store
