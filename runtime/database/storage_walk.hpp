// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows of a class that a transaction saw when the walk began, in storage order: slots of the
// snapshot, then the transaction's new rows in the order in which they were made. A row that was
// changed is where it was; one that was removed is passed over.
//
// Cost: a step O(log new rows) + removed rows that no walk has passed over before.
// Threads: used by one thread at a time.
#pragma once
#include "storage/snapshot.hpp"
#include "transaction/workspace.hpp"

namespace exdb {

class StorageWalk {
 public:
  /// What is given by reference outlives the walk.
  StorageWalk(Workspace& work, const ClassDef& type, const Snapshot& snapshot);

  /// Before the first row, or after the last.
  void to_end(bool upper) { at_ = upper ? At::after : At::before; }
  bool move(bool up);
  [[nodiscard]] bool on_row() const { return at_ == At::on; }
  [[nodiscard]] RowId row() const { return row_; }

 private:
  enum class At { before, on, after };
  /// The first row at `from` or above that is there, removed or not.
  [[nodiscard]] std::optional<RowId> any_above(RowId from) const;
  /// The last one below `from`.
  [[nodiscard]] std::optional<RowId> any_below(RowId from) const;
  [[nodiscard]] bool removed(RowId row);

  Workspace& work_;
  const ClassDef& type_;
  const Snapshot& snapshot_;
  std::size_t new_rows_;  ///< there were when it began
  At at_ = At::before;
  RowId row_;
};

}  // namespace exdb
