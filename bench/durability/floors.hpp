// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the device and the file system do by themselves, and a folder to try it in.
//
// Threads: plain functions.
// Failure: std::runtime_error that names the file.
#pragma once
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/bench.hpp"

namespace exdb::bench {

namespace fs = std::filesystem;

inline void must(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

inline bool in_memory(const std::string& folder) {
  constexpr long tmpfs = 0x01021994, ramfs = 0x858458f6;
  struct statfs about {};
  must(statfs(folder.c_str(), &about) == 0, "there is no folder " + folder);
  return about.f_type == tmpfs || about.f_type == ramfs;
}

inline double thread_cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return double(used.tv_sec) + 1e-9 * double(used.tv_nsec);
}

/// A folder of its own, that goes with it.
class Place {
 public:
  explicit Place(const std::string& in) : path_(in + "/exdb_bench_XXXXXX") {
    must(mkdtemp(path_.data()) != nullptr, "cannot make a folder in " + in);
  }
  ~Place() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  [[nodiscard]] std::string database() const { return path_ + "/db"; }
  [[nodiscard]] std::string file() const { return path_ + "/file"; }

 private:
  std::string path_;
};

/// A file of 16 MiB that is preallocated, or has zeros all over: then a sync waits for no journal.
/// Removed at the end.
class SyncedFile {
 public:
  SyncedFile(std::string path, bool filled) : path_(std::move(path)) {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = file_ >= 0 && posix_fallocate(file_, 0, file_bytes) == 0;
    const std::vector<char> zeros(filled ? std::size_t{file_bytes} : 0);
    good = good && pwrite(file_, zeros.data(), zeros.size(), 0) == ssize_t(zeros.size());
    must(good && fsync(file_) == 0, "cannot write " + path_);
  }
  ~SyncedFile() {
    ::close(file_);
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  SyncedFile(const SyncedFile&) = delete;
  SyncedFile& operator=(const SyncedFile&) = delete;

  void append_and_sync(std::size_t bytes) {
    data_.resize(bytes, 'x');
    if (at_ + off_t(bytes) > file_bytes) at_ = 0;
    must(pwrite(file_, data_.data(), bytes, at_) == ssize_t(bytes) && fdatasync(file_) == 0,
         "cannot sync " + path_);
    at_ += off_t(bytes);
  }

 private:
  static constexpr off_t file_bytes = 16 << 20;
  const std::string path_;
  int file_ = -1;
  off_t at_ = 0;
  std::vector<char> data_;
};

/// The floor of a commit: microseconds of each write and fdatasync.
inline std::vector<double> bare_syncs(const std::string& path, std::size_t bytes, int count,
                                      bool filled = false) {
  SyncedFile file(path, filled);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto start = Clock::now();
    file.append_and_sync(bytes);
    times.push_back(microseconds_since(start));
  }
  return times;
}

/// MB/s of writing a new file.
inline double bare_write(const std::string& path, std::size_t bytes) {
  const std::vector<char> data(std::size_t{1} << 18, 'x');
  const auto start = Clock::now();
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  for (std::size_t done = 0; done < bytes; done += data.size())
    must(write(file, data.data(), data.size()) == ssize_t(data.size()), "cannot write");
  fsync(file);
  ::close(file);
  const double us = microseconds_since(start);
  fs::remove(path);
  return double(bytes) / us;
}

inline void read_files(const std::string& folder) {
  std::vector<char> into(std::size_t{1} << 18);
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    while (file.read(into.data(), std::streamsize(into.size()))) {
    }
  }
}

}  // namespace exdb::bench
