// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The route of a process that is a node of its cluster: transactions travel in its batches, and
// whoever waits drives the exchange.
//
// Threads: as CommitRoute.
#pragma once
#include "cluster/node.hpp"
#include "database/sending_route.hpp"

namespace exdb {

class ClusterRoute final : public SendingRoute {
 public:
  /// `open`: of the database; whoever waits is let go when it becomes false (I3 of CommitRoute).
  /// `stopping`: nothing more is accepted when it becomes true, where the node itself goes on for
  /// others; may be null.
  ClusterRoute(Replica& replica, Node& node, NodeId self, unsigned mode_mask,
               const std::atomic<bool>& open, const std::atomic<bool>* stopping = nullptr)
      : SendingRoute(replica, self, mode_mask), node_(node), open_(open), stopping_(stopping) {}

  Status fresh() override { return node_.wait_fresh(&open_); }
  Status at_least(Csn csn) override { return node_.wait_published(csn, &open_); }
  ItemOutcome commit_local(Outgoing& out) override;

 private:
  void drive() override { (void)node_.progress(); }
  [[nodiscard]] Status refusal() const override;
  Status put(const std::shared_ptr<PendingItem>& item) override { return node_.submit(item); }
  [[nodiscard]] std::size_t head_room() const override { return node_.item_head_room(); }
  bool try_put(RoundItem::Kind kind, std::uint64_t sequence, std::vector<std::byte> bytes,
               int priority) override {
    return node_.try_submit(kind, sequence, std::move(bytes), priority, self());
  }
  ItemOutcome await(PendingItem& item) override { return node_.wait(item); }
  [[nodiscard]] bool over() const override { return node_.stopped(); }

  Node& node_;
  const std::atomic<bool>& open_;
  const std::atomic<bool>* const stopping_;
};

}  // namespace exdb
