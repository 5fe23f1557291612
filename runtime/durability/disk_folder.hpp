// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A folder of the file system, held by one process at a time.
//
// Invariants
//   I1  While a DiskFolder lives no other process, and no other DiskFolder of this one, can have the
//       same folder: flock() on the file `lock` in it. A forked child does not let go of it for its
//       parent, and does not keep it when the parent does.
// Threads, Failure: as file.hpp; hold() of a folder that another one has: disk_in_use, naming its
//   process.
#pragma once
#include <sys/types.h>

#include <optional>

#include "durability/folders.hpp"

namespace exdb {

class DiskFolder final : public Folder {
 public:
  /// Makes the last part of the path when it is not there. Does not wait for who has it.
  static Result<std::unique_ptr<DiskFolder>> hold(const std::string& path);
  /// Without the lock, and nothing can be written: for who looks.
  static Result<std::unique_ptr<DiskFolder>> look(const std::string& path);
  /// Without the lock: as Folders::beside().
  static Result<std::unique_ptr<DiskFolder>> beside(const std::string& path);
  ~DiskFolder() override;
  DiskFolder(const DiskFolder&) = delete;
  DiskFolder& operator=(const DiskFolder&) = delete;

  Result<std::unique_ptr<File>> create(const std::string& name) override;
  Result<std::unique_ptr<File>> open(const std::string& name) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& name) override;
  Status sync() override;
  Result<std::vector<std::string>> list() override;
  [[nodiscard]] std::string path_of(const std::string& name) const override {
    return path_ + "/" + name;
  }

 private:
  DiskFolder(std::string path, int folder, bool writes)
      : path_(std::move(path)), folder_(folder), writes_(writes) {}
  static Result<std::unique_ptr<DiskFolder>> unlocked(const std::string& path, bool writes);
  Status take_lock();
  Result<std::unique_ptr<File>> open_as(const std::string& name, int flags, const char* doing);

  const std::string path_;
  const int folder_;
  const bool writes_;
  int lock_ = -1;
  pid_t locked_by_ = 0;
};

/// Which process has the folder open: 0 when that is not known, nothing when nobody has. Asks for the
/// lock, shared and without waiting, and gives it back at once: an open in that same moment may find
/// it taken.
Result<std::optional<int>> holder_of(const std::string& path);

}  // namespace exdb
