// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The route of a database without a cluster: each commit is a round of one, made and applied in the
// thread that commits. The same record, the same history, the same funnel as a node's, so that
// what keeps rounds (a disk, a standby) keeps these too.
//
// Invariants
//   I1  Rounds are numbered densely from 1, in the order of their commits.
//   I2  After a round that could not be applied nothing more is (the replica's R4); what was
//       published before can be read.
// Threads: as CommitRoute; submit() takes a lock, one commit at a time.
#pragma once
#include <mutex>

#include "cluster/round_history.hpp"
#include "database/commit_route.hpp"

namespace exdb {

/// What there is to say where nobody else commits.
class OnlyRoute : public ReplicaRoute {
 public:
  explicit OnlyRoute(Replica& replica) : ReplicaRoute(replica, NodeId{}, false) {}

  /// Everything that was committed is here.
  Status fresh() override { return {}; }
  /// Does not wait: nobody else commits here, so a token from elsewhere never comes (timeout).
  Status at_least(Csn csn) override;

  ItemOutcome commit_local(Outgoing& out) override;
  [[nodiscard]] bool sends_ahead() const override { return false; }
  bool send_ahead(TxnId id, std::vector<std::byte> part, int priority) override;
  void discard(TxnId id) override;

 protected:
  /// The next round of `history`, of one batch that has no payload yet. REQUIRES: the replica's lock.
  [[nodiscard]] CompletedRound begin_round(RoundHistory& history) const;
  /// Its payload is there: gives the batch its checksum.
  static void seal(CompletedRound& made);
  /// Applies a round that is safe; outcomes_ has those of all its items. REQUIRES: the replica's lock.
  Status apply_safe(const CompletedRound& made);

  std::vector<ItemOutcome> outcomes_;  ///< kept for its capacity

 private:
  std::vector<RoundItem> items_;  ///< kept likewise
  std::vector<bool> mine_;        ///< the outcome of each is wanted
};

class AloneRoute : public OnlyRoute {
 public:
  /// `lock`: the one under which the replica changes. `history`: where its rounds go before they
  /// are applied.
  AloneRoute(Replica& replica, std::unique_ptr<RoundHistory> history, std::mutex& lock)
      : OnlyRoute(replica), history_(std::move(history)), lock_(lock) {}

  /// None: nobody has to receive it.
  [[nodiscard]] std::size_t record_bytes_max() const override;
  /// The item is answered when this returns.
  Result<std::shared_ptr<PendingItem>> submit(Outgoing& out) override;
  ItemOutcome wait(PendingItem& item) override { return std::move(item.outcome); }

 private:
  [[nodiscard]] CompletedRound round_of(const Outgoing& out);
  Status apply(CompletedRound&& round);

  const std::unique_ptr<RoundHistory> history_;
  std::mutex& lock_;
  Status failure_;  ///< I2
};

}  // namespace exdb
