// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Replica turns agreed transactions into state: it certifies and installs what a round brings, in
// order, and what local commits bring when there is no cluster. Classes declared `local` live in a
// storage of their own, with csns of their own, since what is not replicated must not count in the
// agreed order.
//
// Invariants
//   R1  Replicated state is a function of the sequence of rounds (without a cluster: of local
//       commits) alone.
//   R2  csns are dense: the n-th committed transaction has csn n.
//   R3  A transaction that writes local and replicated classes shows both or neither to a snapshot
//       pinned by pin(), which shows both storages as they were at one instant.
//   R4  Who has the local turn, and nobody else, changes local classes; a prepared transaction has
//       it until it is applied or dropped, and it is given back whatever becomes of the round.
//   R5  After a change that failed half-way nothing more is installed or published.
// Threads: apply_round and commit_alone under the caller's lock (the drive lock of the node, or the
//   database's own); commit_local takes its own; pin and the register of open transactions from any
//   thread.
// Failure: what cannot be applied (no memory, a record that cannot be read) is a Status that stops
//   the node: the replica is behind then, and only reads may go on.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <semaphore>
#include <set>
#include <vector>

#include "cluster/round_consumer.hpp"
#include "storage/snapshot.hpp"
#include "transaction/certifier.hpp"

namespace exdb {

/// A consistent view of both storages.
struct Snapshots {
  Snapshot replicated;
  Snapshot local;  ///< not valid without a cluster: then all classes are in the first
};

struct ReplicaCounters {
  std::atomic<std::uint64_t> committed{0}, aborted{0}, rows_written{0}, fragments{0};
};

class Replica final : public RoundConsumer {
 public:
  static Result<std::unique_ptr<Replica>> create(std::shared_ptr<const Dictionary> dictionary,
                                                 const StorageOptions& options, bool clustered,
                                                 NodeId self);

  // --- readers ---
  Result<std::shared_ptr<Snapshots>> pin();
  [[nodiscard]] bool is_local(const ClassDef& type) const { return clustered_ && type.local; }
  [[nodiscard]] const Dictionary& dictionary() const { return *dictionary_; }

  /// A serializable transaction holds the agreed horizon back while it is open: register before
  /// pinning, release at its end.
  struct Registered {
    Csn replicated, local;
  };
  Registered register_open();
  void release_open(const Registered& open);
  /// Whether nothing was published since: a new pin would show the same.
  [[nodiscard]] bool current(const Snapshots& snapshots) const;

  // --- commits that leave no message ---
  /// Certifies, applies, publishes. REQUIRES: no cluster; the caller holds the database's commit
  /// lock. Throws Error(no_memory) when it fails half-way (R5).
  ItemOutcome commit_alone(TransactionRecord& record);

  /// Waits for the local turn for at most `patience`: whoever waits on has to drive the node in
  /// between, for the turn may belong to a transaction that is being exchanged. One whose exchange
  /// has ended without its round is dropped here.
  bool take_local_turn(std::chrono::microseconds patience);
  /// Writes to local classes only; `reads` is what it read elsewhere, or says that it is exclusive.
  /// REQUIRES: the local turn, which it gives back; the drive lock is not held, `drive_lock` is it.
  ItemOutcome commit_local(TransactionRecord& record, TransactionRecord& reads,
                           std::mutex& drive_lock);
  /// A transaction of both kinds of classes: certifies its local part and keeps the turn until
  /// resolved. After ok its end is: apply_round resolves it with its transaction; or drop_local,
  /// when that never left the node or ended without a round. REQUIRES: the local turn; it is given
  /// back unless ok.
  ItemOutcome prepare_local(std::uint64_t sequence, TransactionRecord record);
  /// The prepared transaction is on its way as `item`.
  void local_is_sent(std::uint64_t sequence, std::shared_ptr<PendingItem> item);
  void drop_local(std::uint64_t sequence);
  [[nodiscard]] bool has_local() const { return local_ != nullptr; }

  // --- RoundConsumer ---
  Status apply_round(Round round, std::span<const RoundItem> items, Csn horizon,
                     const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) override;
  void forget(MemberId member) override;
  [[nodiscard]] std::uint64_t digest() const override;
  [[nodiscard]] Csn oldest_snapshot() const override;
  [[nodiscard]] Csn published() const override;

  /// What became of a transaction of this node, as far back as it is remembered.
  [[nodiscard]] std::optional<ErrorCode> outcome(std::uint64_t sequence) const;

  [[nodiscard]] const ReplicaCounters& counters() const { return counters_; }
  [[nodiscard]] StorageStatistics storage_statistics() const;
  /// An op that the newest state here already shows to be in conflict, or null: spares an exchange.
  /// Lock-free.
  [[nodiscard]] const WriteOp* hopeless(const TransactionRecord& record) const;
  /// csn of the newest change of this row, published or about to be. Lock-free.
  [[nodiscard]] Csn newest_change(const ClassDef& type, SlotId slot) const;

 private:
  Replica(std::shared_ptr<const Dictionary> dictionary, bool clustered, NodeId self);
  struct Arrived {
    std::size_t item = 0;  ///< of the round
    TransactionRecord record;
    std::vector<std::vector<std::byte>> fragments;  ///< the record's ops may be views into these
  };
  Status assemble(const RoundItem& item, Arrived& arrived);
  Status unpack(std::span<const RoundItem> items);
  void fetch(std::size_t first);
  ItemOutcome settle(const TransactionRecord& record, bool mine);
  bool settle_local(std::uint64_t sequence, ErrorCode code);
  void settle_all(std::span<const RoundItem> items, const std::vector<bool>& mine,
                  std::vector<ItemOutcome>& outcomes);
  ItemOutcome certify_local(const TransactionRecord& record, TransactionRecord& reads,
                            std::mutex& drive_lock);
  void publish(bool local_too);
  void prune_local();
  [[nodiscard]] bool give_up_if_ended();
  void remember(std::uint64_t sequence, ErrorCode code);
  bool apply_prepared_local(std::uint64_t sequence);

  std::shared_ptr<const Dictionary> dictionary_;
  const bool clustered_;
  const NodeId self_;
  std::unique_ptr<Storage> replicated_, local_;
  ConflictLog log_, local_log_;
  std::unique_ptr<Certifier> certifier_, local_certifier_;
  Csn applied_;  ///< R2
  Csn horizon_;

  // R3: odd while both storages are being published.
  std::atomic<std::uint64_t> joint_publications_{0};

  // One transaction at a time between the certification of its local part and its end: a semaphore,
  // since the thread that ends it may be another.
  std::binary_semaphore local_turn_{1};
  std::mutex prepared_mutex_;
  struct Prepared {
    std::uint64_t sequence = 0;
    std::vector<std::byte> bytes;
    std::shared_ptr<PendingItem> item;  ///< once it is on its way
  };
  std::optional<Prepared> prepared_;
  bool local_consumed_ = false;      ///< under the drive lock: the round gives the turn back
  std::atomic<bool> broken_{false};  ///< R5

  struct Fragments {
    MemberId member;  ///< who sent them, and with whom they go
    std::vector<std::vector<std::byte>> parts;
  };
  std::map<TxnId, Fragments> fragments_;
  std::vector<Arrived> arrived_;  ///< of the round being applied
  static constexpr std::size_t fetch_ahead = 16;

  mutable std::mutex open_mutex_;
  std::multiset<Csn> open_, open_local_;

  /// Of the newest transactions of this node: a ring by sequence, whose numbers begin at 1.
  static constexpr std::size_t outcomes_remembered = 65536;
  mutable std::mutex outcomes_mutex_;
  std::vector<std::pair<std::uint64_t, ErrorCode>> outcomes_{outcomes_remembered};

  ReplicaCounters counters_;
};

}  // namespace exdb
