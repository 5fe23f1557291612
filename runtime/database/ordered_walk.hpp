// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows that a transaction saw when the walk began, in the order of an index: those of its
// snapshot and its own, merged by (key, row).
//
// Invariants
//   I1  A row is given at the key that it had when the walk began, at most once a pass, and not once
//       it is removed. What was written since is not given.
//   I2  A pass of n rows looks at O(n + hidden rows + own writes) entries, and a step of a walk never
//       at what a step before it has passed over in the same direction.
// Threads: used by one thread at a time.
#pragma once
#include "database/own_walk.hpp"

namespace exdb {

class OrderedWalk {
 public:
  /// Of a hash: bounds are those of one key. What is given by reference outlives the walk.
  /// REQUIRES: the class is settled.
  OrderedWalk(Workspace& work, const IndexDef& index, const Snapshot& snapshot, Moment moment,
              KeyRange bounds);
  OrderedWalk(const OrderedWalk&) = delete;
  OrderedWalk& operator=(const OrderedWalk&) = delete;

  /// Before the first row within the bounds, or after the last.
  void to_end(bool upper) { at_ = upper ? At::after : At::before; }
  /// The row that move() would come to; null at the end. Stays valid until the next call.
  const WalkPlace* look(bool up);
  bool move(bool up);

  /// Has it been beyond the last row of this direction, so that nothing is there?
  [[nodiscard]] bool at_end(bool up) const { return at_ == (up ? At::after : At::before); }
  /// Is it on a row: the one that the last move() came to?
  [[nodiscard]] bool on_row() const { return at_ == At::on; }
  [[nodiscard]] const WalkPlace& place() const { return place_; }
  [[nodiscard]] const KeyRange& bounds() const { return bounds_; }

 private:
  enum class At { before, on, after };
  const KeyRange bounds_;
  SnapshotWalk snapshot_;
  OwnWalk own_;
  PastWalk past_;
  At at_ = At::before;
  WalkPlace place_;
  WalkPlace ahead_;
};

}  // namespace exdb
