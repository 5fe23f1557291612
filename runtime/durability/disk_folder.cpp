// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/disk_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

namespace exdb {
namespace {

constexpr const char* lock_name = "lock";

Status failed(const std::string& path, const char* doing, int error = errno) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return {full ? ErrorCode::disk_full : ErrorCode::disk,
          "'" + path + "': " + doing + ": " + std::generic_category().message(error) +
              (full ? "; make room, and open the database again" : "")};
}

/// Calls again what a signal has interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  auto answer = call();
  while (answer < 0 && errno == EINTR) answer = call();
  return answer;
}

/// File systems with a journal that note of each block whether it was ever written: the first write
/// into one that is preallocated makes a sync wait for the journal, too.
bool notes_first_writes(int file) {
  constexpr long ext = 0xEF53, xfs = 0x58465342;
  struct statfs about {};
  return ::fstatfs(file, &about) == 0 && (about.f_type == ext || about.f_type == xfs);
}

class DiskFile final : public File {
 public:
  DiskFile(std::string path, int file) : path_(std::move(path)), file_(file) {}
  ~DiskFile() override { ::close(file_); }

  Status write(std::uint64_t offset, Bytes bytes) override {
    while (!bytes.empty()) {
      const auto written =
          uninterrupted([&] { return ::pwrite(file_, bytes.data(), bytes.size(), off_t(offset)); });
      if (written < 0) return failed(path_, "write");
      if (written == 0) return failed(path_, "write", ENOSPC);
      bytes = bytes.subspan(std::size_t(written));
      offset += std::uint64_t(written);
    }
    end_ = std::max(end_, offset);
    return {};
  }

  /// Not repeated after a signal either: what became of the first one is not known.
  Status sync() override {
    if (auto status = write_ahead(); !status) return status;
    return ::fdatasync(file_) == 0 ? Status() : failed(path_, "fsync");
  }

  Status preallocate(std::uint64_t bytes) override {
    int error = EINTR;
    while (error == EINTR) error = ::posix_fallocate(file_, 0, off_t(bytes));
    if (error != 0) return failed(path_, "preallocate", error);
    if (notes_first_writes(file_)) preallocated_ = bytes;
    return {};
  }

  Status truncate(std::uint64_t bytes) override {
    end_ = bytes;
    filled_ = std::min(filled_, bytes);
    preallocated_ = std::min(preallocated_, bytes);
    return uninterrupted([&] { return ::ftruncate(file_, off_t(bytes)); }) == 0
               ? Status()
               : failed(path_, "truncate");
  }

  Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const auto got = uninterrupted([&] {
        return ::pread(file_, into.data() + done, into.size() - done, off_t(offset + done));
      });
      if (got < 0) return failed(path_, "read");
      if (got == 0) break;
      done += std::size_t(got);
    }
    return done;
  }

  Result<std::uint64_t> size() override {
    struct stat about {};
    if (::fstat(file_, &about) != 0) return failed(path_, "fstat");
    return std::uint64_t(about.st_size);
  }

  void forget_cached() override { ::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED); }

 private:
  /// Writes the zeros that are there anyway behind what was written, more of a file that has grown:
  /// so one sync of many waits for the journal, with all of a group 0.2 ms and not 0.35.
  Status write_ahead() {
    if (end_ <= filled_ || end_ >= preallocated_) return {};
    static constexpr std::array<std::byte, std::size_t{1} << 16> zeros{};
    constexpr std::uint64_t most = std::uint64_t{1} << 20;
    const auto ahead = std::clamp<std::uint64_t>(end_, zeros.size(), most);
    const auto end = end_;
    filled_ = std::min(preallocated_, end + ahead);
    for (auto at = end; at < filled_; at += zeros.size()) {
      const auto bytes = std::min<std::uint64_t>(zeros.size(), filled_ - at);
      if (auto status = write(at, Bytes(zeros).first(bytes)); !status) return status;
    }
    end_ = end;
    return {};
  }

  const std::string path_;
  const int file_;
  std::uint64_t end_ = 0;           ///< behind what was written
  std::uint64_t filled_ = 0;        ///< up to where blocks were written, be it zeros
  std::uint64_t preallocated_ = 0;  ///< if first writes are dear
};

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// That the folder itself is there after a crash. `made`: by this process; one of another may be in a
/// folder that cannot be read here, and then it is for who made it.
Status sync_parent(const std::string& path, bool made) {
  const auto parent = parent_of(path);
  const int file = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return made || errno != EACCES ? failed(parent, "open") : Status();
  const bool safe = ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  return safe ? Status() : failed(parent, "fsync", error);
}

class DiskFolders final : public Folders {
 public:
  Result<std::unique_ptr<Folder>> hold(const std::string& path) override {
    return as_folder(DiskFolder::hold(path));
  }
  Result<std::unique_ptr<Folder>> beside(const std::string& path) override {
    return as_folder(DiskFolder::beside(path));
  }
  Result<bool> make(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0) return true;
    if (errno != EEXIST) return failed(path, "make the folder of a database");
    return false;
  }
  Status rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? Status() : failed(from, "rename");
  }
  Status remove(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    return error ? failed(path, "remove", error.value()) : Status();
  }

 private:
  static Result<std::unique_ptr<Folder>> as_folder(Result<std::unique_ptr<DiskFolder>> folder) {
    if (!folder) return folder.status();
    return std::unique_ptr<Folder>(std::move(*folder));
  }
};

}  // namespace

Folders& disk_folders() {
  static DiskFolders folders;
  return folders;
}

std::string parent_of(const std::string& given) {
  const auto path = without_slashes(given);
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Result<bool> is_there(Folders& folders, const std::string& given) {
  const auto path = without_slashes(given);
  auto parent = folders.beside(parent_of(path));
  if (!parent) return parent.status();
  auto names = (*parent)->list();
  if (!names) return names.status();
  return std::binary_search(names->begin(), names->end(), path.substr(path.find_last_of('/') + 1));
}

Result<std::unique_ptr<DiskFolder>> DiskFolder::hold(const std::string& given) {
  const auto path = without_slashes(given);
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return failed(path, "make the folder of a database");
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return failed(path, "open as the folder of a database");
  std::unique_ptr<DiskFolder> opened(new DiskFolder(path, folder, true));
  if (auto status = opened->take_lock(); !status) return status;
  // Also of one that was there: who made it may have been killed before this.
  if (auto status = sync_parent(path, made); !status) return status;
  return opened;
}

Result<std::unique_ptr<DiskFolder>> DiskFolder::look(const std::string& path) {
  return unlocked(path, false);
}

Result<std::unique_ptr<DiskFolder>> DiskFolder::beside(const std::string& path) {
  return unlocked(path, true);
}

Result<std::unique_ptr<DiskFolder>> DiskFolder::unlocked(const std::string& given, bool writes) {
  const auto path = without_slashes(given);
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return failed(path, "open as the folder of a database");
  return std::unique_ptr<DiskFolder>(new DiskFolder(path, folder, writes));
}

DiskFolder::~DiskFolder() {
  if (lock_ >= 0) {
    // A child that was forked may have the descriptor still: said by name the lock goes all the same.
    if (::getpid() == locked_by_) ::flock(lock_, LOCK_UN);
    ::close(lock_);
  }
  ::close(folder_);
}

Status DiskFolder::take_lock() {
  const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  lock_ = ::openat(folder_, lock_name, flags, 0600);
  if (lock_ < 0) return failed(path_of(lock_name), "open");
  if (uninterrupted([&] { return ::flock(lock_, LOCK_EX | LOCK_NB); }) != 0) {
    const int error = errno;
    char text[16] = {};
    const auto length = ::pread(lock_, text, sizeof text - 1, 0);
    ::close(lock_);
    lock_ = -1;
    if (error != EWOULDBLOCK) return failed(path_of(lock_name), "lock", error);
    const std::string owner(text, std::size_t(std::max<ssize_t>(length, 0)));
    return {ErrorCode::disk_in_use, "'" + path_ + "' is open already, by process " +
                                        (owner.empty() ? "?" : owner) +
                                        ": one process has a database on disk at a time"};
  }
  locked_by_ = ::getpid();
  // For the message above alone: nothing depends on it, and a full disk shall not end an open.
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, locked_by_).ptr;
  if (::ftruncate(lock_, 0) == 0) (void)!::pwrite(lock_, text, std::size_t(end - text), 0);
  return {};
}

Result<std::unique_ptr<File>> DiskFolder::open_as(const std::string& name, int flags,
                                                  const char* doing) {
  const int file = uninterrupted(
      [&] { return ::openat(folder_, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0600); });
  if (file < 0) return failed(path_of(name), doing);
  return std::unique_ptr<File>(std::make_unique<DiskFile>(path_of(name), file));
}

Result<std::unique_ptr<File>> DiskFolder::create(const std::string& name) {
  return open_as(name, O_RDWR | O_CREAT | O_EXCL, "create");
}

Result<std::unique_ptr<File>> DiskFolder::open(const std::string& name) {
  return open_as(name, writes_ ? O_RDWR : O_RDONLY, "open");
}

Status DiskFolder::rename(const std::string& from, const std::string& to) {
  return ::renameat(folder_, from.c_str(), folder_, to.c_str()) == 0
             ? Status()
             : failed(path_of(from), "rename");
}

Status DiskFolder::remove(const std::string& name) {
  return ::unlinkat(folder_, name.c_str(), 0) == 0 ? Status() : failed(path_of(name), "remove");
}

Status DiskFolder::sync() { return ::fsync(folder_) == 0 ? Status() : failed(path_, "fsync"); }

Result<std::vector<std::string>> DiskFolder::list() {
  const int again = ::openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const entries = again < 0 ? nullptr : ::fdopendir(again);
  if (entries == nullptr) {
    auto status = failed(path_, "list");
    if (again >= 0) ::close(again);
    return status;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const auto* entry = ::readdir(entries)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  const int error = errno;
  ::closedir(entries);
  if (error != 0) return failed(path_, "list", error);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::optional<int>> holder_of(const std::string& path) {
  const auto name = without_slashes(path) + "/" + lock_name;
  const int file = ::open(name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return std::optional<int>();
    return failed(name, "open");
  }
  const bool free = uninterrupted([&] { return ::flock(file, LOCK_SH | LOCK_NB); }) == 0;
  const int error = errno;
  char text[16] = {};
  if (!free && error == EWOULDBLOCK) (void)!::pread(file, text, sizeof text - 1, 0);
  ::close(file);
  if (free) return std::optional<int>();
  if (error != EWOULDBLOCK) return failed(name, "lock", error);
  int process = 0;
  std::from_chars(text, text + sizeof text, process);
  return std::optional<int>(process);
}

}  // namespace exdb
