// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Bytes that wait, in one piece: written at the end, taken from the front.
//
// Invariants
//   I1  Emptied, it keeps at most keep_bytes.
// Threads: one at a time.
// Failure: std::bad_alloc; nothing has changed then.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace exdb::tcp {

class ByteQueue {
 public:
  static constexpr std::size_t keep_bytes = 256 * 1024;

  /// Room for at least `bytes` at the end, uninitialized; filled() says how much of it was used.
  std::span<std::byte> room(std::size_t bytes) {
    if (capacity_ - end_ < bytes) make_room(bytes);
    return {bytes_.get() + end_, capacity_ - end_};
  }
  void filled(std::size_t bytes) { end_ += bytes; }
  void append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()).data(), bytes.data(), bytes.size());
    filled(bytes.size());
  }
  /// Valid until the next change.
  [[nodiscard]] std::span<const std::byte> front() const {
    return {bytes_.get() + begin_, end_ - begin_};
  }
  /// REQUIRES: `bytes` is at most front().size().
  void drop(std::size_t bytes) {
    begin_ += bytes;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (capacity_ <= keep_bytes) return;
    bytes_.reset();
    capacity_ = 0;
  }

 private:
  void make_room(std::size_t bytes) {
    const std::size_t held = end_ - begin_;
    // Moving is paid for by at least as many bytes that were taken since.
    if (held <= begin_ && capacity_ - held >= bytes) {
      std::memcpy(bytes_.get(), bytes_.get() + begin_, held);
    } else {
      const std::size_t capacity = std::max(2 * capacity_, held + bytes);
      auto grown = std::make_unique_for_overwrite<std::byte[]>(capacity);
      if (held != 0) std::memcpy(grown.get(), bytes_.get() + begin_, held);
      bytes_ = std::move(grown);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = held;
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace exdb::tcp
