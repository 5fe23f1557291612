// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Searches that are answered at once: the first row of a key, and how many there are in a range.
#include <algorithm>

#include "database/ordered_walk.hpp"
#include "database/search_bounds.hpp"
#include "database/transaction.hpp"

namespace exdb {

std::optional<RowId> Transaction::find(const IndexDef& index, std::span<const Value> key) {
  const auto& type = dictionary().class_of(index.class_id);
  const auto& snapshot = snapshot_of(type);
  const bool whole = key.size() == index.parts.size() && !index.parts.empty();
  if (!whole) require_searchable(type, &index, Operation::equals, key.size());
  KeyBytes wanted;
  make_key(index, key, wanted);
  const bool direct = whole && !work_.touches(type.id);
  if (direct && !records_reads()) {
    ++work_.entries_walked;
    const auto slot = snapshot.find(index.id, wanted);
    return slot == SlotId::none() ? std::nullopt : std::optional(RowId::of(slot));
  }

  std::optional<RowId> found;
  auto behind = key_successor(wanted);
  ReadRange read{index.id, wanted, behind};
  if (direct) {
    ++work_.entries_walked;
    const auto slot = snapshot.find(index.id, wanted);
    if (slot != SlotId::none()) found = RowId::of(slot);
  } else {
    work_.settle(type.id);
    OrderedWalk walk(work_, index, snapshot, Moment::now(), {wanted, std::move(behind)});
    if (const auto* first = walk.look(true)) {
      found = first->row;
      read.high = key_successor(first->key);  // nothing beyond it was looked at
    }
  }
  if (records_reads()) work_.ranges.push_back(std::move(read));
  if (found) saw(type, *found);
  return found;
}

/// The keys alone are read: a row that changes elsewhere is counted as before.
std::uint64_t Transaction::count(const IndexDef& index, const KeyRange& bounds) {
  const auto& type = dictionary().class_of(index.class_id);
  work_.settle(type.id);
  if (records_reads() && !empty(bounds))
    work_.ranges.push_back({index.id, bounds.low, bounds.high});
  std::uint64_t rows = 0;
  SnapshotWalk shown(work_, index, snapshot_of(type), Moment::now(), bounds);
  for (; shown.look(true, nullptr); shown.take()) ++rows;
  const auto& own = work_.keys(index.id);
  for (auto each = own.lower_bound({bounds.low, RowId{}});
       each != own.end() && (bounds.high.empty() || each->first < bounds.high); ++each) {
    ++work_.entries_walked;
    ++rows;
  }
  return rows;
}

// ---- Connection ----

std::optional<Object> Connection::find(const IndexDef& index, std::span<const Value> key) {
  state_->statement();
  const auto row = state_->find(index, key);
  if (!row) return std::nullopt;
  return object(state_->dictionary().class_of(index.class_id), *row);
}

std::vector<std::optional<Object>> Connection::find_many(const IndexDef& index,
                                                         std::span<const std::vector<Value>> keys) {
  state_->statement();
  const auto& type = state_->dictionary().class_of(index.class_id);
  std::vector<std::optional<Object>> found(keys.size());
  // The batch looks keys up beside each other in the snapshot alone; own writes, reads that have to
  // be remembered and leading parts of a key take the way of find().
  const bool whole =
      !index.parts.empty() && std::ranges::all_of(keys, [&](const std::vector<Value>& key) {
        return key.size() == index.parts.size();
      });
  if (!whole || state_->work().touches(type.id) || state_->records_reads()) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (const auto row = state_->find(index, keys[i])) found[i] = object(type, *row);
    }
    return found;
  }
  std::vector<KeyBytes> bytes(keys.size());
  std::vector<Bytes> views(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    make_key(index, keys[i], bytes[i]);
    views[i] = bytes[i];
  }
  std::vector<SlotId> slots(keys.size());
  state_->snapshot_of(type).find_many(index.id, views, slots);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (slots[i] != SlotId::none()) found[i] = object(type, RowId::of(slots[i]));
  }
  return found;
}

std::uint64_t Connection::count(const IndexDef& index, std::span<const Value> low,
                                std::span<const Value> high) {
  state_->require_active();
  const auto bounds = range_bounds(index, low, high);
  state_->statement();
  return state_->count(index, bounds);
}

}  // namespace exdb
