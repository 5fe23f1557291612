// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/writer.hpp"

#include "base/assert.hpp"
#include "base/hash.hpp"

namespace exdb {
namespace {

/// Things reclaimed at each publish beyond what came in since the last: so garbage never outruns
/// the reclaiming, a backlog that a pin left is worked off in small steps, and no publish takes
/// long.
constexpr std::size_t reclaim_extra = 64;
/// Publishes between two looks for places of processes that are gone: each asks the system once a
/// place in use.
constexpr std::uint64_t reap_every = 1024;
/// Garbage::bytes of a hash_entry that was collected before and is held on for older versions.
constexpr std::uint64_t held_on = 1;

}  // namespace

// --- guesses ---

void SlotGuesser::enter(std::uint64_t key, SlotId slot, std::uint64_t rows, SlotGuess& guess) {
  const auto offset = key - slot.value;
  if (votes_ == 0 && offset != offset_) {
    offset_ = offset;
    kept_ = 0;
    guess.on.store(0, std::memory_order_relaxed);
  }
  if (offset == offset_) {
    ++votes_;
    ++kept_;
  } else {
    --votes_;
  }
  decide(rows, guess);
}

void SlotGuesser::leave(std::uint64_t key, SlotId slot, std::uint64_t rows, SlotGuess& guess) {
  if (key - slot.value == offset_ && kept_ > 0) --kept_;
  decide(rows, guess);
}

/// On at 7 of 8 rows, off below 6: so that it does not flicker, for readers share the line.
void SlotGuesser::decide(std::uint64_t rows, SlotGuess& guess) const {
  const bool was_on = guess.on.load(std::memory_order_relaxed) != 0;
  const bool on = kept_ > 0 && kept_ * 8 >= rows * (was_on ? 6 : 7);
  if (on == was_on) return;
  guess.offset.store(offset_, std::memory_order_relaxed);
  guess.on.store(on ? 1 : 0, std::memory_order_relaxed);
}

StorageWriter::StorageWriter(StorageCore& core, Offset first_free,
                             const std::function<bool(const ClassDef&)>& holds)
    : core_(core),
      allocator_(*core.segment, (first_free + 63) / 64 * 64),
      reclaimer_(core.readers, this, &StorageWriter::collect_one) {
  for (const auto& cls : core.dictionary->classes())
    slots_.emplace_back(*core.segment, allocator_, reclaimer_, core.rows_of(cls.id), cls.id,
                        SlotTable::inline_row_bytes(cls.record));
  for (const auto& definition : core.dictionary->indexes()) {
    auto& index = indexes_.emplace_back();
    auto* head = core.head_of(definition.id);
    const auto form = core.keys_of(definition.id).form();
    if (form == IndexForm::hash) {
      const bool held = !holds || holds(core.dictionary->class_of(definition.class_id));
      index.hash.emplace(*core.segment, allocator_, reclaimer_, &head->hash);
      index.hash->create(held ? definition.size_hint : 0);
    } else if (form != IndexForm::none) {
      index.ordered.emplace(*core.segment, allocator_, reclaimer_, &head->ordered, definition.id);
    }
  }
  core.header->bytes_used.store(allocator_.bytes_used(), std::memory_order_relaxed);
}

// --- lookups in the newest state ---

template <class See>
SlotId StorageWriter::look_up_newest(IndexId index, Bytes key, See&& see) const {
  const auto& keys = core_.keys_of(index);
  EXDB_ASSERT(keys.form() != IndexForm::none, "a list has no keys");
  const auto& slots = slots_[keys.definition().class_id.value];
  return look_up(
      core_, index, key, [&](SlotId slot) { return slots.newest_row(slot); },
      [&] { return indexes_[index.value].ordered->newest(); }, see);
}

SlotId StorageWriter::newest_owner(IndexId index, Bytes key) const {
  return look_up_newest(index, key, [](SlotId) { return true; });
}

void StorageWriter::newest_owners(IndexId index, Bytes key, std::vector<SlotId>& out) const {
  look_up_newest(index, key, [&](SlotId slot) {
    out.push_back(slot);
    return false;
  });
}

// --- changes ---

void StorageWriter::begin(Csn csn) {
  EXDB_ASSERT(csn >= applied_ && csn > published_,
              "csns are installed in order, before they are published");
  EXDB_ASSERT(filled_ == Csn{0}, "a storage that is filled from a stream is finished first");
  applied_ = csn;
  core_.header->applied.store(csn.value, std::memory_order_relaxed);
}

void StorageWriter::enter_key(IndexId index, Bytes key, SlotId slot, Csn csn) {
  auto& entries = indexes_[index.value];
  switch (core_.keys_of(index).form()) {
    case IndexForm::none:
      return;
    case IndexForm::hash:
      entries.hash->insert(hash_bytes(key), slot, csn);
      break;
    case IndexForm::ordered:
      entries.ordered->insert(key, slot, csn, published_);
      break;
    case IndexForm::ordered_hashes:
      entries.ordered->insert(ordered_hash(hash_bytes(key)), slot, csn, published_);
      break;
  }
  if (changes_ != nullptr) changes_->key_changed(index, key, true, csn);
}

/// `born`: csn of the version that carries the key no longer. Should older ones carry it too,
/// collect_entry() sees them.
void StorageWriter::leave_key(IndexId index, Bytes key, SlotId slot, Csn csn, Csn born) {
  auto& entries = indexes_[index.value];
  switch (core_.keys_of(index).form()) {
    case IndexForm::none:
      return;
    case IndexForm::hash:
      reclaimer_.retire({.kind = Garbage::Kind::hash_entry,
                         .owner = index.value,
                         .key = slot.value,
                         .offset = hash_bytes(key),
                         .bytes = 0,
                         .birth = born,
                         .death = csn});
      break;
    case IndexForm::ordered:
      entries.ordered->remove(key, slot, csn, published_);
      break;
    case IndexForm::ordered_hashes:
      entries.ordered->remove(ordered_hash(hash_bytes(key)), slot, csn, published_);
      break;
  }
  if (changes_ != nullptr) changes_->key_changed(index, key, false, csn);
}

void StorageWriter::watch_key(IndexId index, Bytes row, SlotId slot, bool enters) {
  const auto& keys = core_.keys_of(index);
  const auto key = keys.form() == IndexForm::hash ? keys.integer_of(row) : std::nullopt;
  if (!key) return;
  auto& guesser = indexes_[index.value].guesser;
  auto& guess = core_.head_of(index)->guess;
  const auto rows = slots_[keys.definition().class_id.value].rows();
  if (enters)
    guesser.enter(*key, slot, rows, guess);
  else
    guesser.leave(*key, slot, rows, guess);
}

// Index entries before the version (I2), in all three: memory that cannot be had then leaves entries
// too many, which find nothing, and never a row that is not found.
SlotId StorageWriter::insert(ClassId cls, Bytes row, Csn csn) {
  begin(csn);
  auto& slots = slots_[cls.value];
  const auto slot = slots.lowest_free();
  if (!exports_.empty()) tell_reused(cls, slot);
  for (const auto index : core_.dictionary->class_of(cls).indexes) {
    if (core_.keys_of(index).form() == IndexForm::none) continue;
    core_.keys_of(index).key_of(row, key_);
    enter_key(index, key_, slot, csn);
    watch_key(index, row, slot, true);
  }
  digest_ += row_digest(cls, slot, row);
  slots.install(slot, row, csn, published_);
  return slot;
}

void StorageWriter::update(ClassId cls, SlotId slot, Bytes row, Csn csn) {
  begin(csn);
  auto& slots = slots_[cls.value];
  const auto before = slots.newest_row(slot);
  EXDB_ASSERT(before, "an update is of a row that is there");
  for (const auto index : core_.dictionary->class_of(cls).indexes) {
    const auto& keys = core_.keys_of(index);
    // Most updates leave all keys alone: then no key is built and no index touched.
    if (keys.form() == IndexForm::none || keys.unchanged(*before, row)) continue;
    keys.key_of(*before, key_before_);
    keys.key_of(row, key_);
    if (key_ == key_before_) continue;
    leave_key(index, key_before_, slot, csn, slots.newest_csn(slot));
    enter_key(index, key_, slot, csn);
    watch_key(index, *before, slot, false);
    watch_key(index, row, slot, true);
  }
  digest_ += row_digest(cls, slot, row) - row_digest(cls, slot, *before);
  slots.install(slot, row, csn, published_);
}

void StorageWriter::remove(ClassId cls, SlotId slot, Csn csn) {
  begin(csn);
  auto& slots = slots_[cls.value];
  const auto before = slots.newest_row(slot);
  EXDB_ASSERT(before, "a removal is of a row that is there");
  for (const auto index : core_.dictionary->class_of(cls).indexes) {
    if (core_.keys_of(index).form() == IndexForm::none) continue;
    core_.keys_of(index).key_of(*before, key_before_);
    leave_key(index, key_before_, slot, csn, slots.newest_csn(slot));
    watch_key(index, *before, slot, false);
  }
  digest_ -= row_digest(cls, slot, *before);
  slots.install_removed(slot, csn, published_);
}

// --- publishing and reclaiming ---

void StorageWriter::publish(Csn csn) {
  EXDB_ASSERT(csn >= applied_, "what is installed is published whole");
  applied_ = published_ = csn;
  auto& header = *core_.header;
  header.applied.store(csn.value, std::memory_order_relaxed);
  header.digest.store(digest_, std::memory_order_relaxed);
  header.published.store(csn.value);  // seq_cst: ReaderTable I1
  if (++publishes_ % reap_every == 0) core_.readers.reap();

  // After the store above: what is collected now must not be needed by who pins from here on.
  const auto came_in = reclaimer_.size() - std::min(garbage_left_, reclaimer_.size());
  reclaimer_.step(csn, 2 * came_in + reclaim_extra);
  // Not at once: the Reclaimer was in the middle of its lists when these were found.
  for (auto& garbage : still_seen_) {
    garbage.death = csn;
    reclaimer_.retire(garbage);
  }
  still_seen_.clear();
  garbage_left_ = reclaimer_.size();
  header.bytes_used.store(allocator_.bytes_used(), std::memory_order_relaxed);
  header.garbage.store(garbage_left_, std::memory_order_relaxed);
}

void StorageWriter::collect_one(void* self, const Garbage& garbage) {
  auto& writer = *static_cast<StorageWriter*>(self);
  switch (garbage.kind) {
    case Garbage::Kind::version:
      writer.slots_[garbage.owner].collect(garbage);
      break;
    case Garbage::Kind::block:
      writer.allocator_.free(garbage.offset, garbage.bytes);
      break;
    case Garbage::Kind::root_record:
      writer.indexes_[garbage.owner].ordered->collect(garbage);
      break;
    case Garbage::Kind::hash_entry:
      writer.collect_entry(garbage);
      break;
  }
}

/// The entry goes unless a version of the slot that is still there carries its key. When that is
/// the newest, the entry is in use again, and will be retired again. When it is an older one, its
/// snapshots hold the entry on: by one record, however often the key comes and goes meanwhile.
void StorageWriter::collect_entry(const Garbage& garbage) {
  const EntryName name{garbage.owner, garbage.key, garbage.offset};
  if (garbage.bytes == held_on) held_entries_.erase(name);
  const auto& keys = core_.keys_of(IndexId{garbage.owner});
  const auto& slots = slots_[keys.definition().class_id.value];
  auto oldest_seen = Csn::max();
  bool newest = true, in_use = false;
  slots.each_version(SlotId{garbage.key}, [&](const ShownVersion& version) {
    if (version.row) keys.key_of(*version.row, key_);
    if (version.row && HashIndex::same_entry(hash_bytes(key_), garbage.offset)) {
      in_use = in_use || newest;
      oldest_seen = version.csn;
    }
    newest = false;
    return !in_use;
  });
  if (in_use) return;
  if (oldest_seen == Csn::max()) {
    indexes_[garbage.owner].hash->erase(garbage.offset, SlotId{garbage.key});
  } else if (held_entries_.insert(name).second) {
    still_seen_.push_back(garbage);
    still_seen_.back().birth = oldest_seen;
    still_seen_.back().bytes = held_on;
  }
}

void StorageWriter::check() const {
  for (const auto& slots : slots_) (void)slots.check();
  for (const auto& definition : core_.dictionary->indexes()) {
    const auto& index = indexes_[definition.id.value];
    const auto cls = definition.class_id;
    const auto& slots = slots_[cls.value];
    if (index.ordered) EXDB_ASSERT(index.ordered->check() == slots.rows(), "an entry a row");
    if (!index.hash) continue;
    const auto entries = index.hash->check();
    EXDB_ASSERT(entries >= slots.rows(), "an entry a row");
    EXDB_ASSERT(reclaimer_.size() != 0 || entries == slots.rows(), "no entry is forgotten");
    KeyBytes key;
    for (SlotId slot{0}; slot.value < slots.slots(); ++slot.value) {
      const auto row = slots.newest_row(slot);
      if (!row) continue;
      core_.keys_of(definition.id).key_of(*row, key);
      EXDB_ASSERT(newest_owner(definition.id, key) == slot, "a row is found by its key");
    }
  }
}

}  // namespace exdb
