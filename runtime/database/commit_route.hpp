// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The way of a transaction from this process into the agreed order and back: what it pins when it
// begins, what it hands over when it ends, and how it learns what became of it. AloneRoute: a
// database without a cluster, whose commits are rounds of one. ClusterRoute: the process is a node
// itself. LeaderRoute: it hands its transactions to the leader of its host. DurableRoute: as AloneRoute,
// with a log on disk. So nothing that knows a CommitRoute may know of nodes, windows or rounds.
//
// Invariants
//   I1  What submit() gave is answered exactly once. A Status other than ok from submit(), and an
//       outcome other than ok and unknown_outcome, are certain: of that transaction nothing is or
//       will be anywhere.
//   I2  send_ahead() and discard() wait for nothing and call nothing of the program: they are
//       called in the midst of writes, where the caller may hold locks of his own (Python's).
//   I3  fresh() and at_least() end, with a failure, when the database is closed or abandoned by
//       another thread.
// Threads: all functions from any thread.
// Failure: a route that has failed refuses what comes after with the same Status.
#pragma once
#include <atomic>
#include <memory>
#include <optional>

#include "replica/replica.hpp"

namespace exdb {

/// A transaction as it leaves its connection.
struct Outgoing {
  TxnId id;
  int priority = 0;
  bool later = false;        ///< commit_later(): wait() may come late, or never
  bool of_engine = false;    ///< goes also where the program has stopped, while others go on
  TransactionRecord shared;  ///< over classes that all nodes have
  TransactionRecord local;   ///< over classes of this process; empty where none are set apart
  /// What answers, of a commit before: used again once nobody else refers to it. May be null.
  std::shared_ptr<PendingItem> spare;

  /// Keeps the room for a small transaction.
  void clear() {
    id = {};
    later = of_engine = false;
    shared.clear();
    local.clear();
  }
};

class CommitRoute {
 public:
  /// `separates_local`: classes declared local have a storage and an order of their own.
  CommitRoute(NodeId self, bool separates_local) : self_(self), separates_local_(separates_local) {}
  virtual ~CommitRoute() = default;
  CommitRoute(const CommitRoute&) = delete;
  CommitRoute& operator=(const CommitRoute&) = delete;

  /// The name of one more transaction of this process. Lock-free.
  TxnId new_id() { return {self_, next_sequence_.fetch_add(1, std::memory_order_relaxed)}; }
  /// Numbers from here on, for a process that may be a later life of its node: where nodes come and
  /// go a number that was given once names that transaction for ever. Before the first new_id().
  void number_from(std::uint64_t first) { next_sequence_ = first; }
  /// The highest number that was given. Lock-free.
  [[nodiscard]] std::uint64_t last_number() const { return next_sequence_.load() - 1; }
  [[nodiscard]] bool is_local(const ClassDef& type) const { return separates_local_ && type.local; }
  [[nodiscard]] bool separates_local() const { return separates_local_; }

  // --- the state that transactions read ---
  /// A view of what is published. Lock-free; fails with no_memory when too many are held.
  virtual Result<std::shared_ptr<Snapshots>> pin() = 0;
  /// Whether a new pin would show the same. Lock-free.
  [[nodiscard]] virtual bool current(const Snapshots& snapshots) const = 0;
  /// Of what is published: as Replica::history(). A transaction that began in another one is refused
  /// with conflict, by submit() and commit_local(), whatever it has read (R7). Lock-free.
  [[nodiscard]] virtual std::uint64_t history() const = 0;
  [[nodiscard]] virtual Csn published() const = 0;
  /// csn of the newest change of this row, published or about to be. Lock-free.
  [[nodiscard]] virtual Csn newest_change(const ClassDef& type, SlotId slot) const = 0;
  /// An op that is in conflict with what this process knows already, or null: spares an exchange.
  /// Lock-free.
  [[nodiscard]] virtual const WriteOp* hopeless(const TransactionRecord& record) const = 0;
  /// How a transaction of any origin ended, if it came and is not forgotten (OutcomeTable O2).
  [[nodiscard]] virtual std::optional<ErrorCode> outcome(TxnId id) const = 0;
  /// What the replica has applied since it was made.
  [[nodiscard]] virtual AppliedCounts applied() const = 0;
  /// A serializable transaction holds the agreed horizon back: register before pinning, release at
  /// its end.
  virtual Replica::Registered register_open() = 0;
  virtual void release_open(const Replica::Registered& open) = 0;
  /// Blocks until this process has every commit that returned anywhere before the call (I3).
  virtual Status fresh() = 0;
  /// Blocks until `csn` is published here (I3).
  virtual Status at_least(Csn csn) = 0;

  // --- the end of a transaction ---
  /// Bytes of the record that one commit may carry.
  [[nodiscard]] virtual std::size_t record_bytes_max() const = 0;
  /// A transaction that wrote local classes only; out.shared is what it read elsewhere. Blocks for
  /// its turn.
  virtual ItemOutcome commit_local(Outgoing& out) = 0;
  /// Hands the transaction over; blocks for its turn and for room, not for its outcome. May ask the
  /// program's quorum callback.
  virtual Result<std::shared_ptr<PendingItem>> submit(Outgoing& out) = 0;
  /// Blocks until what submit() gave is answered, and takes the answer.
  virtual ItemOutcome wait(PendingItem& item) = 0;

  // --- while it runs ---
  /// Whether parts of a running transaction travel ahead of it at all.
  [[nodiscard]] virtual bool sends_ahead() const = 0;
  /// Sends a part ahead, or not if that does not go at once (I2). True when it is on its way.
  virtual bool send_ahead(TxnId id, std::vector<std::byte> part, int priority) = 0;
  /// The parts that went ahead are of a transaction that will not come (I2).
  virtual void discard(TxnId id) = 0;

 protected:
  [[nodiscard]] NodeId self() const { return self_; }

 private:
  const NodeId self_;
  const bool separates_local_;
  std::atomic<std::uint64_t> next_sequence_{1};
};

/// What a route over a replica in this process has in common with others of its kind.
class ReplicaRoute : public CommitRoute {
 public:
  ReplicaRoute(Replica& replica, NodeId self, bool separates_local)
      : CommitRoute(self, separates_local), replica_(replica) {}

  Result<std::shared_ptr<Snapshots>> pin() final { return replica_.pin(); }
  [[nodiscard]] bool current(const Snapshots& snapshots) const final {
    return replica_.current(snapshots);
  }
  [[nodiscard]] std::uint64_t history() const final { return replica_.history(); }
  [[nodiscard]] Csn published() const final { return replica_.published(); }
  [[nodiscard]] Csn newest_change(const ClassDef& type, SlotId slot) const final {
    return replica_.newest_change(type, slot);
  }
  [[nodiscard]] const WriteOp* hopeless(const TransactionRecord& record) const final {
    return replica_.hopeless(record);
  }
  [[nodiscard]] std::optional<ErrorCode> outcome(TxnId id) const override {
    return replica_.outcome(id);
  }
  [[nodiscard]] AppliedCounts applied() const override { return replica_.counters().now(); }
  Replica::Registered register_open() final { return replica_.register_open(); }
  void release_open(const Replica::Registered& open) final { replica_.release_open(open); }

 protected:
  Replica& replica_;
};

}  // namespace exdb
