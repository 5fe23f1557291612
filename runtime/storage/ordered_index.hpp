// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// An ordered index: a copy-on-write B+tree from normalised key bytes (and slot, to part equal keys)
// to slots. A writer copies the path to what it changes, once a round, and publishes a new root; a
// reader walks the root of its snapshot, which never changes under it. So an index costs readers
// nothing to keep exact: at csn S it holds just the entries of S.
//
// Each round that touches the index links one root record in front of a chain of them. at(S) takes
// the first record with csn <= S. A record whose interval holds no pin is unlinked, also from the
// middle, so the chain is as long as there are pins (and garbage not yet collected), not as there
// were rounds.
//
// Invariants
//   I1  A node whose birth csn is published is never written again.
//   I2  Every node reachable from the root of a pinned csn S has birth <= S < death, so the
//       Reclaimer keeps it.
//   I3  Entries are strictly ascending by (key, slot); every separator of an inner node is the
//       least entry below it.
//   I4  All leaves lie at the same depth.
//   I5  csns of records descend strictly along the chain; the record that a pinned S needs is in
//       the chain.
//   I6  A record is unlinked before it is freed, and a free one has csn 0 until its new owner has
//       filled it. So if a record still has the csn it was found by, and still points to the record
//       that was read next, what was read there was that record's: this is what at() checks at each
//       step, and it starts again if not.
// Threads: everything that changes the index, collect(), newest() and check() by the writer; at()
//   and cursors by anybody with a pin.
// Processes: nodes and root records are in the segment and hold offsets only.
// Failure: no_memory thrown from a change may leave the unpublished tree without some entries;
//   published ones are whole.
#pragma once
#include <atomic>
#include <span>

#include "storage/allocator.hpp"
#include "storage/ordered_node.hpp"
#include "storage/reclaimer.hpp"

namespace exdb {

/// Walks the entries (key, slot) of an ordered index at one snapshot, in both directions. Position:
/// on an entry, or off either end (from where next() and prev() lead nowhere). Keys are normalised
/// bytes (schema/key.hpp); entries with equal keys follow each other by slot.
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
  [[nodiscard]] bool on_entry() const { return depth_ > 0; }
  [[nodiscard]] Bytes key() const;  ///< valid while the snapshot lives
  [[nodiscard]] SlotId slot() const;

 private:
  friend class Snapshot;
  friend class OrderedIndex;
  friend class OrderedEdit;
  struct Level {
    Offset node;
    std::uint32_t at;
  };
  RangeCursor(const Segment& segment, Offset root) : segment_(&segment), root_(root) {}
  [[nodiscard]] const OrderedNode& node(Offset offset) const {
    return *segment_->at<OrderedNode>(offset);
  }
  bool descend(const OrderedKey& key);
  bool step(bool forward);

  const Segment* segment_ = nullptr;
  Offset root_ = 0;
  static constexpr unsigned levels_max = 16;
  Level path_[levels_max]{};  ///< from the root to the leaf
  unsigned depth_ = 0;        ///< 0 = off the ends
};

/// Lies in the segment, zeroed when new: the newest root record of one index.
struct OrderedIndexHead {
  std::atomic<Offset> newest;
};

/// The tree as one round left it. A Stable cell, like versions: csn and previous are read while it
/// may be recycled.
struct OrderedRootRecord {
  std::atomic<std::uint64_t> csn;  ///< the first of the csns that are published together; 0 = free
  std::atomic<Offset> previous;    ///< the next older record, 0 = none
  Offset newer;                    ///< for the writer, to unlink
  Offset root;                     ///< 0 = empty tree
  std::uint64_t entries;
};

class OrderedIndex {
 public:
  struct Entry {
    Bytes key;
    SlotId slot;
  };

  /// `id` comes back as the owner in what is retired with Garbage::Kind::root_record. Nodes are
  /// retired as blocks.
  OrderedIndex(Segment& segment, Allocator& allocator, Reclaimer& reclaimer, OrderedIndexHead* head,
               IndexId id);

  /// REQUIRES: (key, slot) is not in the newest tree; csn > published (nodes born after `published`
  /// are written in place); `key` does not lie in the index itself.
  void insert(Bytes key, SlotId slot, Csn csn, Csn published);
  /// REQUIRES: (key, slot) is in the newest tree.
  void remove(Bytes key, SlotId slot, Csn csn, Csn published);
  /// Fills the index level by level, for loads: O(n), and nodes as full as is good for later
  /// inserts. REQUIRES: the newest tree is empty; `sorted` is strictly ascending by (key, slot).
  void build(std::span<const Entry> sorted, Csn csn, Csn published);
  /// Unlinks and frees a root record of this index that the Reclaimer gives back.
  void collect(const Garbage& garbage);

  /// The newest tree, published or not: the writer only. Ends with the next change, which may free
  /// what it stands on.
  [[nodiscard]] RangeCursor newest() const;
  /// The tree at snapshot `csn`, which is pinned. Lock-free, any process.
  static RangeCursor at(const Segment& segment, const OrderedIndexHead* head, Csn csn);

  /// Walks the newest tree and asserts I3, I4; returns the number of entries. For tests.
  [[nodiscard]] std::uint64_t check() const;

 private:
  friend class OrderedEdit;
  [[nodiscard]] OrderedRootRecord& record(Offset offset) const {
    return *segment_.at<OrderedRootRecord>(offset);
  }
  OrderedRootRecord& open_round(Csn csn, Csn published);
  std::uint64_t check_below(Offset offset, unsigned level, const OrderedKey* bound) const;

  Segment& segment_;
  Allocator& allocator_;
  Reclaimer& reclaimer_;
  OrderedIndexHead* head_;
  IndexId id_;
};

}  // namespace exdb
