// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The inside of a Connection: the open transaction, its snapshot and its workspace. Objects and
// cursors point at it and carry the generation of their transaction, so that one of an ended
// transaction is recognised.
#pragma once
#include <memory>
#include <optional>

#include "database/core.hpp"
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

struct TransactionState {
  explicit TransactionState(std::shared_ptr<DatabaseCore> core_in)
      : core(std::move(core_in)), work(*core->dictionary) {}

  std::shared_ptr<DatabaseCore> core;
  bool open = true;              ///< the connection
  bool active = false;           ///< a transaction is open
  std::uint64_t generation = 0;  ///< of transactions; odd while one is open
  TransactionOptions options;
  Isolation isolation = Isolation::repeatable_read;
  std::shared_ptr<Snapshots> snapshots;
  Csn first_snapshot,
      first_local_snapshot;  ///< of the transaction; snapshots may be newer under read_committed
  /// read_committed: the statements so far that had a snapshot each. One that is past keeps its
  /// snapshot only as long as a cursor does; without it, what has not changed since is shown still.
  struct Statement {
    Csn replicated, local;
    std::weak_ptr<Snapshots> shown;
  };
  std::vector<Statement> statements;
  std::optional<Replica::Registered> registered;  ///< with the replica, as serializable
  Workspace work;
  std::uint64_t sequence = 0;  ///< given when the first fragment or the commit leaves
  bool fragments_sent = false;
  std::uint32_t writes_since_fragment = 0;
  std::size_t entries_at_fragment = 0;  ///< of the workspace, when the last one left
  ConnectionStatistics statistics;

  struct Later {
    std::shared_ptr<PendingItem> item;
    TxnId id;
    std::optional<Replica::Registered> registered;
    CommitResult result;  ///< when it never left
  };
  std::optional<Later> later;

  // --- state checks; each throws Error ---
  void require_connection() const;
  void require_active() const;
  void require_writable();
  void require_generation(std::uint64_t of_handle, const char* what) const;

  // --- transaction life (connection.cpp) ---
  void begin(const TransactionOptions& wanted);
  CommitResult commit();
  void commit_later();
  CommitResult take_later();
  void rollback();
  void discard_fragments();
  void end();
  void new_snapshot();
  /// A statement begins: under read_committed it gets the newest snapshot.
  void statement();

  // --- rows ---
  [[nodiscard]] bool serializable() const { return isolation == Isolation::serializable; }
  [[nodiscard]] bool records_reads() const {
    return serializable() && options.type != TransactionType::read_only;
  }
  [[nodiscard]] const Snapshot& snapshot_in(const Snapshots& shown, const ClassDef& type) const {
    return core->replica->is_local(type) ? shown.local : shown.replicated;
  }
  [[nodiscard]] const Snapshot& snapshot_of(const ClassDef& type) const {
    return snapshot_in(*snapshots, type);
  }
  /// Does the workspace hide or replace this row of the snapshot?
  [[nodiscard]] bool shadowed(ClassId cls, SlotId slot) {
    return work.find(cls, RowId::of(slot)) != nullptr;
  }
  [[nodiscard]] std::uint64_t statement_number() const {
    return statements.empty() ? 0 : statements.size() - 1;
  }
  /// Row bytes as the transaction sees them; none when it sees no such row. Under read_committed as
  /// the statement saw them that found the row: throws invalid_handle when that cannot be known.
  [[nodiscard]] std::optional<RowView> row(const ClassDef& type, RowHandle handle);
  /// What shows a row that the transaction has not written.
  [[nodiscard]] std::shared_ptr<Snapshots> shown_to(const ClassDef& type, RowHandle handle);
  WorkEntry& writable(const ClassDef& type, RowHandle handle);
  void remove(const ClassDef& type, RowHandle handle);
  /// A serializable transaction remembers what it was shown.
  void saw(const ClassDef& type, RowId row);
  void send_ahead_if_large();

  std::optional<RowId> find(const IndexDef& index, Bytes key);

 private:
  /// The entry of a row, or null; throws when it may be of another row that has the slot now.
  WorkEntry* entry_of(const ClassDef& type, RowHandle handle);
  [[noreturn]] void throw_changed(const ClassDef& type) const;
  void take_exclusive_turn();
  void take_local_turn();
  std::optional<CommitResult> send(TransactionRecord& record, std::shared_ptr<PendingItem>& item);
  std::optional<CommitResult> end_here(TransactionRecord& record, TransactionRecord& local);
  std::optional<CommitResult> check_unique();
  TransactionRecord make_record(bool local);
  CommitResult finish(CommitResult result);
  std::optional<CommitResult> submit(std::shared_ptr<PendingItem>& item, TxnId& id);
  std::optional<CommitResult> try_submit(std::shared_ptr<PendingItem>& item, TxnId& id);
  CommitResult result_of(ItemOutcome outcome, TxnId id) const;
  CommitResult wait_for(PendingItem& item, TxnId id);
  void send_fragment();
};

}  // namespace exdb
