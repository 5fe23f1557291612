// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What lies at the beginning of a storage's segment, and what a process keeps to read it.
// Everything is found from the header, so a process that has the segment's descriptor and the
// dictionary has the replica.
//
// Layout: StorageHeader | SlotTableHead a class | IndexHead an index | ReaderTable | the rest is
//   the allocator's
//
// Invariants
//
//   I1  The layout follows from the dictionary and the header alone; `magic` is written last, when
//       all is there.
//
// Threads: immutable but for the atomics, which say themselves who writes them.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/hash.hpp"
#include "storage/hash_index.hpp"
#include "storage/index_keys.hpp"
#include "storage/ordered_index.hpp"
#include "storage/pins.hpp"
#include "storage/slots.hpp"

namespace exdb {

struct alignas(64) StorageHeader {
  static constexpr std::uint64_t magic_now = 0x7365'6762'6478'6531;  // "1exdbges"
  static constexpr std::uint32_t version_now = 3;

  std::atomic<std::uint64_t> magic;
  std::uint32_t version;
  std::uint32_t places;  ///< of the reader table
  std::uint64_t dictionary;
  std::atomic<std::uint64_t> bytes_used, garbage, digest;  ///< as of the last publish
  /// Alone in its line: every pin reads it.
  alignas(64) std::atomic<std::uint64_t> published;
  alignas(64) std::atomic<std::uint64_t> applied;
};

/// Where the row of a key lies if rows were made in the order of their keys: slot = key - offset. A
/// unique index whose keys are one integer asks there first: a row at the snapshot that carries the
/// key is the answer, and was found without a wait for a cell of the hash table. A guess decides
/// nothing: a wrong one costs a look at a slot. The writer (SlotGuesser) gives one only while most
/// rows lie so.
struct SlotGuess {
  std::atomic<std::uint64_t> on;  ///< 0 = there is none
  std::atomic<std::uint64_t> offset;
};

struct alignas(64) IndexHead {
  union {
    HashIndexHead hash;
    OrderedIndexHead ordered;
  };
  SlotGuess guess;  ///< of a hash index over one integer
};

struct StorageCore {
  static constexpr Offset header_offset = Segment::header_bytes;
  static std::size_t bytes_for(const Dictionary& dictionary, std::uint32_t places);

  /// REQUIRES: the segment holds a header of this dictionary, and usable memory for all that
  /// follows.
  StorageCore(std::shared_ptr<const Dictionary> dictionary_, std::unique_ptr<Segment> segment_);

  [[nodiscard]] SlotTableHead* rows_of(ClassId cls) const { return classes + cls.value; }
  [[nodiscard]] IndexHead* head_of(IndexId index) const { return indexes + index.value; }
  [[nodiscard]] const IndexKeys& keys_of(IndexId index) const { return keys[index.value]; }
  [[nodiscard]] std::optional<Bytes> row(ClassId cls, SlotId slot, Csn csn) const {
    return SlotTable::find(*segment, rows_of(cls), cls, slot, csn);
  }

  /// The slot in which a row with this key probably lies; none when nothing is known.
  [[nodiscard]] std::optional<SlotId> guess(IndexId index, const IndexKeys::Matcher& key) const {
    const auto& guess = head_of(index)->guess;
    if (guess.on.load(std::memory_order_relaxed) == 0 || !key.integer()) return std::nullopt;
    return SlotId{*key.integer() - guess.offset.load(std::memory_order_relaxed)};
  }

  std::shared_ptr<const Dictionary> dictionary;
  std::unique_ptr<Segment> segment;
  StorageHeader* header;
  SlotTableHead* classes;
  IndexHead* indexes;
  std::vector<IndexKeys> keys;
  ReaderTable readers;
  SharedPins pins;
};

/// The entries of an ordered index under `prefix`, a whole key or the hash of one: calls see(slot)
/// for each, ascending by slot, until it returns true, and returns that slot; SlotId::none()
/// otherwise.
template <class See>
SlotId walk_equal(RangeCursor cursor, Bytes key, See&& see) {
  for (bool on = cursor.seek(key); on && compare_keys(cursor.key(), key) == 0; on = cursor.next())
    if (see(cursor.slot())) return cursor.slot();
  return SlotId::none();
}

/// A row's share in the digest. The sum over all rows is the same in whatever order they came.
inline std::uint64_t row_digest(ClassId cls, SlotId slot, Bytes row) {
  return hash_bytes(row, hash_word(Version::owner_of(cls, slot)));
}

/// The key of a non-unique hash index.
inline std::array<std::byte, 8> ordered_hash(std::uint64_t hash) {
  return std::bit_cast<std::array<std::byte, 8>>(__builtin_bswap64(hash));
}

/// look_up() in a tree. Not inlined: its cursor takes a page of stack, of which a look-up by hash
/// need not know.
template <class Row, class Cursor, class See>
[[gnu::noinline]] SlotId look_up_ordered(const IndexKeys& keys, Bytes key, Row&& row,
                                         Cursor&& cursor, See&& see) {
  if (keys.form() == IndexForm::ordered) return walk_equal(cursor(), key, see);
  const IndexKeys::Matcher carries(keys, key);
  return walk_equal(cursor(), ordered_hash(hash_bytes(key)), [&](SlotId slot) {
    const auto bytes = row(slot);
    return bytes && carries(*bytes) && see(slot);
  });
}

/// Slots whose row carries `key`, in ascending order, until see(slot) returns true; that slot, or
/// SlotId::none(). row(slot) gives the row in question; cursor() the tree. The one way in which
/// keys are looked up, for readers at their snapshot and for the writer in the newest state.
template <class Row, class Cursor, class See>
SlotId look_up(const StorageCore& core, IndexId index, Bytes key, Row&& row, Cursor&& cursor,
               See&& see) {
  const auto& keys = core.keys_of(index);
  if (keys.form() != IndexForm::hash) return look_up_ordered(keys, key, row, cursor, see);
  const IndexKeys::Matcher carries(keys, key);
  if (const auto slot = core.guess(index, carries)) {
    const auto bytes = row(*slot);
    if (bytes && carries(*bytes)) return see(*slot) ? *slot : SlotId::none();  // it is unique
  }
  return HashIndex::find(*core.segment, &core.head_of(index)->hash, hash_bytes(key),
                         [&](SlotId slot) {
                           const auto bytes = row(slot);
                           return bytes && carries(*bytes) && see(slot);
                         });
}

}  // namespace exdb
