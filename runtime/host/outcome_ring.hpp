// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How the newest transactions ended, of every origin, in shared memory: what followers look in when
// their leader, who remembers more, has gone. Written by the leader alone, after publishing.
//
// Invariants
//   I1  find() tells how the transaction with this very number ended, or nothing: of one that is
//       not among the newest `remembered`, or was being written when the leader died.
//   I2  The entry of a transaction is whole before `count` has it, and one that may be written over
//       while it is read is nothing.
// Threads: record() by one thread of one process; find() by any of any.
// Cost: record() three stores; find() O(remembered).
#pragma once
#include <array>
#include <atomic>
#include <optional>

#include "base/types.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class OutcomeRing {
 public:
  static constexpr std::uint64_t remembered = 16'384;

  void record(TxnId id, ErrorCode code) {
    const auto count = count_.load(std::memory_order_relaxed);
    auto& entry = entries_[count % remembered];
    // Released after the count of the one before: who sees a new word sees that count, too.
    entry.sequence.store(id.sequence, std::memory_order_release);
    entry.origin_and_code.store(
        (std::uint64_t{id.origin.value} << 32) | static_cast<std::uint32_t>(code),
        std::memory_order_release);
    count_.store(count + 1, std::memory_order_release);
  }

  [[nodiscard]] std::optional<ErrorCode> find(TxnId id) const {
    const auto count = count_.load(std::memory_order_acquire);
    const auto oldest = count < remembered ? 0 : count - remembered;
    for (auto at = count; at > oldest;) {
      const auto& entry = entries_[--at % remembered];
      if (entry.sequence.load(std::memory_order_acquire) != id.sequence) continue;
      const auto word = entry.origin_and_code.load(std::memory_order_acquire);
      if (word >> 32 != id.origin.value) continue;
      if (count_.load(std::memory_order_acquire) >= at + remembered) return std::nullopt;
      return static_cast<ErrorCode>(static_cast<std::int32_t>(word & 0xffff'ffffU));
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    std::atomic<std::uint64_t> sequence, origin_and_code;
  };
  alignas(64) std::atomic<std::uint64_t> count_;
  alignas(64) std::array<Entry, remembered> entries_;
};

}  // namespace exdb
