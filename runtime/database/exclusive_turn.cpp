// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/exclusive_turn.hpp"

#include "base/assert.hpp"
#include "exdb/errors.hpp"

namespace exdb {

/// Looks up instead of being told by close(): who closes then need not know of everybody that may
/// wait, and 20 ms are nothing to somebody who waits for another's transaction.
void ExclusiveTurn::take(const std::function<void()>& still_wanted) {
  constexpr auto look_up = std::chrono::milliseconds(20);
  std::unique_lock lock(mutex_);
  if (holder_ == std::this_thread::get_id()) {
    throw Error(ErrorCode::transaction_active,
                "this thread has an exclusive transaction open on another connection of this "
                "database, and would wait for itself: commit() or rollback() that one first");
  }
  while (holder_) {
    released_.wait_for(lock, look_up);
    still_wanted();
  }
  still_wanted();
  holder_ = std::this_thread::get_id();
}

void ExclusiveTurn::release() {
  {
    const std::lock_guard lock(mutex_);
    EXDB_ASSERT(holder_.has_value(), "a turn is given back once");
    holder_.reset();
  }
  released_.notify_one();
}

}  // namespace exdb
