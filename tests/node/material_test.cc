#include "node/material.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "node/node_testing.h"
#include "runtime/loop.h"
#include "runtime/scope.h"

namespace witan::node {
namespace {

using protocols::MaterialOrder;
using protocols::MaterialPlan;
using Kind = MaterialOrder::Kind;

MaterialPlan small_plan() {
  return {{.kind = Kind::bits, .word_bits = 128, .count = 10},  // the last unit has two bits
          {.kind = Kind::noises, .word_bits = 64, .count = 40, .bound_log2 = 3},
          {.kind = Kind::slice, .word_bits = 64, .inputs = 3, .outputs = 8}};
}

constexpr SessionId kSession{0x0123456789abcdef};
const crypto::Digest kContent = crypto::sha256(Bytes{1, 2, 3});

PreprocId preproc(std::uint8_t number) {
  ByteArray<32> bytes{};
  bytes[0] = 3;
  bytes[31] = number;
  return PreprocId(bytes);
}

/// Content of units, different for every byte of an order.
Bytes content_of(const MaterialPlan& plan, std::size_t order, std::uint64_t first, std::uint64_t units) {
  Bytes out(static_cast<std::size_t>(material_bytes(plan[order], first, units)));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(31 * order + 7 * first * plan[order].unit_bytes() + 7 * i);
  return out;
}

class Material : public testing::Test {
 protected:
  template <class T>
  T run(runtime::Task<T> task) {
    return loop_.run(std::move(task));
  }
  std::filesystem::path folder() const { return temporary_.path() / "material"; }
  std::filesystem::path file() const { return folder() / preproc(1).hex(); }
  std::unique_ptr<MaterialFile> create() {
    return run(MaterialFile::create(compute_, folder(), preproc(1), 5, plan_)).value();
  }
  Result<std::unique_ptr<MaterialFile>> open(std::optional<MaterialPlan> plan = {},
                                             MaterialFile::State state = MaterialFile::State::complete) {
    return run(MaterialFile::open(compute_, folder(), preproc(1), plan.value_or(plan_), state));
  }
  Result<std::unique_ptr<MaterialFile>> reopen() { return open({}, MaterialFile::State::interrupted); }
  Status put(MaterialFile& material, std::size_t order, std::uint64_t first, std::uint64_t units,
             SessionId session = {}) {
    return run(material.put(order, first, session, Secret<Bytes>(content_of(plan_, order, first, units))));
  }
  /// In another order than that of the units, and complete.
  void fill() {
    const auto material = create();
    ASSERT_TRUE(put(*material, 1, 6, 4));
    ASSERT_TRUE(put(*material, 0, 0, 3));
    ASSERT_TRUE(put(*material, 2, 0, 1, kSession));
    ASSERT_TRUE(put(*material, 1, 0, 5));
    ASSERT_TRUE(put(*material, 1, 5, 1));
    const Status complete = run(material->complete(kContent));
    ASSERT_TRUE(complete) << complete.error().message;
  }
  void flip_byte(std::uint64_t at) {
    std::fstream out(file(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekg(static_cast<std::streamoff>(at));
    const int old = out.get();
    out.seekp(static_cast<std::streamoff>(at));
    out.put(static_cast<char>(old ^ 1));
  }

  test::TemporaryFolder temporary_;
  runtime::VirtualLoop loop_;
  runtime::InlineCompute compute_{loop_};
  const MaterialPlan plan_ = small_plan();
};

TEST_F(Material, GivesUnitsAcrossRecordsAfterItWasOpenedAgain) {
  fill();
  const auto material = open();
  ASSERT_TRUE(material) << material.error().message;
  for (std::size_t order = 0; order < plan_.size(); ++order)
    for (std::uint64_t first = 0; first < plan_[order].units(); ++first)
      for (std::uint64_t count = 1; first + count <= plan_[order].units(); ++count) {
        const auto got = run((*material)->get(order, first, count));
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_EQ(got->reveal(), content_of(plan_, order, first, count)) << order << " " << first << " " << count;
      }
  EXPECT_EQ((*material)->attempt(), 5);
  EXPECT_EQ((*material)->session(2), kSession);
  EXPECT_EQ((*material)->content(), kContent);
  EXPECT_TRUE((*material)->is_complete());
  EXPECT_EQ((*material)->size_bytes(), std::filesystem::file_size(file()));
}

TEST_F(Material, IsPrivateToItsOwner) {
  fill();
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(Material, AnInterruptedOneIsDataLoss) {
  {
    const auto material = create();
    ASSERT_TRUE(put(*material, 1, 0, 10));
  }
  const auto material = open();
  ASSERT_FALSE(material);
  EXPECT_EQ(material.error().code, Code::data_loss) << material.error().message;
}

TEST_F(Material, AnInterruptedOneGoesOnWithWhatIsOnTheDisk) {
  {
    const auto material = create();
    ASSERT_TRUE(put(*material, 1, 0, 10));
    ASSERT_TRUE(put(*material, 0, 0, 3));
  }
  {
    const auto material = reopen();
    ASSERT_TRUE(material) << material.error().message;
    EXPECT_FALSE((*material)->is_complete());
    EXPECT_EQ((*material)->attempt(), 5);
    ASSERT_TRUE(put(**material, 2, 0, 1, kSession));
    ASSERT_TRUE(run((*material)->complete(kContent)));
  }
  const auto material = open();
  ASSERT_TRUE(material) << material.error().message;
  for (std::size_t order = 0; order < plan_.size(); ++order) {
    const auto got = run((*material)->get(order, 0, plan_[order].units()));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->reveal(), content_of(plan_, order, 0, plan_[order].units()));
  }
}

// Whatever place it was interrupted in: what was whole before stays, what was not can be put again.
TEST_F(Material, EveryLengthOfAnInterruptedOneGoesOn) {
  std::vector<std::uint64_t> ends;
  {
    const auto material = create();
    for (const std::uint64_t first : {0u, 4u}) {
      ASSERT_TRUE(put(*material, 1, first, first == 0 ? 4 : 6));
      ends.push_back(material->size_bytes());
    }
  }
  std::ifstream in(file(), std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  ASSERT_EQ(whole.size(), ends[1]);
  for (std::uint64_t size = ends[0]; size < whole.size(); ++size) {
    std::ofstream(file(), std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    const auto material = reopen();
    ASSERT_TRUE(material) << size << ": " << material.error().message;
    EXPECT_EQ((*material)->size_bytes(), ends[0]);
    EXPECT_TRUE(run((*material)->get(1, 0, 4)));
    EXPECT_FALSE(run((*material)->get(1, 4, 1)));
    EXPECT_TRUE(put(**material, 1, 4, 6));
    EXPECT_EQ(run((*material)->get(1, 0, 10))->reveal(), content_of(plan_, 1, 0, 10));
  }
}

TEST_F(Material, DroppedUnitsAreForgottenAlsoAfterARestart) {
  {
    const auto material = create();
    ASSERT_TRUE(put(*material, 1, 0, 4));
    ASSERT_TRUE(put(*material, 1, 4, 6));
    ASSERT_TRUE(put(*material, 2, 0, 1));
    ASSERT_TRUE(run(material->drop(1, {4, 6})));
    ASSERT_TRUE(run(material->drop(2, {0, 1})));
    ASSERT_TRUE(run(material->drop(0, {0, 3})));  // nothing is there
    EXPECT_FALSE(run(material->get(1, 4, 1)));
    ASSERT_TRUE(put(*material, 2, 0, 1, kSession));
  }
  {
    const auto material = reopen();
    ASSERT_TRUE(material) << material.error().message;
    EXPECT_TRUE(run((*material)->get(1, 0, 4)));
    EXPECT_FALSE(run((*material)->get(1, 4, 1)));
    EXPECT_EQ((*material)->session(2), kSession);
    ASSERT_TRUE(put(**material, 1, 4, 6));
    ASSERT_TRUE(put(**material, 0, 0, 3));
    ASSERT_TRUE(run((*material)->complete(kContent)));
  }
  const auto material = open();
  ASSERT_TRUE(material) << material.error().message;
  EXPECT_EQ(run((*material)->get(1, 0, 10))->reveal(), content_of(plan_, 1, 0, 10));
}

TEST_F(Material, PartOfARecordIsNotDropped) {
  const auto material = create();
  ASSERT_TRUE(put(*material, 1, 0, 4));
  const Status dropped = run(material->drop(1, {2, 8}));
  ASSERT_FALSE(dropped);
  EXPECT_EQ(dropped.error().code, Code::data_loss);
}

TEST_F(Material, IsNotCompleteWhileUnitsAreMissing) {
  const auto material = create();
  ASSERT_TRUE(put(*material, 0, 0, 3));
  ASSERT_TRUE(put(*material, 1, 0, 9));
  ASSERT_TRUE(put(*material, 2, 0, 1));
  const Status complete = run(material->complete(kContent));
  ASSERT_FALSE(complete);
  EXPECT_EQ(complete.error().code, Code::internal);
  const auto got = run(material->get(1, 8, 2));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::not_found);
}

// Whatever byte is damaged, what is read is what was written, or data_loss.
TEST_F(Material, EveryDamagedByteIsFound) {
  fill();
  const std::uint64_t size = std::filesystem::file_size(file());
  for (std::uint64_t at = 0; at < size; ++at) {
    flip_byte(at);
    auto material = open();
    bool found = !material;
    if (!material) EXPECT_EQ(material.error().code, Code::data_loss) << material.error().message;
    for (std::size_t order = 0; material && order < plan_.size(); ++order) {
      const auto got = run((*material)->get(order, 0, plan_[order].units()));
      if (!got) {
        EXPECT_EQ(got.error().code, Code::data_loss);
        EXPECT_NE(got.error().message.find(file().native()), std::string::npos);
      }
      found = found || !got;
    }
    EXPECT_TRUE(found) << "byte " << at;
    flip_byte(at);
  }
  EXPECT_TRUE(open());
}

TEST_F(Material, EveryLengthThatIsCutShortIsFound) {
  fill();
  std::ifstream in(file(), std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  for (std::size_t size = 0; size < whole.size(); size += 13) {
    std::filesystem::resize_file(file(), size);
    const auto material = open();
    ASSERT_FALSE(material) << size;
    EXPECT_EQ(material.error().code, Code::data_loss) << material.error().message;
    std::ofstream(file(), std::ios::binary) << whole;
  }
}

TEST_F(Material, BelongsToOnePreprocessingAndOnePlan) {
  fill();
  MaterialPlan other = plan_;
  other[1].bound_log2 = 4;
  EXPECT_EQ(open(other).error().code, Code::data_loss);
  std::filesystem::rename(file(), folder() / preproc(2).hex());
  EXPECT_EQ(run(MaterialFile::open(compute_, folder(), preproc(2), plan_)).error().code, Code::data_loss);
  EXPECT_EQ(open().error().code, Code::not_found);
}

TEST_F(Material, IsNeverOverwritten) {
  fill();
  EXPECT_EQ(run(MaterialFile::create(compute_, folder(), preproc(1), 5, plan_)).error().code, Code::already_exists);
}

// A disk that fails may leave a file that its maker cannot remove.
TEST_F(Material, OneWithoutContentIsOfAnEarlierTry) {
  create();
  EXPECT_EQ(std::filesystem::file_size(file()), 74u);
  EXPECT_TRUE(run(MaterialFile::create(compute_, folder(), preproc(1), 5, plan_)));
}

TEST_F(Material, AFullDiskIsUnavailableAndNothingCounts) {
  const auto material = create();
  Status stored;
  {
    const test::SmallFiles full(200);
    stored = put(*material, 1, 0, 10);
  }
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Code::unavailable) << stored.error().message;
}

// Whatever could not be written is written again, and nothing is there twice.
TEST_F(Material, AFullDiskIsWaitedForInEveryPlace) {
  DiskWait wait(loop_, "material");
  std::optional<test::SmallFiles> full;
  const auto fill_disk = [&](rlim_t bytes) { full.emplace(bytes); };
  runtime::TaskScope scope(loop_);
  const auto when_free = [&](const char* what, auto task) {
    const auto run = [](auto inner, bool& ended) -> runtime::Task<void> {
      const Status status = co_await std::move(inner);
      EXPECT_TRUE(status) << status.error().message;
      ended = true;
    };
    bool ended = false;
    scope.spawn(run(std::move(task), ended));
    loop_.advance(std::chrono::seconds(5));
    EXPECT_FALSE(ended) << what;
    EXPECT_TRUE(wait.reason()) << what;
    full.reset();
    loop_.run(scope.join());
    EXPECT_TRUE(ended) << what;
    EXPECT_FALSE(wait.reason()) << what;
  };
  std::unique_ptr<MaterialFile> material;
  const auto make = [&]() -> runtime::Task<Status> {
    material = co_await runtime::ok(
        co_await wait.repeat([&] { return MaterialFile::create(compute_, folder(), preproc(1), 5, plan_); }));
    co_return Status{};
  };
  fill_disk(10);
  when_free("create", make());
  PatientMaterial patient(*material, wait);
  const auto content = [&](std::size_t order, std::uint64_t first, std::uint64_t units) {
    return Secret<Bytes>(content_of(plan_, order, first, units));
  };
  fill_disk(material->size_bytes() + 100);
  when_free("put", patient.put(1, 0, {}, content(1, 0, 4)));
  ASSERT_TRUE(loop_.run(patient.put(1, 4, {}, content(1, 4, 6))));
  fill_disk(material->size_bytes() + 10);
  when_free("drop", patient.drop(1, {4, 6}));
  ASSERT_TRUE(loop_.run(patient.put(1, 4, {}, content(1, 4, 6))));
  ASSERT_TRUE(loop_.run(patient.put(0, 0, {}, content(0, 0, 3))));
  ASSERT_TRUE(loop_.run(patient.put(2, 0, kSession, content(2, 0, 1))));
  fill_disk(material->size_bytes() + 10);
  when_free("complete", wait.repeat([&] { return material->complete(kContent); }));
  const auto again = open();
  ASSERT_TRUE(again) << again.error().message;
  for (std::size_t order = 0; order < plan_.size(); ++order)
    EXPECT_EQ(run((*again)->get(order, 0, plan_[order].units()))->reveal(),
              content_of(plan_, order, 0, plan_[order].units()));
}

TEST_F(Material, ErasedItsContentIsZeroAndItsNameIsGone) {
  fill();
  const auto copy = temporary_.path() / "hard link";
  std::filesystem::create_hard_link(file(), copy);  // what the disk still has of it
  ASSERT_TRUE(run(erase_material(compute_, folder(), preproc(1))));
  EXPECT_FALSE(std::filesystem::exists(file()));
  std::ifstream in(copy, std::ios::binary);
  const std::string left(std::istreambuf_iterator<char>(in), {});
  EXPECT_GT(left.size(), 1000u);
  EXPECT_EQ(left.find_first_not_of('\0'), std::string::npos);
  EXPECT_TRUE(run(erase_material(compute_, folder(), preproc(1))));  // not there: nothing to do
}

TEST_F(Material, IsListedByPreprocessing) {
  EXPECT_TRUE(list_material(folder())->empty());
  fill();
  std::ofstream(folder() / "something else") << "x";
  EXPECT_EQ(*list_material(folder()), std::vector{preproc(1)});
}

// Two parties on one machine with one folder: each would erase the other's material.
TEST_F(Material, AFolderIsOfOneParty) {
  ASSERT_TRUE(MaterialFile::claim_folder(folder(), "0xabc"));
  EXPECT_TRUE(MaterialFile::claim_folder(folder(), "0xabc")) << "the same party starts again";
  fill();
  const Status other = MaterialFile::claim_folder(folder(), "0xdef");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::failed_precondition);
  for (const char* part : {folder().c_str(), "0xabc", "0xdef", "material_path"})
    EXPECT_NE(other.error().message.find(part), std::string::npos) << other.error().message;
  EXPECT_EQ(*list_material(folder()), std::vector{preproc(1)}) << "the note is no material";
  // Also when nothing can be made there: a folder where the note would be written first.
  std::filesystem::create_directory(folder() / "owner.0xdef");
  EXPECT_EQ(MaterialFile::claim_folder(folder(), "0xdef").error().code, Code::failed_precondition);
  EXPECT_TRUE(open());
  std::filesystem::resize_file(folder() / "owner", 0);
  EXPECT_NE(test::said(MaterialFile::claim_folder(folder(), "0xabc")).find("remove the file"), std::string::npos)
      << "an empty note is nobody's";
  const Status lost = MaterialFile::claim_folder(temporary_.path() / "not" / "there", "0xabc");
  ASSERT_FALSE(lost);
  EXPECT_NE(lost.error().code, Code::failed_precondition);
}

}  // namespace
}  // namespace witan::node
