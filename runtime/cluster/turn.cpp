// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/turn.hpp"

#include <algorithm>

namespace exdb {

/// The store comes before the lock: a thread that looks at the token under the lock and sleeps has
/// seen it free, or is among the sleepers when wake_heir() looks (I1).
void Turn::release() {
  taken_.store(false);
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
  if (done() || !taken()) return;
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
  const std::lock_guard lock(mutex_);
  for (auto* sleeper : sleepers_)
    if (!sleeper->woken && sleeper->done()) wake(*sleeper);
}

}  // namespace exdb
