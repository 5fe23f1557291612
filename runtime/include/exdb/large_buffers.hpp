// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Memory of large messages, used again. A batch of ten megabytes passes through half a dozen buffers
// of its size; given back to the system and asked for anew each time, they cost a third of a bulk
// load: the kernel zeroes every page. Small buffers are no matter for this.
//
// Invariants
//   I1  At most kept_bytes_max are kept, in buffers of buffer_bytes_min or more; nothing without a
//       Keeper, who calls drop_idle().
//   I2  What nobody took or gave for idle_for goes back to the system when somebody asks: drop_idle(),
//       by the listener of each database.
// Threads: any.
// Cost: a lock and a look at a few buffers; nothing where `bytes` is small.
#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "exdb/types.hpp"

namespace exdb {

class LargeBuffers {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t buffer_bytes_min = std::size_t{64} << 10;
  static constexpr std::chrono::milliseconds idle_for{100};
  static constexpr std::size_t kept_bytes_max = std::size_t{128} << 20;

  /// While one lives, buffers are kept.
  class Keeper {
   public:
    explicit Keeper(LargeBuffers& of = shared()) : of_(of) { ++of_.keepers_; }
    ~Keeper() {
      if (--of_.keepers_ == 0) of_.drop_idle(Clock::time_point::max());
    }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

   private:
    LargeBuffers& of_;
  };

  /// Of this process.
  static LargeBuffers& shared();

  /// Empty, with room for so many bytes.
  std::vector<std::byte> room(std::size_t bytes);
  /// So many bytes without meaning: zeroed only where no kept buffer had as many.
  std::vector<std::byte> bytes(std::size_t bytes);
  /// For use again. Large or not.
  void give(std::vector<std::byte>&& buffer);
  /// The same for one with several holders: when the last of them lets go.
  static std::shared_ptr<std::vector<std::byte>> share(std::vector<std::byte>&& buffer);
  /// Gives all that is kept back to the system if it is idle: for who is about to sleep. One load where
  /// nothing is kept.
  void drop_idle(Clock::time_point now = Clock::now());
  [[nodiscard]] std::size_t kept_bytes() const { return kept_.load(std::memory_order_relaxed); }

 private:
  std::vector<std::byte> take(std::size_t bytes);

  std::mutex mutex_;
  std::vector<std::vector<std::byte>> buffers_;
  std::atomic<std::size_t> kept_{0};
  std::atomic<int> keepers_{0};
  Clock::time_point used_;
};

}  // namespace exdb
