// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Folders by their paths: what opening the copies of a cluster asks of a file system beyond one folder,
// so that tests can put one in its place that loses what was not synced. disk_folders() is the real one.
//
// Invariants
//   I1  That a folder is there, has this name or is gone is safe after sync() of the one that it is in.
// Threads: from any.
// Failure: as file.hpp.
#pragma once
#include "durability/file.hpp"

namespace exdb {

class Folders {
 public:
  virtual ~Folders() = default;
  /// As DiskFolder::hold(): made when it is not there, safe whoever has made it, and this process's alone.
  virtual Result<std::unique_ptr<Folder>> hold(const std::string& path) = 0;
  /// One that is there, which others use too: for names that nobody else gives.
  virtual Result<std::unique_ptr<Folder>> beside(const std::string& path) = 0;
  /// Makes the last part of the path; false when it was there.
  virtual Result<bool> make(const std::string& path) = 0;
  /// Of a folder, to a name that is free.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  /// With all that is in it, if it is there.
  virtual Status remove(const std::string& path) = 0;
};

/// Of the system.
Folders& disk_folders();
/// The folder that this one is in.
[[nodiscard]] std::string parent_of(const std::string& path);
/// Whether it is there.
Result<bool> is_there(Folders& folders, const std::string& path);

}  // namespace exdb
