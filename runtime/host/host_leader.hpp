// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The part of a leader in the cluster: its node, which stands for all processes of its host, and the
// relay by which the others use it.
//
// Invariants
//   I1  After stop() nothing of this process is accepted, but its followers are served until all of
//       them have stopped or gone; only then the node stops.
//   I2  Every process of the host is told of the end (HostSegment I3).
//   I3  That a node is gone is told once, whether it went alone or with its host.
//   I4  A stop that waits for followers ends where one of them closes in opposite order (HostOrder).
// Threads: as Participant.
// Failure: as Node; followers are told the same.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "cluster/notifier.hpp"
#include "host/host_map.hpp"
#include "host/host_order.hpp"
#include "host/host_relay.hpp"

namespace exdb {

class HostLeader final : public Participant, private NodeObserver {
 public:
  struct Hooks {
    /// Answers a question of a follower that is not HostQuestion::figures.
    std::function<std::vector<std::byte>(std::uint32_t question, Bytes bytes)> answer;
    /// Takes back what ended processes held. Under the drive lock.
    std::function<void()> reap;
  };

  /// `options`: those of this process; nodes, and whom the callbacks are asked about, become the
  /// hosts here. REQUIRES: the transport is among the leaders.
  HostLeader(std::unique_ptr<HostSegment> segment, HostMap map,
             std::unique_ptr<Transport> transport, RoundConsumer& consumer, Node::Options options,
             Hooks hooks);
  ~HostLeader() override;

  /// REQUIRES: every follower has attached.
  void start(bool own_listener);
  /// The node itself: for the transactions of this process.
  [[nodiscard]] Node& node() { return *node_; }
  [[nodiscard]] HostSegment& segment() { return *segment_; }
  /// I1: true when nothing more of this process is accepted.
  [[nodiscard]] const std::atomic<bool>& stopping() const { return stopping_; }

  // --- Participant ---
  Status listen() override { return explained(node_->listen()); }
  bool progress() override { return node_->progress(); }
  void used() override { node_->used(); }
  Status stop(std::optional<std::chrono::milliseconds> deadline) override;
  void leave(std::chrono::milliseconds cap) override;
  void close(bool collective) override;
  void set_window(const ClusterWindow& window) override { node_->set_window(window); }
  [[nodiscard]] ClusterWindow window() const override { return node_->window(); }
  [[nodiscard]] Status failure() const override { return explained(node_->failure()); }
  [[nodiscard]] NodeState state() const override;
  [[nodiscard]] NodeStatistics statistics() const override { return node_->statistics(); }
  [[nodiscard]] TransportStatistics transport_statistics() const override {
    return node_->transport_statistics();
  }
  [[nodiscard]] ClusterInfo cluster_info() const override;

 private:
  using Clock = std::chrono::steady_clock;
  // --- NodeObserver ---
  void posting(Round round) override;
  void applied(Round round) override;
  void lost(MemberId member) override;
  void origin_gone(MemberId member, NodeId origin) override;
  void finished() override;

  [[nodiscard]] Status explained(const Status& status) const {
    return status.ok() ? status : Status(status.code(), status.text() + map_.explain());
  }
  Node::Options of_hosts(Node::Options options);
  void tell_gone(std::uint32_t node);
  Status wait_for_followers(Clock::time_point until);

  const std::unique_ptr<HostSegment> segment_;
  const HostMap map_;
  const Hooks hooks_;
  Notifier notifier_;
  std::vector<std::atomic<bool>> told_gone_;  ///< a node each
  std::atomic<bool> stopping_{false};
  const std::shared_ptr<Closing> closing_;
  HostOrder order_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<HostRelay> relay_;
};

}  // namespace exdb
