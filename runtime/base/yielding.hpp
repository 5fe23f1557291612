// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// For a computation of many milliseconds that is in no hurry, on processors where others wait for
// messages by polling: it offers its processor at short intervals. The system would let it go on for
// a whole time slice (4 ms) each time that a poller yields, and a round of 20 µs would take that
// long.
//
// Invariants
//   I1  It offers its processor only while what others had of its time is at most `gives` times what it
//       has computed itself: beside those who never sleep it takes 1 + gives times as long, by a yield
//       more, and not for ever. What the system has taken from it without being asked counts, too.
// Threads: one.
// Cost: a look at the clock for every `steps_between` steps; for each piece a yield and two questions
//   for the thread's own time, 1 µs.
#pragma once
#include <sched.h>
#include <time.h>

#include <chrono>

namespace exdb {

/// Tests bring a processor of their own.
struct ThisProcessor {
  using Clock = std::chrono::steady_clock;
  static Clock::time_point now() { return Clock::now(); }
  /// What this thread has computed.
  static Clock::duration used() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::duration_cast<Clock::duration>(std::chrono::seconds(time.tv_sec) +
                                                       std::chrono::nanoseconds(time.tv_nsec));
  }
  static void yield() { sched_yield(); }
};

template <class Processor>
class YieldingOn {
 public:
  /// Of a piece; what is looked at is the time after this many steps.
  static constexpr unsigned steps_between = 32;
  static constexpr std::chrono::microseconds piece{30};

  explicit YieldingOn(int gives = 1) : gives_(gives) {}
  /// A piece of the computation begins; what was before it was something else.
  void begin() {
    since_ = Processor::now();
    used_ = Processor::used();
  }
  /// Another step is done: one of about a microsecond, or less. REQUIRES: begin().
  void step() {
    if (++steps_ % steps_between == 0) look();
  }
  /// The same of one of some tens of microseconds: it looks after each.
  void long_step() { look(); }

 private:
  using Clock = typename Processor::Clock;

  void look() {
    const auto now = Processor::now();
    if (now - since_ < piece) return;
    if (credit_ > Clock::duration::zero()) Processor::yield();
    const auto since = since_;
    const auto used = used_;
    begin();
    credit_ += (gives_ + 1) * (used_ - used) - (since_ - since);
  }

  const int gives_;
  unsigned steps_ = 0;
  typename Clock::time_point since_;
  typename Clock::duration used_{};
  typename Clock::duration credit_{1};  ///< that may be given away
};

using Yielding = YieldingOn<ThisProcessor>;

}  // namespace exdb
