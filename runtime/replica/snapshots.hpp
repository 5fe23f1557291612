// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a transaction reads of a replica: a view of its storages; and the register of those that are
// open and whose reads will be certified, which hold the conflict log's floor back.
//
// Invariants
//   I1  oldest() is never above the csn of a snapshot that was pinned after open() and whose place
//       was not closed. With a word: nor is what another process reads there, after it has read what
//       is published. And never above what is published, though the storage may have been replaced by
//       that of another history since: a place of the one before counts in no certificate.
// Threads: OpenSnapshots from any; it has a lock of its own.
#pragma once
#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "base/assert.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

namespace exdb {

/// A consistent view of both storages.
struct Snapshots {
  Snapshot replicated;
  Snapshot local;             ///< not valid without a cluster: then all classes are in the first
  std::uint64_t history = 0;  ///< of `replicated` (Replica::history())
};

/// The oldest open snapshot of a process as a word that other processes read: csn + 1, 0 = none.
using OldestOpenWord = std::atomic<std::uint64_t>;

class OpenSnapshots {
 public:
  /// Before the first open(): what is oldest here is told by `word`, too.
  void tell(OldestOpenWord* word) { word_ = word; }
  /// Registers what will be pinned next; close() takes what this gave. O(log n).
  Csn open(const Storage& storage) {
    // Read under the lock: oldest() could otherwise pass by between the reading and the entry.
    const std::lock_guard lock(mutex_);
    count_.fetch_add(1);
    const auto csn = word_ != nullptr && open_.empty() ? tell_newest(storage) : storage.published();
    open_.insert(csn);
    return csn;
  }
  void close(Csn csn) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(csn);
    EXDB_ASSERT(found != open_.end(), "a transaction is released as it was registered");
    open_.erase(found);
    count_.fetch_sub(1);
    if (word_ != nullptr) word_->store(open_.empty() ? 0 : open_.begin()->value + 1);
  }
  /// What is published, when none is open.
  [[nodiscard]] Csn oldest(const Storage& storage) const {
    // Once a round, and mostly none is open: without the lock. Who counts himself after this look
    // reads what is published after it, too (both sides sequentially consistent), and in one history
    // it never falls: so his csn is not below this one (I1).
    const auto published = storage.published();
    if (count_.load() == 0) return published;
    const std::lock_guard lock(mutex_);
    return open_.empty() ? published : std::min(published, *open_.begin());
  }

 private:
  /// Who reads the word after what is published, and does not see it, has read what is not newer
  /// than this one finds published after the store (all of it sequentially consistent).
  Csn tell_newest(const Storage& storage) {
    for (auto csn = storage.published();;) {
      word_->store(csn.value + 1);
      const auto now = storage.published();
      if (now == csn) return csn;
      csn = now;
    }
  }

  OldestOpenWord* word_ = nullptr;
  mutable std::mutex mutex_;
  std::multiset<Csn> open_;
  std::atomic<std::size_t> count_{0};  ///< of open_, or one more: counted before the csn is read
};

}  // namespace exdb
