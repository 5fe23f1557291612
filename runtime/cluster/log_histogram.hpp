// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A histogram of durations: 16 buckets for each doubling, so a quantile is at most 1/16 too high,
// whatever the scale.
//
// Threads: add by one thread at a time, quantile and total by any at the same time.
#pragma once
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace exdb {

class LogHistogram {
 public:
  void add(std::uint64_t value) {
    auto& bucket = buckets_[index_of(value)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    count_.store(count() + 1, std::memory_order_relaxed);
    total_.store(total() + value, std::memory_order_relaxed);
  }

  /// An upper bound of the values up to `fraction` of all; 0 when there are none.
  [[nodiscard]] std::uint64_t quantile(double fraction) const {
    const auto wanted = std::uint64_t(double(count()) * fraction);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i].load(std::memory_order_relaxed);
      if (seen > wanted) return upper_bound_of(i);
    }
    return 0;
  }

  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t total() const { return total_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned sub_bits = 4;
  static constexpr std::uint64_t sub_count = 1U << sub_bits;

  static std::size_t index_of(std::uint64_t value) {
    if (value < sub_count) return std::size_t(value);
    const auto shift = unsigned(std::bit_width(value)) - 1 - sub_bits;
    return std::size_t((shift + 1) * sub_count + ((value >> shift) & (sub_count - 1)));
  }
  static std::uint64_t upper_bound_of(std::size_t index) {
    if (index < sub_count) return index;
    const auto shift = index / sub_count - 1;
    return ((sub_count + index % sub_count + 1) << shift) - 1;
  }

  std::array<std::atomic<std::uint64_t>, (65 - sub_bits) * sub_count> buckets_{};
  std::atomic<std::uint64_t> count_{0}, total_{0};
};

}  // namespace exdb
