// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the routes into a cluster have in common: records are encoded here, and of a transaction that
// wrote local and replicated classes the local part stays, prepared, and takes effect with its
// round. Where the record goes, to the node of this process or to the leader of its host, is the
// hooks' to say.
//
// Invariants
//   I1  A discard that found no room is sent as soon as a commit of this process has been answered:
//       nodes do not keep the parts of a transaction that will never come.
// Threads: as CommitRoute; hooks are called from any, without a lock but owed_lock_ for try_put().
#pragma once
#include <mutex>
#include <vector>

#include "database/commit_route.hpp"

namespace exdb {

class SendingRoute : public ReplicaRoute {
 public:
  SendingRoute(Replica& replica, NodeId self, unsigned mode_mask);

  [[nodiscard]] std::size_t record_bytes_max() const final;
  Result<std::shared_ptr<PendingItem>> submit(Outgoing& out) final;
  ItemOutcome wait(PendingItem& item) final;
  [[nodiscard]] bool sends_ahead() const final { return sends_ahead_; }
  bool send_ahead(TxnId id, std::vector<std::byte> part, int priority) final;
  void discard(TxnId id) final;

 protected:
  /// Waits for the local turn, which may belong to a transaction that is on its way, of this very
  /// thread by commit_later(): drive() is called meanwhile.
  void take_local_turn();

  // --- hooks ---
  virtual void drive() = 0;
  /// Why nothing is taken any more; ok otherwise.
  [[nodiscard]] virtual Status refusal() const { return {}; }
  virtual Status put(const std::shared_ptr<PendingItem>& item) = 0;
  /// PendingItem::head_room of a large item that is put.
  [[nodiscard]] virtual std::size_t head_room() const { return 0; }
  /// What may as well be left; false when it was not taken. Waits for nothing.
  virtual bool try_put(RoundItem::Kind kind, std::uint64_t sequence, std::vector<std::byte> bytes,
                       int priority) = 0;
  virtual ItemOutcome await(PendingItem& item) = 0;
  /// It committed, and there are local classes here.
  virtual void committed(PendingItem& /*item*/, ItemOutcome& /*outcome*/) {}
  /// Nothing goes out any more, so nothing is owed.
  [[nodiscard]] virtual bool over() const = 0;

 private:
  Result<std::shared_ptr<PendingItem>> send(Outgoing& out);
  void send_owed();

  const bool sends_ahead_;
  std::mutex owed_lock_;
  std::vector<std::uint64_t> owed_;  ///< sequences of discards that found no room
  std::atomic<bool> owes_{false};    ///< spares the lock
};

}  // namespace exdb
