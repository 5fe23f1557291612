// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How a storage is filled from an export of another (slot_export.hpp). Rows go in as they come;
// indexes are built at the end, when their sizes are known: no hash table is grown, no tree is
// descended.
#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "base/hash.hpp"
#include "base/yielding.hpp"
#include "storage/writer.hpp"

namespace exdb {
namespace {

/// An entry of a tree to be, with its key in one block of memory with all others: a million keys of
/// 8 bytes as strings would take an allocation each.
struct KeyPlace {
  std::uint64_t head;  ///< of the key, as OrderedKey has it: parts most keys without a look at them
  std::size_t at;
  std::size_t bytes;
  SlotId slot;
};

}  // namespace

void StorageWriter::begin_filling(Csn csn) {
  EXDB_ASSERT(applied_ == Csn{0}, "only a storage in which nothing was applied is filled");
  EXDB_ASSERT(csn > Csn{0}, "what was installed has a csn");
  filled_ = std::max(filled_, csn);
}

void StorageWriter::install(ClassId cls, SlotId slot, Csn csn, Bytes row) {
  begin_filling(csn);
  auto& slots = slots_[cls.value];
  EXDB_ASSERT(slots.newest_csn(slot) == Csn{0}, "a slot is installed once");
  digest_ += row_digest(cls, slot, row);
  slots.install(slot, row, csn, published_);
}

void StorageWriter::install_emptied(ClassId cls, SlotId slot, Csn csn) {
  begin_filling(csn);
  slots_[cls.value].install_emptied(slot, csn);
}

bool StorageWriter::finish_install(Csn applied, const std::stop_token& stop) {
  EXDB_ASSERT(applied_ == Csn{0} && filled_ <= applied, "what was installed was applied");
  for (const auto& definition : core_.dictionary->indexes()) {
    if (stop.stop_requested()) return false;
    if (slots_[definition.class_id.value].rows() == 0) continue;
    if (indexes_[definition.id.value].hash) fill_hash(definition, applied);
    if (indexes_[definition.id.value].ordered) fill_ordered(definition, applied);
  }
  filled_ = Csn{0};
  publish(applied);
  return true;
}

void StorageWriter::fill_hash(const IndexDef& definition, Csn csn) {
  const auto& slots = slots_[definition.class_id.value];
  const auto& keys = core_.keys_of(definition.id);
  auto& index = *indexes_[definition.id.value].hash;
  index.recreate(slots.rows(), csn);
  // Rows are read in the order they lie; cells lie anywhere, so they are asked for a group ahead.
  struct Entry {
    std::uint64_t hash;
    SlotId slot;
  };
  std::array<Entry, 16> group;
  std::size_t count = 0;
  const auto enter_group = [&] {
    for (std::size_t i = 0; i < count; ++i) index.insert(group[i].hash, group[i].slot, csn);
    count = 0;
  };
  Yielding yielding;
  yielding.begin();
  for (SlotId slot{0}; slot.value < slots.slots(); ++slot.value) {
    yielding.step();
    const auto row = slots.newest_row(slot);
    if (!row) continue;
    keys.key_of(*row, key_);
    group[count] = {hash_bytes(key_), slot};
    index.prefetch_for_insert(group[count].hash);
    watch_key(definition.id, *row, slot, true);
    if (++count == group.size()) enter_group();
  }
  enter_group();
}

void StorageWriter::fill_ordered(const IndexDef& definition, Csn csn) {
  const auto& slots = slots_[definition.class_id.value];
  const auto& keys = core_.keys_of(definition.id);
  std::vector<std::byte> bytes;
  std::vector<KeyPlace> places;
  places.reserve(slots.rows());
  for (SlotId slot{0}; slot.value < slots.slots(); ++slot.value) {
    const auto row = slots.newest_row(slot);
    if (!row) continue;
    keys.key_of(*row, key_);
    if (keys.form() == IndexForm::ordered_hashes) key_ = KeyBytes(ordered_hash(hash_bytes(key_)));
    places.push_back({OrderedKey(key_, slot).head, bytes.size(), key_.size(), slot});
    bytes.insert(bytes.end(), key_.data(), key_.data() + key_.size());
  }
  const auto key_at = [&](const KeyPlace& place) {
    return Bytes(bytes.data() + place.at, place.bytes);
  };
  std::ranges::sort(places, [&](const KeyPlace& a, const KeyPlace& b) {
    if (a.head != b.head) return a.head < b.head;
    const auto order = compare_keys(key_at(a), key_at(b));
    return order != 0 ? order < 0 : a.slot < b.slot;
  });
  std::vector<OrderedIndex::Entry> entries;
  entries.reserve(places.size());
  for (const auto& place : places) entries.push_back({key_at(place), place.slot});
  indexes_[definition.id.value].ordered->build(entries, csn, published_);
}

void StorageWriter::note_reused(const std::shared_ptr<ReusedSlots>& reused) {
  exports_.push_back(reused);
}

/// Before the slot's csn is overwritten (I2 of SlotExport).
void StorageWriter::tell_reused(ClassId cls, SlotId slot) {
  std::erase_if(exports_, [&](const std::weak_ptr<ReusedSlots>& at) {
    const auto reused = at.lock();
    if (reused) reused->note(cls, slot, newest_csn(cls, slot));
    return !reused;
  });
}

}  // namespace exdb
