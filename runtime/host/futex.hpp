// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Sleeping and waking on a word of shared memory. Protocol of a wake-up: exdb/host.hpp.
//
// Invariants
//   I1  WakeWord::sleep() returns within its cap, and soon after a wake() that came after look()
//       was false.
// Threads: any, of any process that maps the word.
// Failure: who dies in its sleep stays counted, so that wake() makes a system call each time.
#pragma once
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace exdb {

/// Not FUTEX_PRIVATE: the waker is another process.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen,
                       std::chrono::nanoseconds cap) {
  if (cap.count() <= 0) return;
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(cap.count() / 1'000'000'000);
  limit.tv_nsec = static_cast<long>(cap.count() % 1'000'000'000);
  // Returns for whatever reason: the caller looks in any case, so spurious returns and signals need
  // no loop.
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, seen, &limit, nullptr, 0);
}

inline void futex_wake_all(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr,
          0);
}

/// In zeroed shared memory.
struct alignas(64) WakeWord {
  std::atomic<std::uint32_t> word;
  std::atomic<std::uint32_t> sleepers;

  /// After what is waited for was put where the sleeper looks. No system call unless one sleeps.
  void wake() {
    // An addition, not a load: Doorbell::ring_reachable says why.
    if (sleepers.fetch_add(0) == 0) return;
    word.fetch_add(1);
    futex_wake_all(word);
  }
  /// `look()` is asked once more after the others can see that somebody sleeps; true = do not
  /// sleep.
  template <class Look>
  void sleep(std::chrono::nanoseconds cap, Look look) {
    const auto seen = word.load();
    sleepers.fetch_add(1);
    if (!look()) futex_wait(word, seen, cap);
    sleepers.fetch_sub(1);
  }
};

}  // namespace exdb
