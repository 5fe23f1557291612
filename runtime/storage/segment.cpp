// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "exdb/topology.hpp"

namespace exdb {

namespace {

constexpr std::uint64_t magic = 0x3130676573627864;  // "dxbseg01"
constexpr std::size_t granule = std::size_t{64} << 10;
constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t reserve_min = std::size_t{1} << 30;
/// A signal interrupts an allocation and undoes it: small steps get on also under a profiler's
/// timer.
constexpr std::size_t allocation_step = std::size_t{16} << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

std::string mib(std::size_t bytes) {
  return bytes < (std::size_t{1} << 20) ? std::to_string(bytes >> 10) + " KiB"
                                        : std::to_string(bytes >> 20) + " MiB";
}

std::string reason(int error) { return std::strerror(error); }

std::uint64_t own_pid_namespace() {
  struct stat found {};
  return ::stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

/// posix_fallocate beyond RLIMIT_FSIZE would end the process with SIGXFSZ instead of an error.
int allocate_file(int fd, std::size_t from, std::size_t to) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      to > limit.rlim_cur)
    return EFBIG;
  for (auto at = from; at < to;) {
    const auto bytes = std::min(allocation_step, to - at);
    const int error = ::posix_fallocate(fd, static_cast<off_t>(at), static_cast<off_t>(bytes));
    if (error == EINTR) continue;
    if (error != 0) {
      // What was had is given back; the file stays longer than size() says, which harms nobody.
      (void)::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                        static_cast<off_t>(to - from));
      return error;
    }
    at += bytes;
  }
  return 0;
}

}  // namespace

Status Segment::reserve(std::size_t bytes, std::size_t bytes_min) {
  bytes_min = round_up(bytes_min, granule);
  // Less address space is better than no database: a limit on it (ulimit -v, a small container) says
  // nothing about how much will be needed.
  for (bytes = round_up(bytes, granule);;
       bytes = std::max(round_up(bytes / 2, granule), bytes_min)) {
    // Aligned by hand, so that transparent huge pages fit.
    auto* area = ::mmap(nullptr, bytes + huge_page, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area != MAP_FAILED) {
      auto* begin = static_cast<std::byte*>(area);
      base_ = reinterpret_cast<std::byte*>(
          round_up(reinterpret_cast<std::uintptr_t>(begin), huge_page));
      const auto head = static_cast<std::size_t>(base_ - begin);
      if (head != 0) ::munmap(begin, head);
      if (head != huge_page) ::munmap(base_ + bytes, huge_page - head);
      reserved_ = bytes;
      return {};
    }
    if (bytes <= bytes_min) {
      return {ErrorCode::no_memory,
              "cannot reserve " + mib(bytes) + " of address space for a segment (" + reason(errno) +
                  "): raise the limit (ulimit -v, RLIMIT_AS) of this process"};
    }
  }
}

Status Segment::commit(std::size_t from, std::size_t to) {
  if (fd_ >= 0) {
    const int error = allocate_file(fd_, from, to);
    if (error == 0) return {};
    return {ErrorCode::no_memory, "cannot grow the shared segment from " + mib(from) + " to " +
                                      mib(to) + " (" + reason(error) +
                                      "): raise the container's memory limit or /dev/shm size, or "
                                      "ulimit -f, or lower db_segment_size (" +
                                      mib(unit_) + ")"};
  }
  // Private memory is not touched here: the kernel gives pages as they are used, so a unit costs
  // nothing in advance. A shared segment is (I3), for there running out later would be a SIGBUS.
  if (::mprotect(base_ + from, to - from, PROT_READ | PROT_WRITE) == 0) return {};
  return {ErrorCode::no_memory,
          "cannot grow the segment from " + mib(from) + " to " + mib(to) + " (" + reason(errno) +
              "): raise the memory limit of this process or container (with "
              "vm.overcommit_memory=2: vm.overcommit_ratio), or lower db_segment_size (" +
              mib(unit_) + ")"};
}

Result<std::unique_ptr<Segment>> Segment::create(const SegmentOptions& options) {
  std::unique_ptr<Segment> made(new Segment);
  made->unit_ = round_up(std::max(options.unit_bytes, std::size_t{1}), granule);
  const auto wanted = std::max(options.reserve_bytes, made->unit_);
  if (auto status = made->reserve(wanted, std::min(wanted, std::max(reserve_min, made->unit_)));
      !status)
    return status;
  if (options.shared) {
    const auto failed = [](const char* what) {
      return Status(ErrorCode::no_memory,
                    std::string("cannot make a shared segment: ") + what + ": " + reason(errno) +
                        "; open the database without is_shm if this system has no memfd");
    };
    made->fd_ = ::memfd_create("exdb", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made->fd_ < 0) return failed("memfd_create");
    if (::fchmod(made->fd_, 0600) != 0) return failed("fchmod");
    if (::fcntl(made->fd_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) return failed("fcntl(F_ADD_SEALS)");
    if (::mmap(made->base_, made->reserved_, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_FIXED | MAP_NORESERVE, made->fd_, 0) == MAP_FAILED) {
      return failed("mmap");
    }
    // Before its pages are there. Where it is not allowed they lie where they are first used, which
    // costs speed only.
    (void)place_shared(made->base_, made->reserved_);
  }
  // Reads are bound by waiting for memory, and a miss of the TLB is a wait more. Refused where huge
  // pages are off: then small ones do.
  (void)::madvise(made->base_, made->reserved_, MADV_HUGEPAGE);
  if (auto status = made->commit(0, made->unit_); !status) return status;
  auto& header = *made->header();
  header.magic = magic;
  header.reserved = made->reserved_;
  header.pid_namespace = own_pid_namespace();
  header.size.store(made->unit_, std::memory_order_release);
  return made;
}

Result<std::unique_ptr<Segment>> Segment::attach(int fd) {
  std::unique_ptr<Segment> made(new Segment);
  made->fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (made->fd_ < 0) {
    return {ErrorCode::invalid_handle,
            "descriptor " + std::to_string(fd) + " is not open: " + reason(errno)};
  }
  struct stat found {};
  std::uint64_t words[3] = {};
  if (::fstat(made->fd_, &found) != 0 || static_cast<std::size_t>(found.st_size) < granule ||
      ::pread(made->fd_, words, sizeof words, 0) != sizeof words || words[0] != magic) {
    return {ErrorCode::invalid_handle,
            "descriptor " + std::to_string(fd) +
                " is not a segment of this version of exdb: all processes of a host must "
                "run the same build"};
  }
  if (words[2] != own_pid_namespace()) {
    return {ErrorCode::unsupported,
            "the segment's creator lives in another PID namespace: processes that share one "
            "(is_shm) must be in the "
            "same container, or in containers without a PID namespace of their own"};
  }
  // All of it or nothing: offsets up to the creator's limit must be good here.
  if (auto status = made->reserve(words[1], words[1]); !status) return status;
  if (::mmap(made->base_, made->reserved_, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, made->fd_, 0) == MAP_FAILED) {
    return {ErrorCode::no_memory,
            "cannot map the shared segment (" + mib(made->reserved_) + "): " + reason(errno)};
  }
  (void)::madvise(made->base_, made->reserved_, MADV_HUGEPAGE);
  return made;
}

Segment::~Segment() {
  if (base_ != nullptr) ::munmap(base_, reserved_);
  if (fd_ >= 0) ::close(fd_);
}

Status Segment::grow(std::size_t bytes) {
  const auto from = size();
  const auto room = reserved_ - from;
  if (bytes > room) {
    return {ErrorCode::no_memory, "the segment is full: " + mib(from) + " in use, " + mib(bytes) +
                                      " more asked, " + mib(reserved_) +
                                      " of address space reserved; reserve more (ulimit -v, or "
                                      "reserve_bytes) or spread the data over more hosts"};
  }
  const auto to = from + std::min(round_up(bytes, unit_), room);
  if (auto status = commit(from, to); !status) return status;
  header()->size.store(to, std::memory_order_release);
  return {};
}

}  // namespace exdb
