// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The route of a process whose host has a leader: it reads the replica in shared memory as the
// leader does, and hands its transactions over. Its local classes are its own.
//
// Invariants
//   I1  A discard that found no room is sent as soon as a commit of this process has been answered.
// Threads: as CommitRoute.
#pragma once
#include <mutex>

#include "database/commit_route.hpp"
#include "host/host_follower.hpp"

namespace exdb {

class LeaderRoute final : public ReplicaRoute {
 public:
  /// `open`: of the database; whoever waits is let go when it becomes false (I3 of CommitRoute).
  LeaderRoute(Replica& replica, HostFollower& follower, NodeId self, unsigned mode_mask,
              const std::atomic<bool>& open)
      : ReplicaRoute(replica, self, true),
        follower_(follower),
        open_(open),
        sends_ahead_((mode_mask & cluster_mode_early_data_send) != 0) {}

  /// The leader's side of what a route here asks (HostQuestion).
  static std::vector<std::byte> answer(const Replica& replica, std::uint32_t question, Bytes bytes);

  [[nodiscard]] std::optional<ErrorCode> outcome(TxnId id) const override;
  [[nodiscard]] AppliedCounts applied() const override;
  Status fresh() override { return follower_.wait_fresh(open_); }
  Status at_least(Csn csn) override;

  [[nodiscard]] std::size_t record_bytes_max() const override;
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

  HostFollower& follower_;
  const std::atomic<bool>& open_;
  const bool sends_ahead_;
  std::mutex owed_lock_;
  std::vector<std::uint64_t> owed_;  ///< sequences of discards that found no room
  std::atomic<bool> owes_{false};    ///< spares the lock
};

}  // namespace exdb
