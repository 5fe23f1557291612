// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// For a computation of many milliseconds that is in no hurry, on processors where others wait for
// messages by polling: it offers its processor at short intervals. The system would let it go on for
// a whole time slice (4 ms) each time that a poller yields, and a round of 20 µs would take that
// long.
//
// Invariants
//   I1  What it gives away is at most as long as what it has computed: beside those who never sleep
//       it takes twice as long, and not for ever.
// Threads: one.
// Cost: a look at the clock for every `steps_between` steps; a yield where nobody waits, 0.3 µs.
#pragma once
#include <sched.h>

#include <chrono>

namespace exdb {

/// Tests bring a processor of their own.
struct ThisProcessor {
  using Clock = std::chrono::steady_clock;
  static Clock::time_point now() { return Clock::now(); }
  static void yield() { sched_yield(); }
};

template <class Processor>
class YieldingOn {
 public:
  /// Of a piece; what is looked at is the time after this many steps.
  static constexpr unsigned steps_between = 32;
  static constexpr std::chrono::microseconds piece{30};

  /// A piece of the computation begins; what was before it was something else.
  void begin() { since_ = Processor::now(); }
  /// Another step is done: one of about a microsecond, or less. REQUIRES: begin().
  void step() {
    if (++steps_ % steps_between == 0) look();
  }

 private:
  using Clock = typename Processor::Clock;

  void look() {
    const auto now = Processor::now();
    if (now - since_ < piece) return;
    credit_ += now - since_;
    since_ = now;
    if (credit_ <= Clock::duration::zero()) return;
    Processor::yield();
    since_ = Processor::now();
    credit_ -= since_ - now;
  }

  unsigned steps_ = 0;
  typename Clock::time_point since_;
  typename Clock::duration credit_{};  ///< computed, and not given away
};

using Yielding = YieldingOn<ThisProcessor>;

}  // namespace exdb
