// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A unique hash index: from the 64-bit hash of a key to the slots that may carry it. It knows
// neither keys nor rows: it gives candidates, and who asks looks at the row. An entry stays until
// no snapshot can see its key in its slot.
//
// Shape: extendible hashing. A directory of 2^depth words, taken by the top bits of the hash,
// points at tables of 512 to 4,096 cells with linear probing, taken by the low bits. A full table
// doubles, at 4,096 cells it splits in two. One table is rebuilt at a time, 48 KiB, so growth never
// stalls, and nobody has to guess a size: a number of shards fixed by a hint was rejected because a
// wrong hint costs either long stalls or memory for nothing.
//   cell: tag (24 bits of the hash) | slot + 1 (40 bits); 0 = empty, all ones = removed
//   note: 32 more bits of the hash beside each cell, for the writer: a rebuild never looks at a row
//
// Invariants
//
//   I1  Between the home cell of an entry and the entry no cell is empty.
//   I2  An entry is never moved within a table. A rebuilt table replaces the old one, which is
//       retired for all snapshots before the csn being installed: whoever may have loaded its
//       offset is pinned there.
//   I3  There is at most one entry for the same slot and the same known bits (same_entry).
//   I4  Every table keeps an empty cell, so that every probe ends.
//
// Threads: insert, erase and check by the writer; find, prefetch by anybody with a pin, lock-free,
//   any process.
// Failure: insert throws Error(no_memory) with every entry as it was.
// Not for equal keys in many slots: probing past n equal tags is linear. Non-unique hash indexes
//   are therefore OrderedIndexes over the hash, see storage/README.md.
#pragma once
#include <atomic>

#include "storage/allocator.hpp"
#include "storage/reclaimer.hpp"

namespace exdb {

/// Lies in the segment, zeroed when new.
struct HashIndexHead {
  std::atomic<std::uint64_t>
      directory;  ///< offset << 8 | depth; the words are table offset << 8 | log2 of its cells
};

class HashIndex {
 public:
  HashIndex(Segment& segment, Allocator& allocator, Reclaimer& reclaimer, HashIndexHead* head);

  /// Makes the empty index, with room for `rows` entries. Once, before any other call.
  void create(std::uint64_t rows);
  /// Makes an index without entries anew, with room for `rows`: so a bulk load grows no table.
  /// `csn` is being installed and not published.
  void recreate(std::uint64_t rows, Csn csn);

  /// Adds the entry unless it is there. `csn` is being installed and not published.
  void insert(std::uint64_t hash, SlotId slot, Csn csn);
  /// Drops the entry if it is there. Only when no snapshot, pinned or to come, can need it.
  void erase(std::uint64_t hash, SlotId slot);
  /// Fetches what insert() will touch.
  void prefetch_for_insert(std::uint64_t hash) const;

  /// The first candidate for which `carries(SlotId)` is true, SlotId::none() if there is none.
  template <class Carries>
  static SlotId find(const Segment& segment, const HashIndexHead* head, std::uint64_t hash,
                     Carries&& carries);

  /// First half of find(): the cells where it starts, asked for and not waited for.
  static const std::atomic<std::uint64_t>* prefetch(const Segment& segment,
                                                    const HashIndexHead* head, std::uint64_t hash);

  /// Whether the index cannot tell entries of these hashes for one slot apart (I3).
  static bool same_entry(std::uint64_t a, std::uint64_t b) { return ((a ^ b) & known_bits) == 0; }

  /// Entries there are, those that wait for a pin included.
  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  /// Walks everything, asserts I1, I3, I4 and the counts; returns entries(). For tests.
  std::uint64_t check() const;

  static constexpr unsigned slot_bits = 40;

 private:
  // Bits of the hash: 0-11 in the note (home), 12-35 in the tag, 44-63 in the note (directory).
  static constexpr unsigned home_bits = 12, tag_bits = 24, depth_max = 20;
  static constexpr std::uint64_t known_bits = ~(std::uint64_t{0xff} << 36);
  static constexpr std::uint64_t slot_mask = (std::uint64_t{1} << slot_bits) - 1;
  static constexpr std::uint64_t empty = 0, removed = ~std::uint64_t{0};
  static constexpr unsigned cells_log2_min = 9, cells_log2_max = 12;

  struct Books {  // of one table, behind its notes
    std::uint64_t live, used, depth;
  };
  struct Table {
    std::atomic<std::uint64_t>* cells = nullptr;
    std::uint32_t* notes = nullptr;
    Books* books = nullptr;
    unsigned log2 = 0;
    Offset offset = 0;
    [[nodiscard]] std::uint64_t mask() const { return (std::uint64_t{1} << log2) - 1; }
  };

  static std::uint64_t tag_of(std::uint64_t hash) { return (hash >> home_bits) << slot_bits; }
  static std::uint32_t note_of(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash & 0xfff) | static_cast<std::uint32_t>(hash >> 44)
                                                          << home_bits;
  }
  static std::uint64_t known_of(std::uint64_t cell, std::uint32_t note) {
    return (note & 0xfffU) | (cell >> slot_bits) << home_bits | std::uint64_t{note >> 12} << 44;
  }
  static std::size_t table_bytes(unsigned log2) {
    return (std::size_t{12} << log2) + sizeof(Books);
  }
  /// Word of the directory for `hash`; depth 0 has one word.
  static std::uint64_t word_at(std::uint64_t directory, std::uint64_t hash) {
    const unsigned depth = directory & 0xff;
    return depth == 0 ? 0 : hash >> (64 - depth);
  }
  static const std::atomic<std::uint64_t>* words(const Segment& segment, std::uint64_t directory) {
    return segment.at<const std::atomic<std::uint64_t>>(directory >> 8);
  }

  [[nodiscard]] Table table_at(std::uint64_t word) const;
  [[nodiscard]] Table table_for(std::uint64_t hash) const;
  [[nodiscard]] std::uint64_t directory() const {
    return head_->directory.load(std::memory_order_relaxed);
  }
  void make_all(std::uint64_t rows);
  Table make_table(unsigned log2, unsigned depth);
  static void add_fresh(const Table& table, std::uint64_t cell, std::uint32_t note);
  void make_room(const Table& full, std::uint64_t hash, Csn csn);
  void replace(const Table& old, const Table& with, std::uint64_t hash, Csn csn);
  void split(const Table& old, std::uint64_t hash, Csn csn);
  void deepen(Csn csn);
  void retire_block(Offset offset, std::size_t bytes, Csn csn);
  void check_table(const Table& table, std::uint64_t first_word) const;

  Segment& segment_;
  Allocator& allocator_;
  Reclaimer& reclaimer_;
  HashIndexHead* head_;
  std::uint64_t entries_ = 0;
};

template <class Carries>
SlotId HashIndex::find(const Segment& segment, const HashIndexHead* head, std::uint64_t hash,
                       Carries&& carries) {
  const auto directory = head->directory.load(std::memory_order_acquire);
  const auto word =
      words(segment, directory)[word_at(directory, hash)].load(std::memory_order_acquire);
  const auto* cells = segment.at<const std::atomic<std::uint64_t>>(word >> 8);
  const auto mask = (std::uint64_t{1} << (word & 0xff)) - 1;
  const auto tag = tag_of(hash);
  for (auto at = hash & mask;; at = (at + 1) & mask) {
    const auto cell = cells[at].load(std::memory_order_acquire);
    if (cell == empty) return SlotId::none();
    if (((cell ^ tag) >> slot_bits) != 0 || cell == removed) continue;
    const SlotId slot{(cell & slot_mask) - 1};
    if (carries(slot)) return slot;
  }
}

inline const std::atomic<std::uint64_t>* HashIndex::prefetch(const Segment& segment,
                                                             const HashIndexHead* head,
                                                             std::uint64_t hash) {
  const auto directory = head->directory.load(std::memory_order_acquire);
  const auto word =
      words(segment, directory)[word_at(directory, hash)].load(std::memory_order_acquire);
  const auto* cells = segment.at<const std::atomic<std::uint64_t>>(word >> 8);
  const auto* start = cells + (hash & ((std::uint64_t{1} << (word & 0xff)) - 1));
  __builtin_prefetch(start);
  return start;
}

}  // namespace exdb
