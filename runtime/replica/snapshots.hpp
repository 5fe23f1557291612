// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a transaction reads of a replica: a view of its storages; and the register of those that are
// open and whose reads will be certified, which hold the conflict log's floor back.
//
// Invariants
//   I1  oldest() is never above the csn of a snapshot that was pinned after open() and whose place
//       was not closed.
// Threads: OpenSnapshots from any; it has a lock of its own.
#pragma once
#include <mutex>
#include <set>

#include "base/assert.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

namespace exdb {

/// A consistent view of both storages.
struct Snapshots {
  Snapshot replicated;
  Snapshot local;  ///< not valid without a cluster: then all classes are in the first
};

class OpenSnapshots {
 public:
  /// Registers what will be pinned next; close() takes what this gave. O(log n).
  Csn open(const Storage& storage) {
    // Read under the lock: oldest() could otherwise pass by between the reading and the entry.
    const std::lock_guard lock(mutex_);
    const auto csn = storage.published();
    open_.insert(csn);
    return csn;
  }
  void close(Csn csn) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(csn);
    EXDB_ASSERT(found != open_.end(), "a transaction is released as it was registered");
    open_.erase(found);
  }
  /// What is published, when none is open.
  [[nodiscard]] Csn oldest(const Storage& storage) const {
    const std::lock_guard lock(mutex_);
    return open_.empty() ? storage.published() : *open_.begin();
  }

 private:
  mutable std::mutex mutex_;
  std::multiset<Csn> open_;
};

}  // namespace exdb
