// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A folder in memory that loses what was not synced, and fails at any step. It knows, of each file,
// what is on the device, what was written since the last sync, and what the system shows; and of the
// names, which are safe.
//
// Invariants
//   I1  crash() keeps what was synced. Of what was not it keeps what it is told: nothing, all, or some
//       sectors of 512 bytes, and some changes of names, in any order.
//   I2  A sync() that is made to fail loses what it should have written, as systems do: it is shown
//       until somebody forgets the cache, and no later sync writes it.
//   I3  Steps are what changes something: create, write, sync, preallocate, truncate, rename, remove,
//       sync of the folder. They are counted from 1.
// Threads: files and folder from any; what tests set and look at while nobody else is at work.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <random>

#include "durability/file.hpp"

namespace exdb {

/// What goes wrong, of the folders of one machine together.
struct Breaks {
  std::uint64_t steps = 0;
  std::uint64_t crash_at = 0;  ///< this step, half done, and all after it fail
  std::uint64_t fail_at = 0;   ///< this step fails, with fail_code
  ErrorCode fail_code = ErrorCode::disk;
  bool syncs_do_nothing = false;  ///< what a program without fsync would do
  bool killed = false;            ///< the process is: nothing it asks for is done, or counted

  [[nodiscard]] bool crashed() const { return crash_at != 0 && steps >= crash_at; }
  /// `number`: of this step, as crash_at and fail_at count; 0 when nothing is asked for any more.
  Status step(const char* doing, std::uint64_t* number = nullptr) {
    const std::lock_guard locked(lock);
    if (number != nullptr) *number = 0;
    if (killed) return {ErrorCode::disk, std::string(doing) + ": the process is killed"};
    ++steps;
    if (number != nullptr) *number = steps;
    if (crashed()) return {ErrorCode::disk, std::string(doing) + ": the machine is down"};
    if (steps == fail_at) return {fail_code, std::string(doing) + ": made to fail"};
    return {};
  }
  std::mutex lock;  ///< of step()
};

class BreakableFolder final : public Folder {
 private:
  const std::shared_ptr<Breaks> breaks_;

 public:
  using Content = std::vector<std::byte>;
  enum class Survives { nothing, everything, some };

  explicit BreakableFolder(std::shared_ptr<Breaks> breaks = std::make_shared<Breaks>(),
                           std::string path = "/disk")
      : breaks_(std::move(breaks)), path_(std::move(path)) {}

  std::uint64_t& steps = breaks_->steps;
  std::uint64_t& crash_at = breaks_->crash_at;
  std::uint64_t& fail_at = breaks_->fail_at;
  ErrorCode& fail_code = breaks_->fail_code;
  bool& syncs_do_nothing = breaks_->syncs_do_nothing;
  bool& killed = breaks_->killed;

  /// What a machine finds that starts again.
  [[nodiscard]] std::unique_ptr<BreakableFolder> after_crash(
      Survives how, unsigned seed = 0,
      std::shared_ptr<Breaks> breaks = std::make_shared<Breaks>()) const {
    auto found = std::make_unique<BreakableFolder>(std::move(breaks), path_);
    std::mt19937 random(seed);
    auto names = safe_names_;
    for (const auto& change : name_changes_)
      if (how == Survives::everything || (how == Survives::some && random() % 2 == 0))
        change(names);
    for (const auto& [name, inode] : names) {
      auto copy = std::make_shared<Inode>();
      copy->safe = inode->safe;
      for (const auto& change : inode->unsynced) {
        if (how == Survives::everything) apply(change, copy->safe);
        if (how == Survives::some) apply_some(change, copy->safe, random);
      }
      copy->shown = copy->safe;
      found->names_[name] = found->safe_names_[name] = copy;
    }
    return found;
  }
  /// The same machine goes on: what was written is still shown.
  void restart() { steps = crash_at = fail_at = 0; }

  // --- for tests that look, and damage ---
  [[nodiscard]] const Content& content(const std::string& name) const {
    return names_.at(name)->shown;
  }
  void put(const std::string& name, Content content) {
    auto inode = std::make_shared<Inode>();
    inode->safe = inode->shown = std::move(content);
    names_[name] = safe_names_[name] = inode;
  }
  void flip(const std::string& name, std::size_t offset) {
    auto& inode = *names_.at(name);
    inode.safe.at(offset) ^= std::byte{0x10};
    inode.shown.at(offset) ^= std::byte{0x10};
  }
  [[nodiscard]] std::vector<std::string> names() { return list().value(); }
  [[nodiscard]] bool has(const std::string& name) const { return names_.count(name) != 0; }

  // --- Folder ---
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    const std::lock_guard locked(lock_);
    if (auto status = step("create"); !status) return status;
    if (has(name)) return Status(ErrorCode::disk, "'" + name + "': create: it is there");
    auto inode = std::make_shared<Inode>();
    change_names([name, inode](Names& names) { names[name] = inode; });
    return std::unique_ptr<File>(std::make_unique<BreakableFile>(*this, inode));
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    const std::lock_guard locked(lock_);
    if (!has(name)) return Status(ErrorCode::disk, "'" + name + "': open: it is not there");
    return std::unique_ptr<File>(std::make_unique<BreakableFile>(*this, names_.at(name)));
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard locked(lock_);
    if (auto status = step("rename"); !status) return status;
    change_names([from, to](Names& names) {
      const auto file = names.find(from);
      if (file == names.end()) return;  // a crash has kept this and not its creation
      names[to] = file->second;
      names.erase(from);
    });
    return {};
  }
  Status remove(const std::string& name) override {
    const std::lock_guard locked(lock_);
    if (auto status = step("remove"); !status) return status;
    change_names([name](Names& names) { names.erase(name); });
    return {};
  }
  Status sync() override {
    const std::lock_guard locked(lock_);
    if (auto status = step("fsync"); !status) return status;
    if (syncs_do_nothing) return {};
    safe_names_ = names_;
    name_changes_.clear();
    return {};
  }
  Result<std::vector<std::string>> list() override {
    const std::lock_guard locked(lock_);
    std::vector<std::string> listed;
    for (const auto& [name, inode] : names_) listed.push_back(name);
    return listed;
  }
  [[nodiscard]] std::string path_of(const std::string& name) const override {
    return path_ + "/" + name;
  }

 private:
  static constexpr std::size_t sector = 512;
  struct Change {
    bool resizes = false;
    std::uint64_t offset = 0;  ///< or the size
    Content bytes;
  };
  struct Inode {
    Content safe, shown;
    std::vector<Change> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  static void apply(const Change& change, Content& to) {
    if (change.resizes) return to.resize(change.offset);
    to.resize(std::max<std::size_t>(to.size(), change.offset + change.bytes.size()));
    std::copy(change.bytes.begin(), change.bytes.end(), to.begin() + std::ptrdiff_t(change.offset));
  }
  static void apply_some(const Change& change, Content& to, std::mt19937& random) {
    if (change.resizes) {
      if (random() % 2 == 0) apply(change, to);
      return;
    }
    for (std::size_t at = 0; at < change.bytes.size();) {
      const auto until = std::min(change.bytes.size(), at + sector - (change.offset + at) % sector);
      if (random() % 2 == 0) {
        const auto begin = change.bytes.begin();
        apply({false, change.offset + at,
               Content(begin + std::ptrdiff_t(at), begin + std::ptrdiff_t(until))},
              to);
      }
      at = until;
    }
  }

  Status step(const char* doing, std::uint64_t* number = nullptr) {
    return breaks_->step(doing, number);
  }
  void change_names(std::function<void(Names&)> change) {
    change(names_);
    name_changes_.push_back(std::move(change));
  }

  class BreakableFile final : public File {
   public:
    BreakableFile(BreakableFolder& folder, std::shared_ptr<Inode> inode)
        : folder_(folder), inode_(std::move(inode)) {}
    Status write(std::uint64_t offset, Bytes bytes) override {
      const std::lock_guard locked(folder_.lock_);
      std::uint64_t number = 0;
      auto status = folder_.step("write", &number);
      // Half done: the device may have any of it.
      const bool now = number != 0 && (number == folder_.crash_at || number == folder_.fail_at);
      if (status.ok() || now) change({false, offset, Content(bytes.begin(), bytes.end())});
      return status;
    }
    Status sync() override {
      const std::lock_guard locked(folder_.lock_);
      std::uint64_t number = 0;
      auto status = folder_.step("fsync", &number);
      if (status.ok() && !folder_.syncs_do_nothing) {
        for (const auto& each : inode_->unsynced) apply(each, inode_->safe);
        inode_->unsynced.clear();
      }
      if (!status.ok() && number != 0 && number == folder_.fail_at) inode_->unsynced.clear();  // I2
      return status;
    }
    Status preallocate(std::uint64_t bytes) override {
      const std::lock_guard locked(folder_.lock_);
      if (auto status = folder_.step("preallocate"); !status) return status;
      if (bytes > inode_->shown.size()) change({true, bytes, {}});
      return {};
    }
    Status truncate(std::uint64_t bytes) override {
      const std::lock_guard locked(folder_.lock_);
      if (auto status = folder_.step("truncate"); !status) return status;
      change({true, bytes, {}});
      return {};
    }
    Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
      const std::lock_guard locked(folder_.lock_);
      const auto& all = inode_->shown;
      const auto from = std::min<std::uint64_t>(offset, all.size());
      const auto count = std::min<std::uint64_t>(into.size(), all.size() - from);
      std::copy_n(all.begin() + std::ptrdiff_t(from), count, into.begin());
      return std::size_t(count);
    }
    Result<std::uint64_t> size() override {
      const std::lock_guard locked(folder_.lock_);
      return std::uint64_t(inode_->shown.size());
    }
    void forget_cached() override {
      const std::lock_guard locked(folder_.lock_);
      inode_->shown = inode_->safe;
      for (const auto& each : inode_->unsynced) apply(each, inode_->shown);
    }

   private:
    void change(Change made) {
      apply(made, inode_->shown);
      inode_->unsynced.push_back(std::move(made));
    }
    BreakableFolder& folder_;
    std::shared_ptr<Inode> inode_;
  };

  const std::string path_;
  std::mutex lock_;
  Names names_, safe_names_;
  std::vector<std::function<void(Names&)>> name_changes_;  ///< since the last sync
};

}  // namespace exdb
