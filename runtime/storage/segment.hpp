// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Segment is the one region of memory in which a replica lives: private, or shared between the
// processes of a host. It is addressed by offset, so it may be mapped anywhere. Address space is
// reserved once, for the largest size; memory is taken in units as the replica grows, and nothing
// that is mapped ever moves.
//
// Invariants
//   I1  Offset 0 is never given out: it stands for "none". The first header_bytes belong to the
//       Segment itself.
//   I2  An offset below size() stays valid, and names the same bytes in every process, until the
//       segment ends.
//   I3  Shared memory is allocated before it is touched (posix_fallocate): a full /dev/shm or
//       container limit is a Status, never a SIGBUS. It is sealed against shrinking, so no process
//       can take it away from another.
//   I4  All processes of a shared segment live in one PID namespace: the ReaderTable tells the dead
//       from the living by process id. attach() refuses another namespace.
// Threads: grow() by the one writer only; everything else by anybody, at any time.
// Processes: a shared segment is a memfd; another process maps it by attach() with the descriptor.
//   Nothing has a name in the file system, so nothing is left behind when processes are killed.
// Failure: a Status no_memory that names sizes and the remedy; a grow() that failed has changed
//   nothing.
#pragma once
#include <atomic>
#include <memory>

#include "base/types.hpp"
#include "exdb/errors.hpp"

namespace exdb {

using Offset = std::uint64_t;

struct SegmentOptions {
  bool shared = false;
  /// Grown by multiples of this; rounded up to 64 KiB.
  std::size_t unit_bytes = std::size_t{128} << 20;
  /// Address space; halved, down to 1 GiB, until the system grants it.
  std::size_t reserve_bytes = std::size_t{256} << 30;
};

class Segment {
 public:
  /// The first unit is allocated and zero. Fails with no_memory naming the size and what limits it.
  static Result<std::unique_ptr<Segment>> create(const SegmentOptions& options);
  /// Maps the shared segment behind `fd` (dup'ed; the caller keeps its own).
  static Result<std::unique_ptr<Segment>> attach(int fd);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  template <class T>
  [[nodiscard]] T* at(Offset offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  [[nodiscard]] Offset offset_of(const void* pointer) const {
    return static_cast<Offset>(static_cast<const std::byte*>(pointer) - base_);
  }

  /// Bytes that may be touched. Grows only.
  [[nodiscard]] std::size_t size() const { return header()->size.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t reserved() const { return reserved_; }

  /// Makes at least `bytes` more memory usable (zeroed), in whole units. The writer only.
  Status grow(std::size_t bytes);

  /// The memfd of a shared segment, -1 for a private one.
  [[nodiscard]] int fd() const { return fd_; }

  /// What lies below is the Segment's own: the creator's structures begin here, or above.
  static constexpr Offset header_bytes = 64;

 private:
  struct Header {
    std::uint64_t magic;
    std::uint64_t
        reserved;  ///< an attaching process reserves as much, so that every offset is good in it
    std::uint64_t pid_namespace;  ///< I4
    std::atomic<std::uint64_t> size;
  };
  Segment() = default;
  [[nodiscard]] Header* header() const { return reinterpret_cast<Header*>(base_); }
  Status reserve(std::size_t bytes, std::size_t bytes_min);
  Status commit(std::size_t from, std::size_t to);

  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t unit_ = 0;
  int fd_ = -1;
};

}  // namespace exdb
