// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/hash_index.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace exdb {
namespace {

using Cell = std::atomic<std::uint64_t>;

/// Cells in use, removed ones included, at which a table is full: probes for what is not there grow
/// steeply above.
constexpr std::uint64_t room_of(unsigned log2) { return (std::uint64_t{3} << log2) / 4; }
/// Entries above which a rebuilt table gets more cells: below, dropping removed cells alone pays
/// for the rebuild.
constexpr std::uint64_t comfortable(unsigned log2) { return (std::uint64_t{5} << log2) / 8; }

}  // namespace

HashIndex::HashIndex(Segment& segment, Allocator& allocator, Reclaimer& reclaimer,
                     HashIndexHead* head)
    : segment_(segment), allocator_(allocator), reclaimer_(reclaimer), head_(head) {}

void HashIndex::create(std::uint64_t rows) {
  EXDB_ASSERT(directory() == 0, "an index is created once");
  make_all(rows);
}

/// One store puts everything into place: readers may be on the way through what was there before.
void HashIndex::make_all(std::uint64_t rows) {
  unsigned log2 = cells_log2_min, depth = 0;
  while (log2 < cells_log2_max && comfortable(log2) < rows) ++log2;
  while (depth < depth_max && comfortable(log2) << depth < rows) ++depth;
  const auto count = std::size_t{1} << depth;
  const auto offset = allocator_.allocate(count * sizeof(Cell));
  auto* at = segment_.at<Cell>(offset);
  for (std::size_t i = 0; i < count; ++i)
    at[i].store(make_table(log2, depth).offset << 8 | log2, std::memory_order_relaxed);
  head_->directory.store(offset << 8 | depth, std::memory_order_release);
}

void HashIndex::recreate(std::uint64_t rows, Csn csn) {
  EXDB_ASSERT(entries_ == 0, "only an index without entries is made anew");
  const auto top = directory();
  const auto count = std::size_t{1} << (top & 0xff);
  Offset last = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto table = table_at(words(segment_, top)[i].load(std::memory_order_relaxed));
    if (table.offset != last) retire_block(table.offset, table_bytes(table.log2), csn);
    last = table.offset;
  }
  retire_block(top >> 8, count * sizeof(Cell), csn);
  make_all(rows);
}

HashIndex::Table HashIndex::table_at(std::uint64_t word) const {
  Table table;
  table.log2 = word & 0xff;
  table.offset = word >> 8;
  table.cells = segment_.at<Cell>(table.offset);
  table.notes = segment_.at<std::uint32_t>(table.offset + (std::size_t{8} << table.log2));
  table.books = segment_.at<Books>(table.offset + (std::size_t{12} << table.log2));
  return table;
}

HashIndex::Table HashIndex::table_for(std::uint64_t hash) const {
  const auto top = directory();
  return table_at(words(segment_, top)[word_at(top, hash)].load(std::memory_order_relaxed));
}

HashIndex::Table HashIndex::make_table(unsigned log2, unsigned depth) {
  const auto offset = allocator_.allocate(table_bytes(log2));
  const auto table = table_at(offset << 8 | log2);
  std::memset(static_cast<void*>(table.cells), 0, std::size_t{8} << log2);
  *table.books = Books{0, 0, depth};
  return table;
}

/// Into a table that no reader knows yet, which has room. Relaxed stores do: the table is published
/// by one release store of its directory word.
void HashIndex::add_fresh(const Table& table, std::uint64_t cell, std::uint32_t note) {
  auto at = known_of(cell, note) & table.mask();
  while (table.cells[at].load(std::memory_order_relaxed) != empty) at = (at + 1) & table.mask();
  table.cells[at].store(cell, std::memory_order_relaxed);
  table.notes[at] = note;
  ++table.books->live;
  ++table.books->used;
}

void HashIndex::insert(std::uint64_t hash, SlotId slot, Csn csn) {
  EXDB_ASSERT(slot.value + 2 <= slot_mask, "slots of an indexed class fit into 40 bits");
  auto table = table_for(hash);
  // A loop: a split may leave all entries in one half.
  while (table.books->used >= room_of(table.log2)) {
    make_room(table, hash, csn);
    table = table_for(hash);
  }
  const auto cell = tag_of(hash) | (slot.value + 1);
  const auto note = note_of(hash);
  constexpr auto nowhere = ~std::uint64_t{0};
  auto place = nowhere;
  auto at = hash & table.mask();
  for (;; at = (at + 1) & table.mask()) {
    const auto there = table.cells[at].load(std::memory_order_relaxed);
    if (there == empty) break;
    // The key was here before, and an older snapshot still holds the entry: it serves again.
    if (there == cell && table.notes[at] == note) return;
    // Remembered, and not taken at once: the entry itself may lie further on (I3).
    if (there == removed && place == nowhere) place = at;
  }
  if (place == nowhere) {
    place = at;
    ++table.books->used;
  }
  // The note is the writer's alone, so it needs no order; the cell is what readers find.
  table.notes[place] = note;
  table.cells[place].store(cell, std::memory_order_release);
  ++table.books->live;
  ++entries_;
}

void HashIndex::erase(std::uint64_t hash, SlotId slot) {
  const auto table = table_for(hash);
  const auto mask = table.mask();
  const auto cell = tag_of(hash) | (slot.value + 1);
  const auto note = note_of(hash);
  auto at = hash & mask;
  for (;; at = (at + 1) & mask) {
    const auto there = table.cells[at].load(std::memory_order_relaxed);
    if (there == empty) return;
    if (there == cell && table.notes[at] == note) break;
  }
  --table.books->live;
  --entries_;
  table.cells[at].store(removed, std::memory_order_release);
  // A run of removed cells before an empty one leads nowhere: by I1 no entry lies behind it. So a
  // table under steady insertion and removal cleans itself and is hardly ever rebuilt.
  if (table.cells[(at + 1) & mask].load(std::memory_order_relaxed) != empty) return;
  while (table.cells[at].load(std::memory_order_relaxed) == removed) {
    table.cells[at].store(empty, std::memory_order_release);
    --table.books->used;
    at = (at - 1) & mask;
  }
}

void HashIndex::prefetch_for_insert(std::uint64_t hash) const {
  const auto table = table_for(hash);
  const auto at = hash & table.mask();
  __builtin_prefetch(table.cells + at, 1);
  __builtin_prefetch(table.notes + at, 1);
  __builtin_prefetch(table.books, 1);
}

// Removed cells fill a table as entries do. So it is rebuilt as it is when few of the cells in use
// are alive, made larger when many are, and split when it may not be larger.
void HashIndex::make_room(const Table& full, std::uint64_t hash, Csn csn) {
  const auto live = full.books->live;
  auto log2 = full.log2;
  if (live > comfortable(log2)) {
    if (log2 >= cells_log2_max && full.books->depth < depth_max) {
      std::uint64_t upper = 0;
      const auto bit = std::uint64_t{1} << (63 - full.books->depth);
      for (std::uint64_t i = 0; i <= full.mask(); ++i) {
        const auto cell = full.cells[i].load(std::memory_order_relaxed);
        if (cell != empty && cell != removed) upper += (known_of(cell, full.notes[i]) & bit) != 0;
      }
      // Equal hashes (one key in many slots within a round) are not parted by a split.
      if (upper > live / 8 && live - upper > live / 8) return split(full, hash, csn);
    }
    ++log2;
  }
  const auto with = make_table(log2, static_cast<unsigned>(full.books->depth));
  for (std::uint64_t i = 0; i <= full.mask(); ++i) {
    const auto cell = full.cells[i].load(std::memory_order_relaxed);
    if (cell != empty && cell != removed) add_fresh(with, cell, full.notes[i]);
  }
  replace(full, with, hash, csn);
}

void HashIndex::replace(const Table& old, const Table& with, std::uint64_t hash, Csn csn) {
  const auto top = directory();
  // A table that is less deep than the directory has several words, side by side.
  const auto spread = (top & 0xff) - with.books->depth;
  const auto first = word_at(top, hash) >> spread << spread;
  auto* word = segment_.at<Cell>(top >> 8) + first;
  for (std::uint64_t i = 0; i < std::uint64_t{1} << spread; ++i)
    word[i].store(with.offset << 8 | with.log2, std::memory_order_release);
  // After a split the second half comes here when the first has taken the old table's place
  // already.
  if (old.cells != nullptr) retire_block(old.offset, table_bytes(old.log2), csn);
}

void HashIndex::split(const Table& old, std::uint64_t hash, Csn csn) {
  const auto depth = static_cast<unsigned>(old.books->depth);
  if (depth == (directory() & 0xff)) deepen(csn);
  const auto bit = std::uint64_t{1} << (63 - depth);
  const Table half[2] = {make_table(old.log2, depth + 1), make_table(old.log2, depth + 1)};
  for (std::uint64_t i = 0; i <= old.mask(); ++i) {
    const auto cell = old.cells[i].load(std::memory_order_relaxed);
    if (cell == empty || cell == removed) continue;
    add_fresh(half[(known_of(cell, old.notes[i]) & bit) != 0], cell, old.notes[i]);
  }
  replace(Table{}, half[0], hash & ~bit, csn);
  replace(old, half[1], hash | bit, csn);
}

// Twice the words, each table named twice as often. The old directory stays for those who loaded its
// offset; the new one is complete before it is put in its place.
void HashIndex::deepen(Csn csn) {
  const auto top = directory();
  const auto depth = top & 0xff;
  const auto count = std::size_t{1} << depth;
  const auto offset = allocator_.allocate(2 * count * sizeof(Cell));
  const auto* from = words(segment_, top);
  auto* to = segment_.at<Cell>(offset);
  for (std::size_t i = 0; i < 2 * count; ++i)
    to[i].store(from[i / 2].load(std::memory_order_relaxed), std::memory_order_relaxed);
  head_->directory.store(offset << 8 | (depth + 1), std::memory_order_release);
  retire_block(top >> 8, count * sizeof(Cell), csn);
}

void HashIndex::retire_block(Offset offset, std::size_t bytes, Csn csn) {
  Garbage garbage;
  garbage.kind = Garbage::Kind::block;
  garbage.offset = offset;
  garbage.bytes = bytes;
  garbage.death = csn;  // birth stays 0: whoever is pinned anywhere before may be in it (I2)
  reclaimer_.retire(garbage);
}

std::uint64_t HashIndex::check() const {
  const auto top = directory();
  std::uint64_t live = 0, at = 0;
  while (at < std::uint64_t{1} << (top & 0xff)) {
    const auto word = words(segment_, top)[at].load(std::memory_order_relaxed);
    const auto table = table_at(word);
    EXDB_ASSERT(table.books->depth <= (top & 0xff), "a table is not deeper than its directory");
    const auto spread = std::uint64_t{1} << ((top & 0xff) - table.books->depth);
    for (std::uint64_t i = 0; i < spread; ++i)
      EXDB_ASSERT(words(segment_, top)[at + i].load() == word, "all words of a table name it");
    check_table(table, at);
    live += table.books->live;
    at += spread;
  }
  EXDB_ASSERT(live == entries_, "entries are counted");
  return live;
}

void HashIndex::check_table(const Table& table, std::uint64_t first_word) const {
  const auto top = directory();
  std::uint64_t live = 0, used = 0;
  for (std::uint64_t i = 0; i <= table.mask(); ++i) {
    const auto cell = table.cells[i].load();
    used += cell != empty;
    if (cell == empty || cell == removed) continue;
    ++live;
    const auto known = known_of(cell, table.notes[i]);
    const auto spread = (top & 0xff) - table.books->depth;
    EXDB_ASSERT(word_at(top, known) >> spread == first_word >> spread, "an entry is in its table");
    for (auto at = known & table.mask(); at != i; at = (at + 1) & table.mask()) {
      const auto there = table.cells[at].load();
      EXDB_ASSERT(there != empty, "I1: no gap before an entry");
      EXDB_ASSERT(there != cell || table.notes[at] != table.notes[i], "I3: no entry twice");
    }
  }
  EXDB_ASSERT(live == table.books->live && used == table.books->used, "a table's counts");
  EXDB_ASSERT(used <= table.mask(), "I4: an empty cell");
}

}  // namespace exdb
