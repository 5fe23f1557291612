// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One exclusive transaction at a time at this process. A lock that a transaction holds from begin to
// end, whichever thread ends it: a mutex would have to be unlocked by the thread that locked it.
//
// Invariants
//   I1  The thread that took the turn does not wait for it: nobody would ever give it back.
// Threads: all functions from any thread.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace exdb {

class ExclusiveTurn {
 public:
  /// Blocks until the turn is free. `still_wanted` is called now and then, and throws when the
  /// waiting is to end. Throws transaction_active where this thread itself took it (I1).
  void take(const std::function<void()>& still_wanted);
  void release();

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::optional<std::thread::id> holder_;
};

}  // namespace exdb
