// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The local classes of a node in a cluster: a storage, a conflict log and a certifier of their own,
// with csns of their own, since what is not replicated must not count in the agreed order. A
// transaction that writes local classes alone commits here; one that writes both kinds is prepared
// here, travels, and is resolved by its round.
//
// Locking rows of local classes until the round has come was thought of instead of the one turn: it
// would let local transactions overlap with the exchange, and would need waits, their order, and a
// way out of deadlocks, for classes that are meant for what one process keeps for itself.
//
// Invariants
//   L1  A transaction that writes local and replicated classes shows both or neither to a snapshot
//       pinned by pin(), which shows both storages as they were at one instant.
//   L2  Who has the local turn, and nobody else, changes local classes; a prepared transaction has
//       it until it is applied or dropped, and it is given back whatever becomes of the round.
//   L3  At most one transaction is prepared. It was certified against the newest local state, and
//       that stays the newest one until it is resolved, so applying it cannot fail its certificate.
//   L4  After a change that failed half-way, here or in the replicated part (HalfWay), nothing more
//       is installed or published.
//   L5  Where another process installs the replicated part it tells of a joint transaction in words,
//       before it publishes it. While one is prepared the counter is odd; who pins then takes the
//       lock, pins the replicated part, and reads the word: if that csn is within its pin it
//       installs the local part first. So nobody waits for the thread that commits, and the first
//       one that can see the replicated part makes the local one visible.
// Threads: take_turn(), commit(), prepare(), sent(), drop(), pin() and the register from any thread;
//   settle(), publish() and end_round() under the drive lock, which is taken by commit() itself.
// Failure: commit() and settle() throw Error(no_memory) when they fail half-way (L4).
#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <vector>

#include "replica/half_way.hpp"
#include "replica/replaceable.hpp"
#include "replica/snapshots.hpp"
#include "transaction/certifier.hpp"

namespace exdb {

/// Words by which the process that installs the replicated part tells this one how its prepared
/// transaction ended, before it publishes it.
struct JointWords {
  std::atomic<std::uint64_t>* sequence = nullptr;  ///< of what is prepared; 0 = nothing
  std::atomic<std::uint64_t>* decided = nullptr;   ///< its csn + 1 once it has committed
};

class LocalPart {
 public:
  /// `replicated` and its certifier: the other part, which outlives this one, wherever it is then; `half_way` is shared
  /// with it. `joint`: given where another process installs the replicated part (L5).
  static Result<std::unique_ptr<LocalPart>> create(std::shared_ptr<const Dictionary> dictionary,
                                                   StorageOptions options,
                                                   const Replaceable<Storage>& replicated,
                                                   const std::atomic<std::uint64_t>& history,
                                                   const std::unique_ptr<Certifier>& certifier,
                                                   HalfWay& half_way, const JointWords& joint = {});

  // --- readers ---
  /// Pins both storages at one instant (L1). Lock-free: tries again while rounds are published.
  Status pin(Snapshots& out);
  [[nodiscard]] const Storage& storage() const { return *storage_; }
  /// Of serializable transactions that have read here: as Replica::register_open().
  [[nodiscard]] OpenSnapshots& open() { return open_; }

  // --- one process's commits ---
  /// Waits for the local turn for at most `patience`: whoever waits on has to drive the node in
  /// between, for the turn may belong to a transaction that is being exchanged. One whose exchange
  /// has ended without its round is dropped here.
  bool take_turn(std::chrono::microseconds patience);
  /// Writes to local classes only; `reads` is what it read elsewhere, or says that it is exclusive.
  /// The csn of the outcome is that of the agreed state it was made on.
  /// REQUIRES: the local turn, which it gives back; the drive lock is not held, `drive_lock` is it.
  ItemOutcome commit(TransactionRecord& record, TransactionRecord& reads, std::mutex& drive_lock);
  /// A transaction of both kinds of classes: certifies its local part and keeps the turn until
  /// resolved. After ok its end is: settle() with its round; or drop(), when it never left the node
  /// or ended without a round. REQUIRES: the local turn; it is given back unless ok.
  ItemOutcome prepare(std::uint64_t sequence, TransactionRecord record);
  /// The prepared transaction is on its way as `item`.
  void sent(std::uint64_t sequence, std::shared_ptr<PendingItem> item);
  /// Does nothing when another one or none is prepared. By L5 it is installed all the same if the
  /// words say that it committed and it is published.
  void drop(std::uint64_t sequence);
  /// By L5: the transaction has committed, and it is published. Does nothing when it is installed
  /// already. Fails with no_memory half-way (L4).
  Status committed(std::uint64_t sequence);

  // --- from rounds into state ---
  /// The round has the transaction `sequence` of this node: installs its local part if it committed,
  /// or drops it. True when something was installed, which publish() has to show.
  bool settle(std::uint64_t sequence, bool committed);
  /// Publishes the replicated state up to `replicated` and what settle() installed, as one (L1).
  void publish(Csn replicated);
  /// Gives the turn of what settle() installed back, if it did; also when the round failed.
  void end_round();

 private:
  LocalPart(const Dictionary& dictionary, const Replaceable<Storage>& replicated,
            const std::atomic<std::uint64_t>& history, const std::unique_ptr<Certifier>& certifier,
            HalfWay& half_way, const JointWords& joint);
  ItemOutcome certify(const TransactionRecord& record, TransactionRecord& reads,
                      std::mutex& drive_lock);
  [[nodiscard]] ItemOutcome certify_unmoved(const TransactionRecord& reads) const;
  [[nodiscard]] bool give_up_if_ended();
  [[nodiscard]] bool attached() const { return joint_.sequence != nullptr; }
  // By L5. REQUIRES: prepared_mutex_.
  Result<bool> pin_beside_prepared(Snapshots& out);
  [[nodiscard]] bool is_published() const;
  Status install_prepared();
  void end_prepared();
  [[nodiscard]] std::optional<std::vector<std::byte>> take_prepared(std::uint64_t sequence);

  // The replica's, which may replace what is in them.
  const Replaceable<Storage>& replicated_;
  const std::atomic<std::uint64_t>& history_;
  const std::unique_ptr<Certifier>& replicated_certifier_;
  HalfWay& half_way_;
  const JointWords joint_;
  std::unique_ptr<Storage> storage_;
  ConflictLog log_;
  std::unique_ptr<Certifier> certifier_;
  OpenSnapshots open_;

  std::atomic<std::uint64_t> joint_publications_{0};  ///< L1: odd while both are being published

  /// A semaphore and no mutex, since the thread that ends a transaction may be another.
  std::binary_semaphore turn_{1};
  std::mutex prepared_mutex_;
  struct Prepared {
    std::uint64_t sequence = 0;
    std::vector<std::byte> bytes;
    std::shared_ptr<PendingItem> item;  ///< once it is on its way
  };
  std::optional<Prepared> prepared_;
  bool consumed_ = false;  ///< under the drive lock: end_round() gives the turn back
};

}  // namespace exdb
