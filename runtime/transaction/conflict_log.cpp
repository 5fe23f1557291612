// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/conflict_log.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace exdb {
namespace {

/// `ranges` sorted and disjoint: the only candidate is the last one that begins at or below the
/// key.
bool within(std::span<const ReadRange> ranges, IndexId index, Bytes key) {
  const auto after =
      std::partition_point(ranges.begin(), ranges.end(), [&](const ReadRange& range) {
        return range.index != index ? range.index < index : compare_keys(range.low, key) <= 0;
      });
  if (after == ranges.begin()) return false;
  const auto& range = *(after - 1);
  return range.index == index && (range.high.empty() || compare_keys(key, range.high) < 0);
}

}  // namespace

void ConflictLog::key_changed(IndexId index, Bytes key, bool /*added*/, Csn csn) {
  EXDB_ASSERT(entries_.empty() || entries_.back().csn <= csn, "C1: key changes come in csn order");
  entries_.push_back({csn, index, KeyBytes(key)});
}

void ConflictLog::prune(Csn horizon) {
  floor_ = std::max(floor_, horizon);
  while (entries_.size() > entries_max) {
    floor_ = std::max(floor_, entries_.front().csn);
    entries_.pop_front();
  }
  while (!entries_.empty() && entries_.front().csn <= floor_) entries_.pop_front();
}

const ConflictLog::Entry* ConflictLog::changed_after(Csn snapshot,
                                                     std::span<const ReadRange> ranges) const {
  if (ranges.empty()) return nullptr;
  const auto first = std::partition_point(
      entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.csn <= snapshot; });
  for (auto entry = first; entry != entries_.end(); ++entry) {
    if (within(ranges, entry->index, entry->key)) return &*entry;
  }
  return nullptr;
}

}  // namespace exdb
