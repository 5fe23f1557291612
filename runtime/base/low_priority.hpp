// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// For long work that has time, on processors where others have not: it is done at the lowest priority
// with which it still ends while others compute without a pause. Those take nine parts of ten of a
// processor then; where nobody wants one it is as fast as ever. SCHED_IDLE and the lowest niceness were
// rejected: they leave a hundredth or less, and a checkpoint of a minute would take hours.
//
// Invariants
//   I1  The caller keeps its priority. A thread may lower its own, and not raise it again without a
//       privilege: therefore the work is done by a thread of its own.
//   I2  What it returns or throws comes to the caller.
// Threads: the caller waits. REQUIRES: the work holds no lock, and has no turn, that others wait for: who
//   has a low priority gives it back late.
// Failure: where no thread can be had, or none of a lower priority, it is done all the same.
// Cost: a thread, some tens of microseconds.
#pragma once
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>
#include <optional>
#include <system_error>
#include <thread>

namespace exdb {

/// A tenth of the weight of a thread of niceness 0.
constexpr int low_priority_niceness = 10;
/// So many times what such work takes is what others get: of a Yielding in it.
constexpr int low_priority_gives = 9;

/// Of this thread, for good.
inline void lower_priority() {
  // Of a thread, on Linux: a niceness belongs to each. One that is lower already stays.
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  if (::getpriority(PRIO_PROCESS, thread) < low_priority_niceness)
    (void)::setpriority(PRIO_PROCESS, thread, low_priority_niceness);
}

/// Returns what `work` returns.
template <class Work>
auto at_low_priority(const Work& work) {
  std::optional<decltype(work())> result;
  std::exception_ptr thrown;
  const auto guarded = [&] {
    lower_priority();
    try {
      result.emplace(work());
    } catch (...) {
      thrown = std::current_exception();
    }
  };
  std::thread thread;
  try {
    thread = std::thread(guarded);
  } catch (const std::system_error&) {
    return work();
  }
  thread.join();
  if (thrown) std::rethrow_exception(thrown);
  return std::move(*result);
}

}  // namespace exdb
