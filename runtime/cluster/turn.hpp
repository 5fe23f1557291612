// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whose turn it is to drive. Not a lock around data (that is the drive lock): a token that says
// that somebody is at it, so that the others may sleep. Whoever gives it back wakes one sleeper to
// take it over.
//
// Invariants
//   I1  While somebody sleeps, somebody has the turn, or a sleeper has been woken and is on its way
//       to it.
//   I2  A sleeper whose condition has become true is woken by wake_done().
//   I3  release() and wake_done() lock nothing while nobody sleeps: a sleeper counts itself before
//       it looks for the last time, and they look at the count after they have changed something.
// Threads: all functions from any thread. Conditions are called under the turn's own mutex: they
//   read atomics only.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>

namespace exdb {

class Turn {
 public:
  using Condition = std::function<bool()>;
  using TimePoint = std::chrono::steady_clock::time_point;

  bool try_take() { return !taken_.load(std::memory_order_relaxed) && !taken_.exchange(true); }
  void release();
  /// For a thread that slept and goes away without a turn: it may be the one that was woken to take
  /// it (I1).
  void pass_on();
  [[nodiscard]] bool taken() const { return taken_.load(std::memory_order_acquire); }

  /// Sleeps until `done`, the turn is handed over or free, or `deadline`; may also return for no
  /// reason.
  void sleep(const Condition& done, TimePoint deadline);
  void wake_done();

  /// For the listener while others drive: until unpark(), or `cap`.
  void park(std::chrono::nanoseconds cap);
  /// For a driver that has kept the listener from the transport for long, when it goes: whoever
  /// sleeps there is the one whom a frame wakes. Not for every driver: it costs a futex call.
  void unpark();

  /// Counts the threads that wait for something and drive: the listener keeps out of their way.
  class Wish {
   public:
    explicit Wish(Turn& turn) : turn_(turn) {
      ++turn_.wishes_;
      turn_.wishes_made_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Wish() { --turn_.wishes_; }
    Wish(const Wish&) = delete;
    Wish& operator=(const Wish&) = delete;

   private:
    Turn& turn_;
  };
  [[nodiscard]] bool wished() const { return wishes_.load(std::memory_order_acquire) > 0; }
  /// How many wishes there ever were.
  [[nodiscard]] std::uint64_t wishes() const {
    return wishes_made_.load(std::memory_order_relaxed);
  }

 private:
  struct Sleeper {
    const Condition& done;
    std::condition_variable changed;
    bool woken = false;
  };
  static void wake(Sleeper& sleeper) {
    sleeper.woken = true;
    sleeper.changed.notify_one();
  }

  void wake_heir();

  std::atomic<bool> taken_{false};
  std::atomic<int> wishes_{0};
  std::atomic<std::uint64_t> wishes_made_{0};
  std::atomic<int> sleeping_{0};
  std::mutex mutex_;
  std::list<Sleeper*> sleepers_;
  std::condition_variable unparked_;
  std::uint64_t unparks_ = 0;
};

}  // namespace exdb
