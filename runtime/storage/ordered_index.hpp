// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// An ordered index: a copy-on-write B+tree from normalised key bytes (and slot, to part equal keys) to slots. A writer
// copies the path to what it changes, once a round, and publishes a new root; a reader walks the root of its snapshot,
// which never changes under it. So an index costs readers nothing to keep exact: at csn S it holds just the entries of S.
//
// Invariants
//   I1  A node whose birth csn is published is never written again.
//   I2  Every node reachable from the root of a pinned csn S has birth <= S < death, so the Reclaimer keeps it.
//   I3  Entries are strictly ascending by (key, slot); every separator of an inner node is the least entry below it.
//   I4  All leaves lie at the same depth.
// Threads: insert and remove by the writer; at() and cursors by anybody with a pin.
// Processes: nodes and root records are in the segment and hold offsets only.
#pragma once
#include "storage/allocator.hpp"
#include "storage/reclaimer.hpp"

namespace exdb {

/// Walks the entries (key, slot) of an ordered index at one snapshot, in both directions. Position: on an entry, or
/// off either end. Keys are normalised bytes (schema/key.hpp); entries with equal keys follow each other by slot.
class RangeCursor {
 public:
  RangeCursor() = default;
  /// On the first entry >= (key, slot). Empty key = the very first entry.
  bool seek(Bytes key, SlotId slot = SlotId{0});
  /// On the last entry < (key, slot).
  bool seek_before(Bytes key, SlotId slot = SlotId{0});
  bool first();
  bool last();
  bool next();
  bool prev();
  [[nodiscard]] bool on_entry() const;
  [[nodiscard]] Bytes key() const;  ///< valid while the snapshot lives
  [[nodiscard]] SlotId slot() const;

 private:
  friend class Snapshot;
  friend class OrderedIndex;
  struct Level {
    Offset node;
    std::uint32_t at;
  };
  const Segment* segment_ = nullptr;
  Offset root_ = 0;
  static constexpr unsigned levels_max = 16;
  Level path_[levels_max]{};
  unsigned depth_ = 0;  ///< 0 = off the ends
};

/// Lies in the segment, zeroed when new: the newest root record of one index. Records are version-chain cells
/// {csn, previous record, root node, entries} from the allocator, retired like nodes.
struct OrderedIndexHead {
  std::atomic<Offset> newest;
};

class OrderedIndex {
 public:
  OrderedIndex(Segment& segment, Allocator& allocator, Reclaimer& reclaimer, OrderedIndexHead* head);

  /// REQUIRES: (key, slot) is not in the newest tree; csn > published (nodes born after `published` are written in place).
  void insert(Bytes key, SlotId slot, Csn csn, Csn published);
  /// REQUIRES: (key, slot) is in the newest tree.
  void remove(Bytes key, SlotId slot, Csn csn, Csn published);
  /// The newest tree, published or not: the writer only.
  [[nodiscard]] RangeCursor newest() const;
  /// The tree at snapshot `csn`. Lock-free, any process.
  static RangeCursor at(const Segment& segment, const OrderedIndexHead* head, Csn csn);

  /// Walks the newest tree and asserts I3, I4; returns the number of entries. For tests.
  std::uint64_t check() const;

 private:
  Segment& segment_;
  Allocator& allocator_;
  Reclaimer& reclaimer_;
  OrderedIndexHead* head_;
};

}  // namespace exdb
