// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One epoll instance, and the eventfd by which a sleeping thread is woken.
//
// Level-triggered: a thread that sleeps consumes no event, so another one that polls beside it
// misses none. wake() costs a system call only while somebody sleeps: both sides store their flag
// and then look at the other's, so one of them sees it.
//
// Threads: add, change, remove, ready by one; sleep by one other; wake by any.
// Failure: a Status when the kernel gives no descriptors.
#pragma once
#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <span>

#include "descriptor.hpp"
#include "exdb/errors.hpp"

namespace exdb::tcp {

class Poller {
 public:
  static constexpr std::uint64_t wake_id = 0;  ///< no id of the caller's

  Status open();

  Status add(const Descriptor& descriptor, std::uint64_t id, bool in, bool out);
  void change(const Descriptor& descriptor, std::uint64_t id, bool in, bool out);
  void remove(const Descriptor& descriptor);
  /// What is ready now; does not block.
  std::span<const epoll_event> ready(std::span<epoll_event> events) const;

  /// Until something is ready, wake() was called since the last sleep, or `cap` has passed.
  void sleep(std::chrono::nanoseconds cap);
  void wake();
  /// From now on no sleep lasts.
  void stay_awake();

 private:
  Descriptor epoll_, event_;
  std::atomic<bool> woken_{false}, sleeping_{false}, awake_{false};

  void ring();
};

}  // namespace exdb::tcp
