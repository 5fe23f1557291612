// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/snapshot.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "storage/core.hpp"

namespace exdb {
namespace {

RangeCursor tree_at(const StorageCore& core, IndexId index, Csn csn) {
  return OrderedIndex::at(*core.segment, &core.head_of(index)->ordered, csn);
}

template <class See>
SlotId look_up_at(const StorageCore& core, Csn csn, IndexId index, Bytes key, See&& see) {
  const auto cls = core.keys_of(index).definition().class_id;
  EXDB_ASSERT(core.keys_of(index).form() != IndexForm::none, "a list has no keys");
  return look_up(
      core, index, key, [&](SlotId slot) { return core.row(cls, slot, csn); },
      [&] { return tree_at(core, index, csn); }, see);
}

/// Asks for the memory that find() will touch, a step at a time over a group of keys: cells, then
/// slots, then versions. Each step waits for what the step before asked for, but for all keys at
/// once.
void fetch_ahead(const StorageCore& core, IndexId index, std::span<const Bytes> keys) {
  constexpr std::size_t group_max = 16;
  std::array<const Slot*, group_max> slots;
  const auto* head = &core.head_of(index)->hash;
  const auto* rows = core.rows_of(core.keys_of(index).definition().class_id);
  EXDB_ASSERT(keys.size() <= group_max, "a group fits");
  if (core.head_of(index)->guess.on.load(std::memory_order_relaxed) != 0) {
    // Most rows lie where they are guessed: nothing is to be had from cells.
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto slot = core.guess(index, IndexKeys::Matcher(core.keys_of(index), keys[i]));
      slots[i] = slot ? SlotTable::locate(*core.segment, rows, *slot) : nullptr;
      SlotTable::prefetch(rows, slots[i]);
    }
  } else {
    for (const auto& key : keys) HashIndex::prefetch(*core.segment, head, hash_bytes(key));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto likely =
          HashIndex::find(*core.segment, head, hash_bytes(keys[i]), [](SlotId) { return true; });
      slots[i] = SlotTable::locate(*core.segment, rows, likely);
      SlotTable::prefetch(rows, slots[i]);
    }
  }
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (slots[i] != nullptr) SlotTable::prefetch_newest(*core.segment, slots[i]);
}

}  // namespace

Snapshot::Snapshot(Snapshot&& other) noexcept
    : core_(std::move(other.core_)), csn_(other.csn_), place_(other.place_) {}

// What was held before ends with `other`, in the caller.
Snapshot& Snapshot::operator=(Snapshot&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(csn_, other.csn_);
  std::swap(place_, other.place_);
  return *this;
}

Snapshot::~Snapshot() {
  if (core_) core_->pins.give(place_);
}

std::optional<Bytes> Snapshot::row(ClassId cls, SlotId slot) const {
  return core_->row(cls, slot, csn_);
}

SlotId Snapshot::find(IndexId index, Bytes key) const {
  return look_up_at(*core_, csn_, index, key, [](SlotId) { return true; });
}

bool Snapshot::key_unchanged(IndexId index, Bytes before, Bytes after) const {
  return core_->keys_of(index).unchanged(before, after);
}

void Snapshot::find_all(IndexId index, Bytes key, std::vector<SlotId>& out) const {
  look_up_at(*core_, csn_, index, key, [&](SlotId slot) {
    out.push_back(slot);
    return false;
  });
}

void Snapshot::find_many(IndexId index, std::span<const Bytes> keys, std::span<SlotId> out) const {
  EXDB_ASSERT(out.size() >= keys.size(), "an answer for each key");
  // A tree is not fetched ahead: its steps depend on each other, and upper levels are in the cache.
  const bool hash = core_->keys_of(index).form() == IndexForm::hash;
  // About as many as a core can wait for at once.
  constexpr std::size_t group = 16;
  for (std::size_t at = 0; at < keys.size(); at += group) {
    const auto some = keys.subspan(at, std::min(group, keys.size() - at));
    if (hash) fetch_ahead(*core_, index, some);
    for (std::size_t i = 0; i < some.size(); ++i) out[at + i] = find(index, some[i]);
  }
}

RangeCursor Snapshot::range(IndexId index) const {
  EXDB_ASSERT(core_->keys_of(index).form() == IndexForm::ordered, "ranges are of tree indexes");
  return tree_at(*core_, index, csn_);
}

RangeCursor Snapshot::hashes(IndexId index, Bytes key, KeyBytes& hash) const {
  EXDB_ASSERT(core_->keys_of(index).form() == IndexForm::ordered_hashes,
              "hashes in order are of non-unique hash indexes");
  hash = KeyBytes(ordered_hash(hash_bytes(key)));
  return tree_at(*core_, index, csn_);
}

bool Snapshot::carries(IndexId index, Bytes key, SlotId slot) const {
  const auto& keys = core_->keys_of(index);
  const auto bytes = core_->row(keys.definition().class_id, slot, csn_);
  return bytes && IndexKeys::Matcher(keys, key)(*bytes);
}

SlotId Snapshot::scan(ClassId cls, SlotId from) const {
  return SlotTable::scan(*core_->segment, core_->rows_of(cls), cls, from, csn_);
}

SlotId Snapshot::scan_back(ClassId cls, SlotId from) const {
  return SlotTable::scan_back(*core_->segment, core_->rows_of(cls), cls, from, csn_);
}

}  // namespace exdb
