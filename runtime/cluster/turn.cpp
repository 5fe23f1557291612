// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/turn.hpp"

#include <algorithm>

namespace exdb {

/// The store comes before the lock: a thread that looks at the token under the lock and sleeps has
/// seen it free, or is among the sleepers when wake_heir() looks (I1).
void Turn::release() {
  taken_.store(false);
  if (sleeping_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  wake_heir();
}

void Turn::pass_on() {
  const std::lock_guard lock(mutex_);
  if (!taken()) wake_heir();
}

/// REQUIRES: mutex_ is held.
void Turn::wake_heir() {
  // A sleeper that was woken may have its answer and go away, so somebody who still waits is the
  // one to hand over to.
  const auto heir = std::find_if(sleepers_.begin(), sleepers_.end(), [](const Sleeper* sleeper) {
    return !sleeper->woken && !sleeper->done();
  });
  if (heir != sleepers_.end()) wake(**heir);
}

void Turn::sleep(const Condition& done, TimePoint deadline) {
  std::unique_lock lock(mutex_);
  struct Count {
    std::atomic<int>& sleeping;
    explicit Count(std::atomic<int>& of) : sleeping(of) { ++sleeping; }
    ~Count() { --sleeping; }
  } const counted(sleeping_);
  if (done() || !taken_.load()) return;
  Sleeper self{done, {}, false};
  const auto place = sleepers_.insert(sleepers_.end(), &self);
  // A condition variable of its own for each: waking one must not wake all, and only one can have
  // the turn. (wait_until with the end of time would overflow in the library.)
  if (deadline == TimePoint::max())
    self.changed.wait(lock, [&] { return self.woken; });
  else
    self.changed.wait_until(lock, deadline, [&] { return self.woken; });
  sleepers_.erase(place);
}

void Turn::wake_done() {
  // Adding nothing rather than loading: what made a condition true was stored with release only,
  // and must not be overtaken by this look. Of two additions one is first; if it is the sleeper's,
  // it is seen here, else the sleeper sees its condition.
  if (sleeping_.fetch_add(0) == 0) return;
  const std::lock_guard lock(mutex_);
  for (auto* sleeper : sleepers_)
    if (!sleeper->woken && sleeper->done()) wake(*sleeper);
}

void Turn::park(std::chrono::nanoseconds cap) {
  std::unique_lock lock(mutex_);
  const auto before = unparks_;
  unparked_.wait_for(lock, cap, [&] { return unparks_ != before; });
}

void Turn::unpark() {
  const std::lock_guard lock(mutex_);
  ++unparks_;
  unparked_.notify_all();
}

}  // namespace exdb
