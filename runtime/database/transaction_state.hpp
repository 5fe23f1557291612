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
  std::optional<Csn> registered;  ///< with the replica, as serializable
  Workspace work;
  std::uint64_t sequence = 0;  ///< given when the first fragment or the commit leaves
  bool fragments_sent = false;
  std::uint32_t writes_since_fragment = 0;
  ConnectionStatistics statistics;

  struct Later {
    std::shared_ptr<PendingItem> item;
    TxnId id;
    std::optional<Csn> registered;
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
  void end();
  void new_snapshot();
  /// A statement begins: under read_committed it gets the newest snapshot.
  void statement();

  // --- rows ---
  [[nodiscard]] bool serializable() const { return isolation == Isolation::serializable; }
  [[nodiscard]] bool records_reads() const {
    return serializable() && options.type != TransactionType::read_only;
  }
  [[nodiscard]] const Snapshot& snapshot_of(const ClassDef& type) const {
    return core->replica->is_local(type) ? snapshots->local : snapshots->replicated;
  }
  /// Does the workspace hide or replace this row of the snapshot?
  [[nodiscard]] bool shadowed(ClassId cls, SlotId slot) {
    return work.find(cls, RowId::of(slot)) != nullptr;
  }
  /// Row bytes as the transaction sees them; none when it sees no such row.
  [[nodiscard]] std::optional<RowView> row(const ClassDef& type, RowId row);
  WorkEntry& writable(const ClassDef& type, RowId row);
  void remove(const ClassDef& type, RowId row);
  /// A serializable transaction remembers what it was shown.
  void saw(const ClassDef& type, RowId row);
  void send_ahead_if_large();

  std::optional<RowId> find(const IndexDef& index, Bytes key);

 private:
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
