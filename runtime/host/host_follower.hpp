// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The part of a process in the cluster whose leader takes part for it: puts transactions into its
// ring, waits for answers, and for the state to become as new as the cluster's. No thread of its own
// but for notifications, which sleeps until there is one.
//
// Invariants
//   I1  After stop() nothing is accepted; what was accepted before is still answered.
//   I2  A stop ends where another process of the host closes in opposite order (HostOrder).
// Threads: all functions from any thread.
// Failure: once failed, whatever comes after is refused with the same Status, which names the
//   leader. Reads need none of this.
#pragma once
#include <memory>
#include <mutex>
#include <thread>

#include "cluster/notifier.hpp"
#include "cluster/participant.hpp"
#include "cluster/quorum.hpp"
#include "host/follower_channel.hpp"
#include "host/host_figures.hpp"
#include "host/host_map.hpp"
#include "host/host_order.hpp"

namespace exdb {

class HostFollower final : public Participant {
 public:
  struct Options {
    std::string name;              ///< of the database, for texts
    std::uint64_t cluster_id = 0;  ///< the same as the leader's
    std::chrono::milliseconds timeout{60'000};
    std::uint32_t in_exchange_max = 50;  ///< submitted and not answered; submit waits above it
    std::function<void(Notification, const NodeInfo&)> notify;
    std::function<bool(const std::vector<std::uint32_t>&)> quorum;
    bool fresh_rule = true;  ///< false: fresh() waits for nothing, for a test that must notice
  };

  /// `leader`: of its process. REQUIRES: the segment was attached.
  HostFollower(std::unique_ptr<HostSegment> segment, HostMap map, std::int32_t leader,
               Options options);
  ~HostFollower() override;
  /// Starts notifications.
  void start();

  // --- transactions ---
  /// Hands an item over: kind, sequence, bytes and priority are given in it. Blocks for room, and may
  /// ask the quorum callback. The bytes are gone then.
  Status submit(const std::shared_ptr<PendingItem>& item);
  /// The same for what may as well be left: waits for nothing. False when it was not taken.
  bool try_submit(RoundItem::Kind kind, std::uint64_t sequence, Bytes bytes, int priority);
  /// Blocks until it is answered; takes the answer.
  ItemOutcome wait(PendingItem& item);
  /// Blocks until everything is applied here that returned anywhere before (HostSegment I2). Ends
  /// early when `*wanted` is false, as the next.
  Status wait_fresh(const std::atomic<bool>& wanted);
  /// Blocks until `there()`, which becomes true by a round that the leader applies; `what` for
  /// texts. Fails with timeout after the timeout if `may_never_come`.
  Status wait_applied(const std::function<bool()>& there, const std::string& what,
                      bool may_never_come, const std::atomic<bool>& wanted);
  /// The leader's answer to a question.
  Result<std::vector<std::byte>> ask(HostQuestion question, Bytes bytes) const;

  /// What became of a transaction, as far as the segment tells: also when the leader has gone.
  [[nodiscard]] std::optional<ErrorCode> remembered(TxnId id) const {
    return segment_->outcomes().find(id);
  }

  /// Nothing more is accepted here.
  [[nodiscard]] bool stopped() const { return stopping_.load() || !failure().ok(); }

  // --- Participant ---
  Status listen() override;
  bool progress() override;
  void used() override { closing_place_.used(); }
  Status stop(std::optional<std::chrono::milliseconds> deadline) override;
  void leave(std::chrono::milliseconds cap) override;
  void close(bool collective) override;
  /// Refused: the window is the leader's.
  void set_window(const ClusterWindow& window) override;
  [[nodiscard]] ClusterWindow window() const override;
  [[nodiscard]] Status failure() const override;
  [[nodiscard]] NodeState state() const override;
  [[nodiscard]] NodeStatistics statistics() const override;
  [[nodiscard]] TransportStatistics transport_statistics() const override;
  [[nodiscard]] ClusterInfo cluster_info() const override;

 private:
  using Clock = std::chrono::steady_clock;

  /// Why nothing more is accepted here; ok while it is.
  [[nodiscard]] Status refusal() const;
  /// The quorum as of what the leader has written. Cheap where nothing has changed.
  Quorum& quorum() const;
  void run_notifications();
  void tell_presence(std::vector<bool>& known);
  void say(FollowerState state);
  [[nodiscard]] std::optional<HostFigures> figures() const;

  const std::unique_ptr<HostSegment> segment_;
  const HostMap map_;
  const Options options_;
  const ProcessWatch leader_;
  const std::unique_ptr<FollowerChannel> channel_;
  mutable Quorum quorum_;
  mutable std::mutex quorum_lock_;
  mutable std::uint32_t presence_seen_ = 0;  ///< under quorum_lock_
  mutable QuorumCount count_;                ///< likewise
  Closing closing_place_;
  HostOrder order_;
  Notifier notifier_;
  std::atomic<bool> stopping_{false}, left_{false}, closing_{false};
  std::mutex thread_lock_;
  std::thread thread_;  ///< under thread_lock_
};

}  // namespace exdb
