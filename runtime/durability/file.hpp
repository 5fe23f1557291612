// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The few things that durability asks of a file system, so that a test can put one in its place
// that loses what was not synced, and fails at any step. DiskFolder is the real one.
//
// Invariants
//   I1  What was written is safe after sync() of its file. That the file has its name (create,
//       rename) or has none any more (remove) is safe after sync() of its folder.
//   I2  A sync() that failed is never tried again: the system may have dropped the pages, and the
//       second one would succeed without them. Who gets the Status writes nothing more.
//   I3  Files are 0600 and the folder that is made 0700; no symbolic link is followed to them.
// Threads: a File by one thread at a time; a Folder from any.
// Failure: a Status disk_full, or disk, that names the path, the operation and the system's reason.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class File {
 public:
  virtual ~File() = default;
  /// All of it.
  virtual Status write(std::uint64_t offset, Bytes bytes) = 0;
  /// I1. Blocks on the device.
  virtual Status sync() = 0;
  /// The first `bytes` bytes have their place on the device, zero where nothing was written.
  virtual Status preallocate(std::uint64_t bytes) = 0;
  virtual Status truncate(std::uint64_t bytes) = 0;
  /// How many bytes were read: fewer than asked for at the end only.
  virtual Result<std::size_t> read(std::uint64_t offset, MutableBytes into) = 0;
  virtual Result<std::uint64_t> size() = 0;
  /// The next read comes from the device, as far as the system can be asked for that.
  virtual void forget_cached() = 0;
};

class Folder {
 public:
  virtual ~Folder() = default;
  /// A new file; one of that name is a failure.
  virtual Result<std::unique_ptr<File>> create(const std::string& name) = 0;
  virtual Result<std::unique_ptr<File>> open(const std::string& name) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& name) = 0;
  /// I1. Blocks on the device.
  virtual Status sync() = 0;
  /// In order.
  virtual Result<std::vector<std::string>> list() = 0;
  /// For people.
  [[nodiscard]] virtual std::string path_of(const std::string& name) const = 0;
};

using OpenFiles = std::vector<std::unique_ptr<File>>;
/// Removes it. With `going` its place is given back only when that ends: it takes the system 0.05 ms a
/// megabyte in memory and 0.2 on a disk, for which nobody has to wait who needs only that it has no
/// name any more.
Status remove_file(Folder& folder, const std::string& name, OpenFiles* going);

/// All of a file of at most `bytes_max` bytes.
Result<std::vector<std::byte>> read_all(File& file, std::uint64_t bytes_max);

/// That file and offset cannot be what was written there.
Status damaged(const std::string& path, std::uint64_t offset, const std::string& why);

}  // namespace exdb
