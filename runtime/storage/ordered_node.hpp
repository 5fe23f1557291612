// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One node of an ordered index: up to entries_max entries (key, slot), with a child each in an
// inner node, in one block of memory. The first 8 bytes of all keys, their heads, lie side by side,
// so a search reads four cache lines and looks at whole keys only among equal heads. Longer keys
// lie in full in a heap at the end of the block.
//
// Invariants
//   I1  Entries are strictly ascending by (key, slot): keys as by memcmp, a prefix before what it
//       begins.
//   I2  A key of at most head_bytes is its head and nothing else; its head is padded with zeros.
//   I3  heap_live() is the sum of the lengths of the keys in the heap: what a copy of the node
//       needs of it.
// Threads: what changes a node is for the writer that owns it; see ordered_index.hpp for when that
//   is.
// Processes: lies in the segment; places in the heap count from the start of the node.
#pragma once
#include <cstring>

#include "base/types.hpp"
#include "storage/segment.hpp"

namespace exdb {

/// A key and slot to look for or to put in, with the key's head as an integer that compares as the
/// bytes do.
struct OrderedKey {
  OrderedKey(Bytes key, SlotId of) : bytes(key), slot(of) {
    if (!key.empty()) {
      std::memcpy(&head, key.data(), key.size() < sizeof(head) ? key.size() : sizeof(head));
    }
    head = __builtin_bswap64(head);
  }

  Bytes bytes;
  SlotId slot;
  std::uint64_t head = 0;
};

class OrderedNode {
 public:
  /// 31 makes a leaf of short keys 768 bytes and an inner node 1,016: both nearly fill a size
  /// class.
  static constexpr unsigned entries_max = 31;
  static constexpr std::size_t head_bytes = 8;

  /// What a key takes in the heap.
  static std::size_t heap_bytes(std::size_t key_bytes) {
    return key_bytes > head_bytes ? key_bytes : 0;
  }
  /// The size of a node of that level (0 = leaf) with so much heap.
  static std::size_t bytes_for(unsigned level, std::size_t heap);

  /// Makes an empty node of memory of `bytes` bytes, at least bytes_for(level, 0).
  void init(Csn birth, unsigned level, std::size_t bytes);

  [[nodiscard]] Csn birth() const { return {birth_}; }
  [[nodiscard]] unsigned level() const { return level_; }
  [[nodiscard]] unsigned count() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t heap_live() const { return heap_live_; }

  /// A view into the node.
  [[nodiscard]] Bytes key(unsigned at) const {
    const auto length = texts_[at].length;
    const auto* start = length <= head_bytes ? reinterpret_cast<const std::byte*>(&heads_[at])
                                             : start_of(texts_[at]);
    return {start, length};
  }
  [[nodiscard]] SlotId slot(unsigned at) const { return {slots_[at]}; }
  [[nodiscard]] Offset child(unsigned at) const { return children()[at]; }

  /// Entry `at` against `key`: negative, 0, positive.
  [[nodiscard]] int compare(unsigned at, const OrderedKey& key) const;
  /// The first entry >= key; count() when there is none.
  [[nodiscard]] unsigned lower_bound(const OrderedKey& key) const;
  /// The child in which `key` is or would be: that of the last entry <= key, else the first.
  [[nodiscard]] unsigned child_for(const OrderedKey& key) const;

  /// Whether the heap has room for one more key of that length.
  [[nodiscard]] bool has_room(std::size_t key_bytes) const {
    return heap_end_ + heap_bytes(key_bytes) <= bytes_;
  }
  /// REQUIRES: count() < entries_max, has_room(). `child` is not looked at in a leaf.
  void insert(unsigned at, Bytes key, SlotId slot, Offset child);
  /// REQUIRES: has_room(). `key` does not lie in this node.
  void set_key(unsigned at, Bytes key, SlotId slot);
  void set_child(unsigned at, Offset child) { children()[at] = child; }
  void remove(unsigned at);
  /// Leaves the first `count` entries.
  void truncate(unsigned count);
  /// Appends entries [first, last) of another node of the same level. REQUIRES: room for them.
  void append(const OrderedNode& from, unsigned first, unsigned last);
  /// Bytes of heap that the keys of entries [first, last) take.
  [[nodiscard]] std::size_t heap_of(unsigned first, unsigned last) const;

  /// Asserts I1–I3. For tests.
  void check() const;

  /// Asks for the lines that a search reads first.
  void prefetch() const {
    const auto* line = reinterpret_cast<const char*>(this);
    for (unsigned i = 0; i < 5; ++i) __builtin_prefetch(line + std::size_t{64} * i);
  }

 private:
  struct Text {
    std::uint32_t at, length;
  };

  [[nodiscard]] const std::byte* start_of(Text text) const {
    return reinterpret_cast<const std::byte*>(this) + text.at;
  }
  [[nodiscard]] std::uint64_t head(unsigned at) const { return __builtin_bswap64(heads_[at]); }
  [[nodiscard]] const Offset* children() const { return reinterpret_cast<const Offset*>(this + 1); }
  [[nodiscard]] Offset* children() { return reinterpret_cast<Offset*>(this + 1); }
  [[nodiscard]] unsigned heads_below(std::uint64_t head) const;
  void put_text(unsigned at, Bytes key);
  void drop_text(unsigned at);

  std::uint64_t birth_;
  std::uint32_t bytes_;
  std::uint32_t heap_end_;  ///< first byte of the heap not given out
  std::uint32_t heap_live_;
  std::uint16_t level_, count_;
  std::uint64_t heads_[entries_max];  ///< as the bytes lie in the key, so that key() can point here
  std::uint64_t slots_[entries_max];
  Text texts_[entries_max];
};
static_assert(sizeof(OrderedNode) == 768);

}  // namespace exdb
