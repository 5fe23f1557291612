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
  EXDB_ASSERT(log_.empty() || log_.back().csn <= csn, "C1: key changes come in csn order");
  log_.push_back({csn, index, KeyBytes(key)});
}

void ConflictLog::drop_oldest() {
  const auto& oldest = log_.front();
  if (in_order_ != 0) {
    // A later change of the key keeps it.
    const auto at = keys_.find(KeyView{oldest.index, oldest.key});
    if (at != keys_.end() && at->second == oldest.csn) keys_.erase(at);
    --in_order_;
  }
  log_.pop_front();
}

void ConflictLog::put_in_order() const {
  for (; in_order_ < log_.size(); ++in_order_) {
    const auto& entry = log_[in_order_];
    const KeyView key{entry.index, entry.key};
    auto at = keys_.lower_bound(key);
    if (at == keys_.end() || Less()(key, at->first))
      keys_.emplace_hint(at, Key{entry.index, entry.key}, entry.csn);
    else
      at->second = entry.csn;
  }
}

void ConflictLog::prune(Csn horizon) {
  floor_ = std::max(floor_, horizon);
  while (log_.size() > entries_max) {
    // A whole csn goes, below: half of one would leave changes that C1 promises.
    floor_ = std::max(floor_, log_.front().csn);
    drop_oldest();
  }
  while (!log_.empty() && log_.front().csn <= floor_) drop_oldest();
}

std::optional<ConflictLog::Change> ConflictLog::look_in_log(
    Log::const_iterator from, std::span<const ReadRange> ranges) const {
  for (; from != log_.end(); ++from) {
    ++looked_at_;
    const auto change = change_of(*from);
    if (within(ranges, change.index, change.key)) return change;
  }
  return std::nullopt;
}

std::optional<ConflictLog::Change> ConflictLog::changed_after(
    Csn snapshot, std::span<const ReadRange> ranges) const {
  const auto first = std::partition_point(
      log_.begin(), log_.end(), [&](const Entry& entry) { return entry.csn <= snapshot; });
  auto budget = log_.end() - first;
  if (std::size_t(budget) <= ranges.size()) return look_in_log(first, ranges);
  put_in_order();
  // By key for at most as many steps as the other way takes: a range over many old changes would
  // be dearer than the few new ones.
  for (const auto& range : ranges) {
    if (budget-- == 0) return look_in_log(first, ranges);
    ++looked_at_;
    for (auto at = keys_.lower_bound(KeyView{range.index, range.low});
         at != keys_.end() && at->first.index == range.index &&
         (range.high.empty() || compare_keys(at->first.bytes, range.high) < 0);
         ++at) {
      if (at->second > snapshot) return Change{at->second, range.index, at->first.bytes};
      if (budget-- == 0) return look_in_log(first, ranges);
      ++looked_at_;
    }
  }
  return std::nullopt;
}

void ConflictLog::restore(Csn floor, std::vector<Csn> class_changed) {
  EXDB_ASSERT(log_.empty() && class_changed.size() == class_changed_.size(),
              "an empty log of the same dictionary is filled");
  floor_ = floor;
  class_changed_ = std::move(class_changed);
}

}  // namespace exdb
