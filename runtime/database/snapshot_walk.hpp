// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows of a snapshot in the order of a tree, or those with one key of a hash, without those that
// the transaction's own writes hide: half of an OrderedWalk.
//
// A row is hidden that was removed, or written before the walk began: the writer's own keys have it
// then. One that was written since is still where it was. Stretches of hidden rows are noted in the
// workspace (HiddenRuns), and jumped over by whoever comes after.
// Threads: used by one thread at a time.
#pragma once
#include "storage/snapshot.hpp"
#include "transaction/workspace.hpp"

namespace exdb {

/// A place in a walk: the row given last, by the key that it had when the walk began.
struct WalkPlace {
  KeyBytes key;
  RowId row;
};

class SnapshotWalk {
 public:
  /// Of a hash: bounds.low is the key. What is given by reference outlives the walk.
  SnapshotWalk(Workspace& work, const IndexDef& index, const Snapshot& snapshot, Moment moment,
               const KeyRange& bounds);

  /// Is there another row above (below) this place; without one, from the lower (upper) bound on?
  /// What it found is kept until it is taken, or asked for from elsewhere. O(log n), and O(1) when
  /// the place is that of the row taken last; + rows newly hidden.
  bool look(bool up, const WalkPlace* from);
  /// The row found is where the walk is now.
  void take() { state_ = State::taken; }
  [[nodiscard]] Bytes key() const { return tree() ? cursor_.key() : Bytes(bounds_.low); }
  [[nodiscard]] RowId row() const { return RowId::of(only_ ? *only_ : cursor_.slot()); }

 private:
  /// What cursor_ stands on: nothing yet; a row found, not taken; the end that look() came to; the
  /// row taken.
  enum class State { away, found, ended, taken };
  [[nodiscard]] bool tree() const { return index_.kind == IndexKind::tree; }
  bool look_at_only(bool up, const WalkPlace* from);
  [[nodiscard]] bool seek(bool up, const WalkPlace* from);
  [[nodiscard]] bool within(bool up) const;
  [[nodiscard]] bool hidden(SlotId slot, Moment& written);
  bool pass_hidden(bool up, bool on);

  Workspace& work_;
  const IndexDef& index_;
  const Snapshot& snapshot_;
  const KeyRange& bounds_;
  Moment moment_;
  State state_ = State::away;
  bool up_ = true;              ///< how `found` and `ended` were come to
  RangeCursor cursor_;          ///< over keys, or over hashes of keys
  KeyRange entries_;            ///< of a hash: the bounds in cursor_
  std::optional<SlotId> only_;  ///< of a unique hash: the row that has the key
};

}  // namespace exdb
