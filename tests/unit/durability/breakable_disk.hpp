// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The folders of a machine in memory, which lose what was not synced, and fail at any step: as
// BreakableFolder, with the names of folders, which are safe when the one that they are in was synced.
//
// Invariants
//   I1  Steps are those of all folders together, and those that make, rename and remove folders.
// Threads: Folders from any; the rest while nobody else is at work.
#pragma once
#include <set>

#include "durability/folders.hpp"
#include "lent_folder.hpp"

namespace exdb {

class BreakableDisk final : public Folders {
 public:
  using Survives = BreakableFolder::Survives;

  BreakableDisk() { names_["/"] = safe_names_["/"] = made("/"); }

  [[nodiscard]] Breaks& breaks() { return *breaks_; }
  /// What a machine finds that starts again.
  [[nodiscard]] std::unique_ptr<BreakableDisk> after_crash(Survives how, unsigned seed = 0) const {
    auto found = std::make_unique<BreakableDisk>();
    std::mt19937 random(seed);
    auto names = safe_names_;
    for (const auto& change : name_changes_)
      if (how == Survives::everything || (how == Survives::some && random() % 2 == 0))
        change.second(names);
    for (const auto& [path, folder] : names) {
      if (path != "/" && found->names_.count(parent_of(path)) == 0) continue;  // gone with that one
      found->names_[path] = found->safe_names_[path] =
          folder->after_crash(how, random(), found->breaks_);
    }
    return found;
  }
  [[nodiscard]] BreakableFolder& folder(const std::string& path) { return *names_.at(path); }
  [[nodiscard]] std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& [path, folder] : names_) all.push_back(path);
    return all;
  }

  // --- Folders ---
  Result<std::unique_ptr<Folder>> hold(const std::string& path) override {
    const std::lock_guard locked(*lock_);
    auto made_now = make(path);
    if (!made_now) return made_now.status();
    if (auto status = sync(parent_of(path)); !status) return status;
    const auto& folder = names_.at(path);
    if (!held_->insert(folder.get()).second)
      return Status(ErrorCode::disk_in_use, "'" + path + "' is open already");
    std::shared_ptr<void> held(folder.get(), [folder, all = held_, lock = lock_](void*) {
      const std::lock_guard still(*lock);
      all->erase(folder.get());
    });
    return std::unique_ptr<Folder>(std::make_unique<LentFolder>(*folder, std::move(held)));
  }
  Result<std::unique_ptr<Folder>> beside(const std::string& path) override {
    const std::lock_guard locked(*lock_);
    if (names_.count(path) == 0)
      return Status(ErrorCode::disk, "'" + path + "': open: it is not there");
    return std::unique_ptr<Folder>(std::make_unique<Beside>(*this, path, names_.at(path)));
  }
  Result<bool> make(const std::string& path) override {
    const std::lock_guard locked(*lock_);
    if (names_.count(path) != 0) return false;
    if (auto status = breaks_->step("mkdir"); !status) return status;
    change(parent_of(path), [path, folder = made(path)](Names& names) { names[path] = folder; });
    return true;
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard locked(*lock_);
    if (auto status = breaks_->step("rename"); !status) return status;
    if (names_.count(from) == 0 || names_.count(to) != 0)
      return {ErrorCode::disk, "'" + from + "': rename: it is not there, or '" + to + "' is"};
    change(parent_of(from), [from, to](Names& names) {
      const auto folder = names.find(from);
      if (folder == names.end()) return;  // a crash has kept this and not its creation
      names[to] = folder->second;
      names.erase(from);
    });
    return {};
  }
  /// File by file, as the system does.
  Status remove(const std::string& path) override {
    const std::lock_guard locked(*lock_);
    if (names_.count(path) == 0) return {};
    for (const auto& name : folder(path).names())
      if (auto status = folder(path).remove(name); !status) return status;
    if (auto status = breaks_->step("rmdir"); !status) return status;
    change(parent_of(path), [path](Names& names) { names.erase(path); });
    return {};
  }

 private:
  using Names = std::map<std::string, std::shared_ptr<BreakableFolder>>;

  /// A folder with the folders in it.
  class Beside final : public Folder {
   public:
    Beside(BreakableDisk& disk, std::string path, std::shared_ptr<BreakableFolder> files)
        : disk_(disk), path_(std::move(path)), files_(std::move(files)) {}
    Result<std::unique_ptr<File>> create(const std::string& name) override {
      return files_->create(name);
    }
    Result<std::unique_ptr<File>> open(const std::string& name) override {
      return files_->open(name);
    }
    Status rename(const std::string& from, const std::string& to) override {
      return files_->rename(from, to);
    }
    Status remove(const std::string& name) override { return files_->remove(name); }
    Status sync() override { return disk_.sync(path_); }
    Result<std::vector<std::string>> list() override {
      auto names = files_->list();
      const std::lock_guard locked(*disk_.lock_);
      for (const auto& path : disk_.paths())
        if (path != path_ && parent_of(path) == path_)
          names->push_back(path.substr(path.find_last_of('/') + 1));
      std::sort(names->begin(), names->end());
      return names;
    }
    [[nodiscard]] std::string path_of(const std::string& name) const override {
      return files_->path_of(name);
    }

   private:
    BreakableDisk& disk_;
    const std::string path_;
    const std::shared_ptr<BreakableFolder> files_;
  };

  std::shared_ptr<BreakableFolder> made(const std::string& path) const {
    return std::make_shared<BreakableFolder>(breaks_, path);
  }
  void change(const std::string& in, std::function<void(Names&)> change) {
    change(names_);
    name_changes_.emplace_back(in, std::move(change));
  }
  /// The names of files and of folders in it.
  Status sync(const std::string& path) {
    const std::lock_guard locked(*lock_);
    if (auto status = folder(path).sync(); !status) return status;
    if (breaks_->syncs_do_nothing) return {};
    for (const auto& [in, change] : name_changes_)
      if (in == path) change(safe_names_);
    std::erase_if(name_changes_, [&path](const auto& each) { return each.first == path; });
    return {};
  }

  const std::shared_ptr<Breaks> breaks_ = std::make_shared<Breaks>();
  const std::shared_ptr<std::recursive_mutex> lock_ = std::make_shared<std::recursive_mutex>();
  const std::shared_ptr<std::set<BreakableFolder*>> held_ =
      std::make_shared<std::set<BreakableFolder*>>();
  Names names_, safe_names_;
  std::vector<std::pair<std::string, std::function<void(Names&)>>>
      name_changes_;  ///< by the folder that they are in, since its last sync
};

}  // namespace exdb
