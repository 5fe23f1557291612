// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The route of a process whose host has a leader: it reads the replica in shared memory as the
// leader does, and hands its transactions over. Its local classes are its own.
//
// Threads: as CommitRoute.
#pragma once
#include "database/sending_route.hpp"
#include "host/host_follower.hpp"

namespace exdb {

class LeaderRoute final : public SendingRoute {
 public:
  /// `open`: of the database; whoever waits is let go when it becomes false (I3 of CommitRoute).
  LeaderRoute(Replica& replica, HostFollower& follower, NodeId self, unsigned mode_mask,
              const std::atomic<bool>& open)
      : SendingRoute(replica, self, mode_mask), follower_(follower), open_(open) {}

  /// The leader's side of what a route here asks (HostQuestion).
  static std::vector<std::byte> answer(Replica& replica, std::uint32_t question, Bytes bytes);
  /// What the leader knows: snapshots with a name, and whether it has them pinned; what was said.
  Result<std::vector<NamedSnapshot>> names() const;
  Status words(AgreedWords& words) const;

  [[nodiscard]] std::optional<ErrorCode> outcome(TxnId id) const override;
  [[nodiscard]] AppliedCounts applied() const override;
  Status fresh() override { return follower_.wait_fresh(open_); }
  Status at_least(Csn csn) override;
  ItemOutcome commit_local(Outgoing& out) override;

 private:
  void drive() override { (void)follower_.progress(); }
  Status put(const std::shared_ptr<PendingItem>& item) override { return follower_.submit(item); }
  bool try_put(RoundItem::Kind kind, std::uint64_t sequence, std::vector<std::byte> bytes,
               int priority) override {
    return follower_.try_submit(kind, sequence, bytes, priority);
  }
  ItemOutcome await(PendingItem& item) override { return follower_.wait(item); }
  void committed(PendingItem& item, ItemOutcome& outcome) override;
  [[nodiscard]] bool over() const override { return follower_.stopped(); }

  HostFollower& follower_;
  const std::atomic<bool>& open_;
};

}  // namespace exdb
