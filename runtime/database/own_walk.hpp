// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows that a transaction has written, in the order of the keys that they had when the walk
// began: what an OrderedWalk merges with the snapshot.
// Threads: used by one thread at a time.
#pragma once
#include "database/snapshot_walk.hpp"

namespace exdb {

/// Those that have their key still. Keys that came since the walk began are passed over.
class OwnWalk {
 public:
  /// REQUIRES: the class is settled. What is given by reference outlives the walk.
  OwnWalk(Workspace& work, const IndexDef& index, Moment moment, const KeyRange& bounds);

  /// As SnapshotWalk::look. O(log n), and O(1) when the place is that of the row taken last and no
  /// key has gone since; + keys that came since the walk began.
  bool look(bool up, const WalkPlace* from);
  void take() { state_ = State::taken; }
  [[nodiscard]] const WalkPlace& place() const { return found_; }

 private:
  enum class State { away, found, ended, taken };
  [[nodiscard]] bool was_there(RowId row);
  bool search(bool up, const WalkPlace* from);

  Workspace& work_;
  const IndexDef& index_;
  const KeyRange& bounds_;
  Moment moment_;
  bool nothing_;  ///< was written when it began
  State state_ = State::away;
  bool up_ = true;
  WalkPlace found_;
  Workspace::Keys::const_iterator at_;  ///< found_ in keys(), while erasures() is erasures_
  std::uint64_t erasures_ = 0;
};

/// Those that have another key by now. Nothing for who begins and goes at once.
class PastWalk {
 public:
  PastWalk(Workspace& work, const IndexDef& index, Moment moment, const KeyRange& bounds);

  /// O(log n), amortised: rows that were removed are met once.
  bool look(bool up, const WalkPlace* from);
  [[nodiscard]] const WalkPlace& place() const { return found_; }

 private:
  Workspace& work_;
  const IndexDef& index_;
  std::shared_ptr<PastKeys> past_;
  WalkPlace found_;
};

}  // namespace exdb
