// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The inside of a Connection: one transaction after the other, each with its snapshot and its
// workspace. Objects and cursors point at it and carry the generation of their transaction, so that
// one of an ended transaction is recognised.
//
// Invariants
//   I1  active() from begin() until commit(), commit_later(), rollback() or close(), however they
//       end; whatever the transaction held (turn, place among the open ones, snapshot) is given back
//       then.
//   I2  generation() grows at each begin and each end; it is odd while a transaction is open.
//   I3  A write that throws leaves the transaction as it was.
// Threads: used by one thread at a time; the database may be closed by another meanwhile.
// Failure: misuse throws Error; how a commit ended is its CommitResult.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "database/assigned_keys.hpp"
#include "database/core.hpp"
#include "database/fragments.hpp"
#include "database/later_commit.hpp"
#include "database/snapshot_view.hpp"
#include "exdb/connection.hpp"
#include "schema/row_columns.hpp"
#include "transaction/workspace.hpp"

namespace exdb {

class Transaction {
 public:
  /// `at`: the state that all of them read, and nothing else; null: the newest.
  explicit Transaction(std::shared_ptr<DatabaseCore> core, std::shared_ptr<Snapshots> at = nullptr);

  // --- state checks; each throws Error ---
  void require_connection() const;
  void require_active() const;
  /// Makes an update transaction one that writes.
  void require_writable();
  /// Of the transaction that is open.
  void require_generation(std::uint64_t of_handle, const char* what) const;

  // --- its life ---
  /// Blocks for at_least, fresh and exclusive only, until the database is closed at the longest.
  void begin(const TransactionOptions& wanted);
  CommitResult commit();
  void commit_later();
  CommitResult wait_later();
  void rollback();
  /// Of the connection: rolls back what is open, gives up what is on its way. Idempotent.
  void close();

  [[nodiscard]] bool open() const { return open_; }  ///< the connection
  [[nodiscard]] bool active() const { return active_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  [[nodiscard]] const ConnectionStatistics& statistics() const { return statistics_; }
  [[nodiscard]] DatabaseCore& core() const { return *core_; }
  [[nodiscard]] const Dictionary& dictionary() const { return *core_->dictionary; }
  [[nodiscard]] Workspace& work() { return work_; }
  [[nodiscard]] const Fragments& fragments() const { return fragments_; }

  // --- what it sees ---
  /// A statement begins.
  void statement();
  [[nodiscard]] const SnapshotView& view() const { return view_; }
  [[nodiscard]] const std::shared_ptr<Snapshots>& snapshots() const { return view_.now(); }
  [[nodiscard]] const Snapshot& snapshot_in(const Snapshots& shown, const ClassDef& type) const {
    return view_.in(shown, type);
  }
  [[nodiscard]] const Snapshot& snapshot_of(const ClassDef& type) const { return view_.of(type); }
  [[nodiscard]] std::uint64_t statement_number() const { return view_.statement_number(); }
  [[nodiscard]] bool records_reads() const {
    return isolation_ == Isolation::serializable && options_.type != TransactionType::read_only;
  }

  // --- rows: rows.cpp ---
  /// Does the workspace hide or replace this row of the snapshot?
  [[nodiscard]] bool shadowed(ClassId cls, SlotId slot) {
    return work_.find(cls, RowId::of(slot)) != nullptr;
  }
  /// Row bytes as the transaction sees them; none when it sees no such row. Under read_committed as
  /// the statement saw them that found the row: throws invalid_handle when that cannot be known.
  [[nodiscard]] std::optional<RowView> row(const ClassDef& type, RowHandle handle);
  /// search.cpp: the first row with this key, or in a tree with these leading parts of one.
  std::optional<RowId> find(const IndexDef& index, std::span<const Value> key);
  /// search.cpp: rows with a key within these bounds. REQUIRES: a tree index.
  std::uint64_t count(const IndexDef& index, const KeyRange& bounds);
  /// A serializable transaction remembers what it was shown.
  void saw(const ClassDef& type, RowId row);

  // --- writes; each throws as require_writable(), and too_large where the transaction would be
  // more than one commit may carry (I3) ---
  /// A new row, with its defaults.
  RowId insert(const ClassDef& type);
  /// bulk_insert.cpp: throws duplicate besides; then none of the rows is there.
  void insert_many(const ClassDef& type, const RowsOfColumns& rows);
  /// `set` is given the builder of the row; throws what it throws. `incoming`: no fewer bytes
  /// than the row may grow by.
  template <class Set>
  void write(const ClassDef& type, RowHandle handle, std::size_t incoming, Set&& set);
  /// Within write(): `set`, and the unique keys that it assigns are free then; throws duplicate.
  /// Cost: a look-up a key.
  void assign(const ClassDef& type, RowHandle handle, const Assigned& what,
              const std::function<void(RowBuilder&)>& set, RowBuilder& row);
  /// Throws too_large for a value that is by itself more than a row or a commit may have.
  void require_fits(const ClassDef& type, std::string_view field, std::size_t bytes) const;
  void remove(const ClassDef& type, RowHandle handle);

 private:
  // rows.cpp
  WorkEntry* entry_of(const ClassDef& type, RowHandle handle);
  WorkEntry& writable(const ClassDef& type, RowHandle handle);
  // assigned_keys.cpp
  void require_free(const IndexDef& index, std::size_t entry);
  void require_free(const IndexDef& index, std::size_t entry, Bytes key, SlotId owner);
  // bulk_insert.cpp
  void require_keys(const ClassDef& type, std::size_t first);
  // writes.cpp
  void begin_write();
  [[nodiscard]] bool near_limit(const ClassDef& type, std::size_t incoming) const;
  void require_room_for(const ClassDef& type, std::size_t incoming);
  void require_room();
  std::uint64_t take_autoids(const ClassDef& type, std::uint64_t count);
  [[noreturn]] void throw_too_large(std::size_t bytes) const;
  void undo(WorkEntry& entry, const ClassDef& type, bool fresh, std::optional<RowBuilder> before);
  // transaction.cpp
  void end();
  void give_back();
  void require_no_later() const;
  void wait_for_state(const TransactionOptions& wanted);
  // commit.cpp
  HandedOver hand_over();
  HandedOver decide();
  HandedOver ended(CommitResult result);
  [[nodiscard]] Status check_early_autoids() const;
  CommitResult take_answer(HandedOver handed);
  [[nodiscard]] std::optional<CommitResult> taken_key();
  [[nodiscard]] bool all_keys_looked_at();
  HandedOver nothing_written();
  [[nodiscard]] CommitResult lost_row(const WriteOp& lost) const;
  void make_outgoing();
  void make_record(bool local, TransactionRecord& record);
  CommitResult counted(CommitResult result);

  std::shared_ptr<DatabaseCore> core_;
  CommitRoute& route_;
  bool open_ = true;
  bool active_ = false;
  std::uint64_t generation_ = 0;
  TransactionOptions options_;
  Isolation isolation_ = Isolation::repeatable_read;
  bool has_turn_ = false;                ///< the exclusive one
  std::uint64_t early_autoid_ = 0;       ///< count of the first before the state came; 0: none
  std::optional<OpenPlace> open_place_;  ///< of a serializable transaction
  SnapshotView view_;
  Workspace work_;
  Fragments fragments_;
  Outgoing out_;  ///< made and used by the commit alone; kept for its room
  OwnKeys own_keys_;
  std::optional<LaterCommit> later_;
  ConnectionStatistics statistics_;
};

/// Whether the value fits is known only once it is set, for it may replace one as large: so near the
/// limit, and only there, the row is kept as it was.
template <class Set>
void Transaction::write(const ClassDef& type, RowHandle handle, std::size_t incoming, Set&& set) {
  begin_write();
  const bool near = near_limit(type, incoming);
  const auto entries = work_.size();
  auto& entry = writable(type, handle);
  const bool fresh = work_.size() != entries;
  std::optional<RowBuilder> before;
  if (near && !fresh) before = entry.builder;
  try {
    set(entry.builder);
    fragments_.wrote(entry);
    if (near) require_room();
  } catch (...) {
    undo(entry, type, fresh, std::move(before));
    throw;
  }
}

}  // namespace exdb
