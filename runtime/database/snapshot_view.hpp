// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What an open transaction sees of the database beneath its own writes: one snapshot from begin to
// end, or, under read_committed, the newest one at each statement.
//
// Invariants
//   I1  first() stays what it was at begin(), whatever newer snapshots statements have had.
//   I2  Under read_committed a row found by a past statement is shown as that statement saw it, or
//       refused; never as another row that has its slot by now.
//   I3  Statements are numbered from 0; a past one keeps its snapshot only as long as a cursor or a
//       view does. Without it, what has not changed since is shown still.
//   I4  All statements of a transaction are of one history (R7 of the replica): once it is given up the
//       next statement is refused with conflict. What is pinned is shown on.
// Threads: used by one thread at a time.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "database/commit_route.hpp"
#include "transaction/workspace.hpp"

namespace exdb {

/// What an Object holds of its row: the RowId, and, of a row of a snapshot under read_committed,
/// the number of the statement that found it, in bits that no slot has.
struct RowHandle {
  static constexpr unsigned slot_bits = 40;
  static constexpr std::uint64_t statements_max = std::uint64_t{1} << 22;
  std::uint64_t value = 0;
  static RowHandle of(RowId row, std::uint64_t statement) {
    return {row.is_new() ? row.value : row.value | statement << slot_bits};
  }
  [[nodiscard]] RowId row() const {
    return {value & RowId::new_bit ? value : value & ((std::uint64_t{1} << slot_bits) - 1)};
  }
  [[nodiscard]] std::uint64_t statement() const {
    return value & RowId::new_bit ? 0 : value >> slot_bits;
  }
};

class SnapshotView {
 public:
  /// `at`: what begin() always pins; null: the newest.
  SnapshotView(CommitRoute& route, std::shared_ptr<Snapshots> at)
      : route_(route), at_(std::move(at)) {}
  [[nodiscard]] bool fixed() const { return at_ != nullptr; }

  /// Pins. Throws no_memory when too many snapshots are held.
  void begin(bool per_statement);
  void end();
  /// A statement begins: under read_committed, and if anything was published since, it gets the
  /// newest snapshot. Throws as begin(), too_large beyond RowHandle::statements_max, and conflict (I4).
  void next_statement();

  [[nodiscard]] bool per_statement() const { return per_statement_; }
  [[nodiscard]] std::uint64_t statement_number() const {
    return statements_.empty() ? 0 : statements_.size() - 1;
  }
  /// Of the transaction (I1); of its local classes when `local`.
  [[nodiscard]] Csn first(bool local) const { return local ? first_local_ : first_; }
  [[nodiscard]] std::uint64_t history() const { return history_; }
  [[nodiscard]] const std::shared_ptr<Snapshots>& now() const { return now_; }
  [[nodiscard]] const Snapshot& in(const Snapshots& shown, const ClassDef& type) const {
    return route_.is_local(type) ? shown.local : shown.replicated;
  }
  [[nodiscard]] const Snapshot& of(const ClassDef& type) const { return in(*now_, type); }

  /// What shows a row that the transaction has not written (I2). Throws invalid_handle.
  [[nodiscard]] std::shared_ptr<Snapshots> shown_to(const ClassDef& type, RowHandle handle) const;
  /// For a row that the transaction wrote, having read it at `base`: throws invalid_handle when the
  /// handle may be of another row that had the slot before (I2).
  void require_same_row(const ClassDef& type, RowHandle handle, Csn base) const;

 private:
  struct Statement {
    Csn replicated, local;
    std::weak_ptr<Snapshots> shown;
  };
  void pin();
  [[nodiscard]] bool changed_since(const Statement& found, const ClassDef& type, SlotId slot) const;

  CommitRoute& route_;
  const std::shared_ptr<Snapshots> at_;
  bool per_statement_ = false;
  std::shared_ptr<Snapshots> now_;
  Csn first_, first_local_;
  std::uint64_t history_ = 0;
  std::vector<Statement> statements_;  ///< read_committed alone
};

}  // namespace exdb
