// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A clock that goes only when a test says so.
#pragma once
#include <atomic>
#include <chrono>

namespace exdb {

struct ToldClock {
  using TimePoint = std::chrono::steady_clock::time_point;

  static TimePoint now() noexcept { return TimePoint(passed.load()); }
  static void pass(std::chrono::nanoseconds time) { passed = passed.load() + time; }

 private:
  static inline std::atomic<std::chrono::nanoseconds> passed{};
};

}  // namespace exdb
