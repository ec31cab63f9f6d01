#include "node/material.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <system_error>

#include "base/check.h"
#include "base/codec.h"
#include "base/log.h"
#include "crypto/separators.h"

namespace witan::node {

using protocols::MaterialOrder;
using protocols::MaterialPlan;
using runtime::ok;
using runtime::Task;
using runtime::Work;

namespace {

constexpr std::uint32_t kFileMagic = 0x544d4957, kRecordMagic = 0x434d4957, kDropMagic = 0x444d4957,
                        kEndMagic = 0x454d4957, kLayout = 2;
constexpr std::size_t kHeaderBytes = 4 + 4 + 32 + 2 + 32, kAttemptOffset = 4 + 4 + 32;
constexpr std::size_t kRecordHeadBytes = 4 + 4 + 8 + 8 + 16 + 8 + 32;
constexpr std::size_t kDropBytes = 4 + 4 + 8 + 8 + 32;
constexpr std::size_t kEndBytes = 4 + 8 + 32 + 32;
constexpr std::size_t kErasedAtOnce = std::size_t{4} << 20;

std::unexpected<Error> system_failure(const char* action, const std::filesystem::path& file, int error = errno) {
  const Code code = error == ENOENT ? Code::not_found : error == EEXIST ? Code::already_exists : Code::unavailable;
  return fail(code, "cannot {} {}: {}", action, file.native(), std::generic_category().message(error));
}

std::filesystem::path file_of(const std::filesystem::path& folder, const PreprocId& id) {
  return folder / id.hex();
}

Status sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_failure("open the folder", folder);
  const int synced = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  if (synced != 0) return system_failure("sync the folder", folder, error);
  return {};
}

crypto::Digest plan_hash(const MaterialPlan& plan) {
  return crypto::tagged_hash(crypto::separators::kMaterial, protocols::encode(plan));
}

crypto::Digest record_hash(ByteView header, ByteView head, ByteView content) {
  crypto::Shake256 hash(crypto::separators::kMaterial);
  hash.update(header);
  hash.update(head);
  hash.update(content);
  return hash.finish();
}

}  // namespace

std::uint64_t material_bytes(const MaterialOrder& order, std::uint64_t first, std::uint64_t units) {
  const std::uint64_t whole = units * order.unit_bytes();
  if (order.kind != MaterialOrder::Kind::bits || first + units < order.units() || order.count % 4 == 0) return whole;
  return whole - (4 - order.count % 4) * (order.unit_bytes() / 4);
}

/// Kernels share it: a file that nobody waits for any more is closed when the last of them has ended.
class MaterialFile::Descriptor {
 public:
  Descriptor(int fd, std::filesystem::path file) : fd_(fd), file_(std::move(file)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }

  Status write(std::uint64_t offset, ByteView data) const {
    while (!data.empty()) {
      const ssize_t count = ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return system_failure("write", file_);
      data = data.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    return {};
  }
  /// Error also: data_loss if the file ends before that.
  Status read(std::uint64_t offset, MutableByteView out) const {
    const std::uint64_t from = offset;
    const std::size_t wanted = out.size();
    while (!out.empty()) {
      const ssize_t count = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return system_failure("read", file_);
      if (count == 0)
        return fail(Code::data_loss, "{} ends at byte {}, expected {} bytes from byte {} on", file_.native(), offset,
                    wanted, from);
      out = out.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    return {};
  }
  Status sync() const {
    if (::fsync(fd_) != 0) return system_failure("sync", file_);
    return {};
  }
  Status truncate(std::uint64_t size) const {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return system_failure("shorten", file_);
    return {};
  }

  /// Records lie one behind the other without gaps, and one that is on the disk has all before it on the disk. So kernels append, and not
  /// those that were given up before something was dropped: theirs would come behind it.
  std::uint64_t generation() const { return generation_; }
  /// On the disk when it ends. Returns where the piece begins.
  Result<std::uint64_t> append(std::uint64_t generation, ByteView head, ByteView content) {
    const std::lock_guard lock(mutex_);
    if (generation != generation_)
      return fail(Code::cancelled, "{}: units that were dropped meanwhile are not written", file_.native());
    const std::uint64_t at = end_;
    WITAN_TRY(write(at, head));
    WITAN_TRY(write(at + head.size(), content));
    WITAN_TRY(sync());
    end_ = at + head.size() + content.size();
    return at;
  }
  Status append_drop(ByteView record) {
    const std::lock_guard lock(mutex_);
    // Synced: were it lost by a later sync that fails, what comes behind it would be lost with it.
    WITAN_TRY(write(end_, record));
    WITAN_TRY(sync());
    end_ += record.size();
    ++generation_;
    return {};
  }
  Status append_end(ByteView last) {
    const std::lock_guard lock(mutex_);
    WITAN_TRY(truncate(end_));
    // Records first: an end on the disk says that everything before it is there.
    WITAN_TRY(sync());
    WITAN_TRY(write(end_, last));
    WITAN_TRY(sync());
    end_ += last.size();
    return {};
  }
  std::uint64_t end() const { return end_; }
  void set_end(std::uint64_t end) { end_ = end; }
  Result<std::uint64_t> size_bytes() const {
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return system_failure("examine", file_);
    if (!S_ISREG(info.st_mode)) return fail(Code::data_loss, "{} is no regular file", file_.native());
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  const int fd_;
  const std::filesystem::path file_;
  std::mutex mutex_;  // of kernels, which hold it while the disk works; the loop never takes it
  std::atomic<std::uint64_t> end_ = kHeaderBytes;  // where the next piece goes
  std::atomic<std::uint64_t> generation_ = 0;      // pieces dropped
};

MaterialFile::MaterialFile(runtime::Compute& compute, std::filesystem::path file, PreprocId id, std::uint16_t attempt,
                           MaterialPlan plan, std::shared_ptr<Descriptor> descriptor)
    : compute_(compute),
      file_(std::move(file)),
      id_(id),
      attempt_(attempt),
      plan_(std::move(plan)),
      descriptor_(std::move(descriptor)),
      records_(plan_.size()) {}

MaterialFile::~MaterialFile() = default;

std::uint64_t MaterialFile::size_bytes() const {
  return descriptor_->end();
}

Bytes MaterialFile::header() const {
  return Writer().u32(kFileMagic).u32(kLayout).id(id_).u16(attempt_).raw(plan_hash(plan_)).take();
}

/// Without the hash, which comes behind it.
Bytes MaterialFile::record_head(std::size_t order, std::uint64_t first, const Record& record) const {
  return Writer()
      .u32(kRecordMagic)
      .u32(static_cast<std::uint32_t>(order))
      .u64(first)
      .u64(record.units)
      .raw(record.session.bytes())
      .u64(record.content_bytes)
      .take();
}

/// With its hash.
Bytes MaterialFile::drop_record(std::size_t order, protocols::UnitRange units) const {
  Writer out;
  out.u32(kDropMagic).u32(static_cast<std::uint32_t>(order)).u64(units.first).u64(units.count);
  const crypto::Digest hash = record_hash(header(), out.view(), {});
  return out.raw(hash).take();
}

Bytes MaterialFile::end() const {
  Writer hashes;
  hashes.raw(header()).raw(content_);
  for (const auto& [order, first] : in_file_) hashes.raw(records_[order].at(first).hash);
  return Writer()
      .u32(kEndMagic)
      .u64(in_file_.size())
      .raw(content_)
      .raw(crypto::tagged_hash(crypto::separators::kMaterial, hashes.view()))
      .take();
}

/// Error: data_loss if it does not fit to the plan or to what is there.
Status MaterialFile::add(std::size_t order, std::uint64_t first, const Record& record) {
  const auto wrong = [&](std::string_view what) {
    return fail(Code::data_loss, "{}: units {} to {} of order {} {}", file_.native(), first, first + record.units,
                order, what);
  };
  if (order >= plan_.size()) return wrong("are of no order of its plan");
  const std::uint64_t units = plan_[order].units();
  if (record.units == 0 || first >= units || record.units > units - first) return wrong("are not units of its plan");
  if (record.content_bytes != material_bytes(plan_[order], first, record.units))
    return wrong(fmt::format("have {} bytes, expected {}", record.content_bytes,
                             material_bytes(plan_[order], first, record.units)));
  auto& there = records_[order];
  const auto next = there.lower_bound(first);
  if (next != there.end() && next->first < first + record.units) return wrong("are there twice");
  if (next != there.begin() && std::prev(next)->first + std::prev(next)->second.units > first)
    return wrong("are there twice");
  there.emplace_hint(next, first, record);
  in_file_.emplace_back(order, first);
  return {};
}

/// Forgets the records of these units. Error: data_loss if one of them has other units too.
Status MaterialFile::remove(std::size_t order, protocols::UnitRange units) {
  if (order >= plan_.size() || units.count > plan_[order].units() || units.first > plan_[order].units() - units.count)
    return fail(Code::data_loss, "{}: what was dropped are not units of its plan", file_.native());
  auto& there = records_[order];
  auto at = there.lower_bound(units.first);
  if (at != there.begin() && std::prev(at)->first + std::prev(at)->second.units > units.first) --at;
  for (; at != there.end() && at->first < units.first + units.count; at = there.erase(at)) {
    const auto& [first, record] = *at;
    if (first < units.first || first + record.units > units.first + units.count)
      return fail(Code::data_loss, "{}: units {} to {} of order {} are dropped, but {} to {} are one record",
                  file_.native(), units.first, units.first + units.count, order, first, first + record.units);
    std::erase(in_file_, std::pair{order, first});
  }
  return {};
}

/// Is every unit there?
Status MaterialFile::check_whole() const {
  for (std::size_t order = 0; order < plan_.size(); ++order) {
    std::uint64_t units = 0;
    for (const auto& [first, record] : records_[order]) units += record.units;
    if (units != plan_[order].units())
      return fail(Code::internal, "{}: order {} of the plan has {} units, expected {}", file_.native(), order, units,
                  plan_[order].units());
  }
  return {};
}

Result<std::unique_ptr<MaterialFile>> MaterialFile::create_now(runtime::Compute& compute,
                                                               const std::filesystem::path& folder, const PreprocId& id,
                                                               std::uint16_t attempt, MaterialPlan plan) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_failure("make the folder", folder);
  // Also of a folder that is there: an earlier try may have made it, and failed here.
  WITAN_TRY(sync_folder(folder.has_parent_path() ? folder.parent_path() : "."));
  const auto file = file_of(folder, id);
  // A file without content is of an earlier try, which could not remove it either.
  struct stat found{};
  if (::lstat(file.c_str(), &found) == 0 && found.st_size <= static_cast<off_t>(kHeaderBytes) &&
      ::unlink(file.c_str()) != 0)
    return system_failure("remove", file);
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return system_failure("create", file);
  auto descriptor = std::make_shared<Descriptor>(fd, file);
  std::unique_ptr<MaterialFile> out(
      new MaterialFile(compute, file, id, attempt, std::move(plan), std::move(descriptor)));
  Status stored = out->descriptor_->write(0, out->header());
  if (stored) stored = out->descriptor_->sync();
  if (stored) stored = sync_folder(folder);
  if (stored) return out;
  static_cast<void>(::unlink(file.c_str()));  // so that it can be created again; nothing is in it yet
  return fail(std::move(stored).error());
}

Result<std::unique_ptr<MaterialFile>> MaterialFile::open_now(runtime::Compute& compute,
                                                             const std::filesystem::path& folder, const PreprocId& id,
                                                             MaterialPlan plan, State state) {
  const auto file = file_of(folder, id);
  const int fd = ::open(file.c_str(), (state == State::complete ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return system_failure("open", file);
  auto descriptor = std::make_shared<Descriptor>(fd, file);
  std::unique_ptr<MaterialFile> out(new MaterialFile(compute, file, id, 0, std::move(plan), std::move(descriptor)));
  WITAN_TRY(out->read_index(state));
  return out;
}

Status MaterialFile::read_index(State state) {
  const auto damaged = [this](std::uint64_t at, std::string_view what) {
    return fail(Code::data_loss, "{} is damaged at byte {}: {}", file_.native(), at, what);
  };
  WITAN_ASSIGN(const std::uint64_t size, descriptor_->size_bytes());
  Bytes head(kHeaderBytes);
  WITAN_TRY(descriptor_->read(0, head));
  attempt_ = load_le<std::uint16_t>(head.data() + kAttemptOffset);
  if (head != header()) return damaged(0, "it is not of this preprocessing and plan");
  std::uint64_t at = kHeaderBytes;
  while (!complete_) {
    const auto next = read_piece(at, size);
    if (!next && state == State::interrupted && next.error().code == Code::data_loss) {
      // What the interruption has cut short, or left in a place that a later piece would have taken: nobody was told that it is there.
      if (at < size)
        log::warn("{}: {} of {} bytes are whole; what is behind them is given up", file_.native(), at, size);
      WITAN_TRY(descriptor_->truncate(at));
      descriptor_->set_end(at);
      return descriptor_->sync();
    }
    if (!next) return fail(next.error());
    at = *next;
  }
  if (size != at) return damaged(at, fmt::format("it has {} bytes", size));
  descriptor_->set_end(at);
  if (const Status whole = check_whole(); !whole) return fail(Code::data_loss, "{}", whole.error().message);
  return {};
}

/// Takes up what begins there, and says where it ends.
Result<std::uint64_t> MaterialFile::read_piece(std::uint64_t at, std::uint64_t size) {
  const auto damaged = [this, at](std::string_view what) {
    return fail(Code::data_loss, "{} is damaged at byte {}: {}", file_.native(), at, what);
  };
  Bytes magic(4);
  WITAN_TRY(descriptor_->read(at, magic));
  const std::uint32_t kind = load_le<std::uint32_t>(magic.data());
  if (kind != kRecordMagic && kind != kDropMagic && kind != kEndMagic) return damaged("there is no record");
  Bytes raw(kind == kRecordMagic ? kRecordHeadBytes : kind == kDropMagic ? kDropBytes : kEndBytes);
  WITAN_TRY(descriptor_->read(at, raw));
  Reader reader(raw);
  reader.u32();
  if (kind == kEndMagic) {
    reader.u64();
    content_ = reader.array<32>();
    if (raw != end()) return damaged("its end names other records than it has");
    complete_ = true;
    return at + raw.size();
  }
  const std::size_t order = reader.u32();
  const std::uint64_t first = reader.u64();
  if (kind == kDropMagic) {
    const protocols::UnitRange units{first, reader.u64()};
    if (raw != drop_record(order, units)) return damaged("what was dropped has another hash");
    WITAN_TRY(remove(order, units));
    return at + raw.size();
  }
  Record record;
  record.units = reader.u64();
  const ByteArray<16> session = reader.array<16>();
  record.session = {load_le<u128>(session.data())};
  record.content_bytes = reader.u64();
  record.hash = reader.array<32>();
  record.offset = at + kRecordHeadBytes;
  if (record.offset > size || record.content_bytes > size - record.offset)
    return damaged("a record goes beyond its end");
  WITAN_TRY(add(order, first, record));
  return record.offset + record.content_bytes;
}

Task<Result<std::unique_ptr<MaterialFile>>> MaterialFile::create(runtime::Compute& compute,
                                                                 std::filesystem::path folder, PreprocId id,
                                                                 std::uint16_t attempt, MaterialPlan plan) {
  co_return co_await compute(Work::preprocessing,
                             [&compute, folder = std::move(folder), id, attempt, plan = std::move(plan)] {
                               return create_now(compute, folder, id, attempt, plan);
                             });
}

Task<Result<std::unique_ptr<MaterialFile>>> MaterialFile::open(runtime::Compute& compute, std::filesystem::path folder,
                                                               PreprocId id, MaterialPlan plan, State state) {
  co_return co_await compute(Work::preprocessing, [&compute, folder = std::move(folder), id, plan = std::move(plan),
                                                   state] { return open_now(compute, folder, id, plan, state); });
}

Task<Status> MaterialFile::put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) {
  return put_shared(order, first, session, std::make_shared<const Secret<Bytes>>(std::move(content)));
}

Task<Status> MaterialFile::put_shared(std::size_t order, std::uint64_t first, SessionId session,
                                      std::shared_ptr<const Secret<Bytes>> content) {
  WITAN_CHECK(order < plan_.size() && !complete_);
  Record record;
  record.content_bytes = content->reveal().size();
  const std::size_t unit = plan_[order].unit_bytes();
  record.units = (record.content_bytes + unit - 1) / unit;
  record.session = session;
  struct Written {
    std::uint64_t at;
    crypto::Digest hash;
  };
  const auto written = co_await ok(co_await compute_(
      Work::preprocessing,
      [descriptor = descriptor_, header = header(), head = record_head(order, first, record),
       generation = descriptor_->generation(), content = std::move(content)]() -> Result<Written> {
        const crypto::Digest hash = record_hash(header, head, content->reveal());
        Bytes whole = head;
        append(whole, hash);
        WITAN_ASSIGN(const std::uint64_t at, descriptor->append(generation, whole, content->reveal()));
        return Written{at, hash};
      }));
  record.offset = written.at + kRecordHeadBytes;
  record.hash = written.hash;
  const Status added = add(order, first, record);
  WITAN_CHECK(added);
  co_return Status{};
}

Task<Status> MaterialFile::drop(std::size_t order, protocols::UnitRange units) {
  WITAN_CHECK(!complete_);
  co_await ok(remove(order, units));
  co_return co_await compute_(Work::preprocessing, [descriptor = descriptor_, record = drop_record(order, units)] {
    return descriptor->append_drop(record);
  });
}

Task<Status> MaterialFile::complete(const crypto::Digest& content) {
  WITAN_CHECK(!complete_);
  co_await ok(check_whole());
  // As they lie in the file: records are indexed when their kernels have been heard of.
  std::ranges::sort(in_file_, {}, [this](const auto& place) { return records_[place.first].at(place.second).offset; });
  content_ = content;
  co_await ok(co_await compute_(Work::preprocessing,
                                [descriptor = descriptor_, last = end()] { return descriptor->append_end(last); }));
  complete_ = true;
  co_return Status{};
}

/// A part of a record, and where it goes.
struct MaterialFile::Place {
  Bytes head;
  Record record;
  std::uint64_t from = 0, size = 0;  // within the content
};

Task<Result<Secret<Bytes>>> MaterialFile::get(std::size_t order, std::uint64_t first, std::uint64_t count) {
  WITAN_CHECK(order < plan_.size());
  const MaterialOrder& wanted = plan_[order];
  const auto missing = [&](std::uint64_t unit) {
    return fail(Code::not_found, "{}: unit {} of order {} is not there", file_.native(), unit, order);
  };
  if (first > wanted.units() || count > wanted.units() - first) co_return missing(wanted.units());
  std::vector<Place> places;
  for (std::uint64_t unit = first; unit < first + count;) {
    auto found = records_[order].upper_bound(unit);
    if (found == records_[order].begin()) co_return missing(unit);
    --found;
    const Record& record = found->second;
    const std::uint64_t end_unit = std::min(first + count, found->first + record.units);
    if (end_unit <= unit) co_return missing(unit);
    const std::uint64_t from = (unit - found->first) * wanted.unit_bytes();
    places.push_back(
        {record_head(order, found->first, record), record, from, material_bytes(wanted, unit, end_unit - unit)});
    unit = end_unit;
  }
  co_return co_await compute_(
      Work::preprocessing,
      [descriptor = descriptor_, header = header(), file = file_, places = std::move(places),
       size = material_bytes(wanted, first, count)]() -> Result<Secret<Bytes>> {
        Secret<Bytes> out{Bytes(static_cast<std::size_t>(size))};
        auto at = out.reveal_mutable().begin();
        for (const Place& place : places) {
          Secret<Bytes> content{Bytes(static_cast<std::size_t>(place.record.content_bytes))};
          WITAN_TRY(descriptor->read(place.record.offset, content.reveal_mutable()));
          const crypto::Digest found = record_hash(header, place.head, content.reveal());
          if (found != place.record.hash)
            return fail(Code::data_loss, "{} is damaged: {} bytes from byte {} on have hash {}, written was {}",
                        file.native(), place.record.content_bytes, place.record.offset, to_hex(found),
                        to_hex(place.record.hash));
          const auto piece = ByteView(content.reveal())
                                 .subspan(static_cast<std::size_t>(place.from), static_cast<std::size_t>(place.size));
          at = std::ranges::copy(piece, at).out;
        }
        return out;
      });
}

Task<Status> PatientMaterial::put(std::size_t order, std::uint64_t first, SessionId session, Secret<Bytes> content) {
  const auto shared = std::make_shared<const Secret<Bytes>>(std::move(content));
  co_return co_await wait_.repeat([&] { return file_.put_shared(order, first, session, shared); });
}

Task<Status> PatientMaterial::drop(std::size_t order, protocols::UnitRange units) {
  co_return co_await wait_.repeat([&] { return file_.drop(order, units); });
}

Task<Result<Secret<Bytes>>> PatientMaterial::get(std::size_t order, std::uint64_t first, std::uint64_t count) {
  co_return co_await wait_.repeat([&] { return file_.get(order, first, count); });
}

Result<SessionId> MaterialFile::session(std::size_t order) const {
  WITAN_CHECK(order < plan_.size());
  if (records_[order].empty()) return fail(Code::not_found, "{}: nothing of order {} is there", file_.native(), order);
  return records_[order].begin()->second.session;
}

Status MaterialFile::claim_folder(const std::filesystem::path& folder, std::string_view owner) {
  static std::mutex one_at_once;  // kernels that need the folder share the name of the fresh file
  const std::lock_guard lock(one_at_once);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_failure("make the folder", folder);
  const std::filesystem::path file = folder / "owner";
  const auto check = [&]() -> Status {  // error also: not_found
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return system_failure("open", file);
    const Descriptor content(fd, file);
    struct stat info{};
    if (::fstat(fd, &info) != 0) return system_failure("examine", file);
    std::string found(std::min<std::size_t>(static_cast<std::size_t>(info.st_size), 128), '\0');
    WITAN_TRY(content.read(0, {reinterpret_cast<std::uint8_t*>(found.data()), found.size()}));
    if (found == owner) return {};
    if (found.empty())
      return fail(Code::failed_precondition,
                  "{} is empty: it was not written to its end; if the folder is this party's ({}), remove the file",
                  file.native(), owner);
    return fail(Code::failed_precondition,
                "the folder {} holds the material of party {}, this one is {}: give each party a folder of its own "
                "(internal_config.material_path); if that party is gone for good, remove the folder",
                folder.native(), found, owner);
  };
  // First of all, for what follows needs room on the disk.
  if (const Status there = check(); there || there.error().code != Code::not_found) return there;
  const std::filesystem::path fresh = folder / fmt::format("owner.{}", owner);
  const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return system_failure("create", fresh);
  {
    const Descriptor content(fd, fresh);
    WITAN_TRY(content.write(0, as_bytes(owner)));
    WITAN_TRY(content.sync());
  }
  // The name appears with its content, and only if it was not there.
  const bool is_new = ::link(fresh.c_str(), file.c_str()) == 0;
  const int error = errno;
  static_cast<void>(::unlink(fresh.c_str()));
  if (is_new) return sync_folder(folder);
  if (error == EEXIST) return check();
  if (error != EPERM && error != EOPNOTSUPP && error != ENOSYS) return system_failure("create", file, error);
  // A file system without hard links: only if it was not there, at least.
  const int note = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (note < 0) return errno == EEXIST ? check() : system_failure("create", file);
  const Descriptor content(note, file);
  Status written = content.write(0, as_bytes(owner));
  if (written) written = content.sync();
  if (written) return sync_folder(folder);
  static_cast<void>(::unlink(file.c_str()));
  return written;
}

Task<Status> claim_material(runtime::Compute& compute, std::filesystem::path folder, std::string owner) {
  const Status claimed = co_await compute(Work::preprocessing, [folder = std::move(folder), owner = std::move(owner)] {
    return MaterialFile::claim_folder(folder, owner);
  });
  if (claimed || claimed.error().code == Code::failed_precondition) co_return claimed;
  co_return fail(
      Code::unavailable,
      "{}; material is not made, read or erased before the folder says whose it is: let the node write there "
      "(internal_config.material_path)",
      claimed.error().message);
}

Result<std::vector<PreprocId>> list_material(const std::filesystem::path& folder) {
  std::vector<PreprocId> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (auto id = PreprocId::parse(it->path().filename().native())) out.push_back(*id);
  if (error && error != std::errc::no_such_file_or_directory)
    return fail(Code::unavailable, "cannot read the folder {}: {}", folder.native(), error.message());
  std::ranges::sort(out);
  return out;
}

namespace {

/// A file that is to be overwritten.
struct Doomed {
  explicit Doomed(int descriptor) : fd(descriptor) {}
  Doomed(const Doomed&) = delete;
  Doomed& operator=(const Doomed&) = delete;
  ~Doomed() { ::close(fd); }
  const int fd;
  std::uint64_t size_bytes = 0;
};

/// Null if it is not there.
Result<std::shared_ptr<const Doomed>> open_doomed(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return nullptr;
  if (fd < 0) return system_failure("open", file);
  auto out = std::make_shared<Doomed>(fd);
  struct stat info{};
  if (::fstat(fd, &info) != 0) return system_failure("examine", file);
  out->size_bytes = static_cast<std::uint64_t>(info.st_size);
  return out;
}

}  // namespace

Task<Status> erase_material(runtime::Compute& compute, std::filesystem::path folder, PreprocId id) {
  const auto file = file_of(folder, id);
  const auto open = co_await ok(co_await compute(Work::preprocessing, [file] { return open_doomed(file); }));
  if (!open) co_return Status{};
  for (std::uint64_t at = 0; at < open->size_bytes; at += kErasedAtOnce) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kErasedAtOnce, open->size_bytes - at));
    const Status erased = co_await compute(Work::preprocessing, [open, file, at, count]() -> Status {
      const Bytes zeros(count);
      for (std::size_t done = 0; done < count;) {
        const ssize_t n = ::pwrite(open->fd, zeros.data() + done, count - done, static_cast<off_t>(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_failure("overwrite", file);
        done += static_cast<std::size_t>(n);
      }
      return {};
    });
    if (!erased) {  // the name is removed all the same
      log::error("{}", erased.error().message);
      break;
    }
  }
  co_return co_await compute(Work::preprocessing, [open, file, folder]() -> Status {
    static_cast<void>(::fdatasync(open->fd));
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) return system_failure("remove", file);
    return sync_folder(folder);
  });
}

}  // namespace witan::node
