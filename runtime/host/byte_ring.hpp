// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A stream of bytes from one process to another through a ring of fixed size in shared memory. What
// is longer than the ring goes through it in parts, so its size bounds memory and not messages.
//
// Invariants
//   I1  read <= written <= read + capacity.
//   I2  Bytes are visible to the reader before `written` counts them, and overwritten only after
//       `read` has passed them.
// Threads: write() and room() by one thread at a time, read() and filled() by one thread at a time,
//   of whatever processes.
// Failure: a writer that dies leaves a stream that ends in the middle of a message; every byte before
//   `written` is whole.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/assert.hpp"
#include "base/types.hpp"

namespace exdb {

/// In zeroed shared memory.
struct RingEnds {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
};

class ByteRing {
 public:
  ByteRing() = default;
  /// `capacity` is a power of two.
  ByteRing(RingEnds* ends, std::byte* data, std::size_t capacity)
      : ends_(ends), data_(data), capacity_(capacity) {
    EXDB_ASSERT((capacity & (capacity - 1)) == 0, "a ring's capacity is a power of two");
  }

  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t filled() const {
    const auto bytes = ends_->written.load(std::memory_order_acquire) -
                       ends_->read.load(std::memory_order_relaxed);
    EXDB_ASSERT(bytes <= capacity_, "I1 of ByteRing");
    return bytes;
  }
  [[nodiscard]] std::size_t room() const {
    const auto bytes = ends_->written.load(std::memory_order_relaxed) -
                       ends_->read.load(std::memory_order_acquire);
    EXDB_ASSERT(bytes <= capacity_, "I1 of ByteRing");
    return capacity_ - bytes;
  }
  /// By any thread.
  [[nodiscard]] bool empty() const { return ends_->written.load() == ends_->read.load(); }
  [[nodiscard]] std::uint64_t written() const { return ends_->written.load(); }
  [[nodiscard]] std::uint64_t read() const { return ends_->read.load(); }

  /// As much as there is room for; how much that was.
  std::size_t write(Bytes from) {
    const auto bytes = std::min(from.size(), room());
    if (bytes == 0) return 0;
    const auto at = ends_->written.load(std::memory_order_relaxed);
    const auto first = std::min(bytes, capacity_ - at % capacity_);
    std::memcpy(data_ + at % capacity_, from.data(), first);
    std::memcpy(data_, from.data() + first, bytes - first);
    ends_->written.store(at + bytes);
    return bytes;
  }
  /// As much as there is; how much that was.
  std::size_t read(MutableBytes to) {
    const auto bytes = std::min(to.size(), filled());
    if (bytes == 0) return 0;
    const auto at = ends_->read.load(std::memory_order_relaxed);
    const auto first = std::min(bytes, capacity_ - at % capacity_);
    std::memcpy(to.data(), data_ + at % capacity_, first);
    std::memcpy(to.data() + first, data_, bytes - first);
    ends_->read.store(at + bytes);
    return bytes;
  }

 private:
  RingEnds* ends_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace exdb
