// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The route of a process that is a node of its cluster: transactions travel in its batches, and
// whoever waits drives the exchange. Of a transaction that wrote local and replicated classes the
// local part stays, prepared, and takes effect with its round.
//
// Invariants
//   I1  A discard that found no room is sent as soon as a commit of this node has been answered:
//       nodes do not keep the parts of a transaction that will never come.
// Threads: as CommitRoute.
#pragma once
#include <mutex>

#include "cluster/node.hpp"
#include "database/commit_route.hpp"

namespace exdb {

class ClusterRoute final : public ReplicaRoute {
 public:
  /// `open`: of the database; whoever waits is let go when it becomes false (I3 of CommitRoute).
  /// `stopping`: nothing more is accepted when it becomes true, where the node itself goes on for
  /// others; may be null.
  ClusterRoute(Replica& replica, Node& node, NodeId self, unsigned mode_mask,
               const std::atomic<bool>& open, const std::atomic<bool>* stopping = nullptr)
      : ReplicaRoute(replica, self, true),
        node_(node),
        open_(open),
        stopping_(stopping),
        sends_ahead_((mode_mask & cluster_mode_early_data_send) != 0) {}

  Status fresh() override { return node_.wait_fresh(&open_); }
  Status at_least(Csn csn) override { return node_.wait_published(csn, &open_); }

  [[nodiscard]] std::size_t record_bytes_max() const override { return Node::item_bytes_max; }
  ItemOutcome commit_local(Outgoing& out) override;
  Result<std::shared_ptr<PendingItem>> submit(Outgoing& out) override;
  ItemOutcome wait(PendingItem& item) override;

  [[nodiscard]] bool sends_ahead() const override { return sends_ahead_; }
  bool send_ahead(TxnId id, std::vector<std::byte> part, int priority) override;
  void discard(TxnId id) override;

 private:
  void take_local_turn();
  Result<std::shared_ptr<PendingItem>> send(Outgoing& out);
  void send_owed();
  [[nodiscard]] bool stopping() const { return stopping_ != nullptr && stopping_->load(); }

  Node& node_;
  const std::atomic<bool>& open_;
  const std::atomic<bool>* const stopping_;
  const bool sends_ahead_;
  std::mutex owed_lock_;
  std::vector<std::uint64_t> owed_;  ///< sequences of discards that found no room
  std::atomic<bool> owes_{false};    ///< spares the lock
};

}  // namespace exdb
