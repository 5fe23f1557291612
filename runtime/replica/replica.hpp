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
//   commits) alone. R2  csns are dense: the n-th committed transaction has csn n. R3  A transaction
//   that writes local and replicated classes shows both or neither to a snapshot pinned by pin().
// Threads: apply_round and commit_alone under the caller's lock (the drive lock of the node, or the
// database's own);
//   commit_local takes its own; pin and the register of open transactions from any thread.
// Failure: what cannot be applied (no memory, a record that cannot be read) is a Status that stops
// the node: the replica is
//   behind then, and only reads may go on.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <semaphore>
#include <set>
#include <vector>

#include "cluster/node.hpp"
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
  Csn register_open();
  void release_open(Csn csn);

  // --- commits that leave no message ---
  /// Certifies, applies, publishes. REQUIRES: no cluster; the caller holds the database's commit
  /// lock.
  ItemOutcome commit_alone(TransactionRecord& record);
  /// Writes to local classes only. Takes the local lock.
  ItemOutcome commit_local(TransactionRecord& record);

  /// A transaction that writes both kinds: certifies its local part and keeps others from local
  /// classes until resolved. After ok its end is: apply_round resolves it with its transaction; or
  /// drop_local, when that never left the node or the node has failed.
  ItemOutcome prepare_local(std::uint64_t sequence, TransactionRecord record);
  void drop_local(std::uint64_t sequence);

  // --- RoundConsumer ---
  Status apply_round(Round round, std::span<const RoundItem> items, Csn horizon,
                     const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) override;
  void forget(NodeId node) override;
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
  void publish(bool local_too);
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
  };
  std::optional<Prepared> prepared_;

  std::map<TxnId, std::vector<std::vector<std::byte>>> fragments_;
  std::vector<Arrived> arrived_;  ///< of the round being applied
  static constexpr std::size_t fetch_ahead = 16;

  mutable std::mutex open_mutex_;
  std::multiset<Csn> open_;

  /// Of the newest transactions of this node: a ring by sequence, whose numbers begin at 1.
  static constexpr std::size_t outcomes_remembered = 65536;
  mutable std::mutex outcomes_mutex_;
  std::vector<std::pair<std::uint64_t, ErrorCode>> outcomes_{outcomes_remembered};

  ReplicaCounters counters_;
};

}  // namespace exdb
