// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A leader and a follower as threads of one process, on one mapping of the segment, so that the
// thread sanitizer sees both sides. Node 0 leads, node 1 follows.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <mutex>

#include "cluster/local_transport.hpp"
#include "host/follower_channel.hpp"
#include "host/host_relay.hpp"

namespace exdb {

/// Commits whatever comes, and keeps it.
class KeepingConsumer final : public RoundConsumer {
 public:
  struct Kept {
    RoundItem::Kind kind;
    NodeId origin;
    std::uint64_t sequence;
    std::vector<std::byte> bytes;
  };
  Status apply_round(Round /*round*/, std::span<const RoundItem> items, Csn /*horizon*/,
                     const std::vector<bool>& /*mine*/,
                     std::vector<ItemOutcome>& outcomes) override {
    const std::lock_guard lock(mutex_);
    outcomes.assign(items.size(), {});
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto& item = items[i];
      kept_.push_back(
          {item.kind, item.origin, item.sequence, {item.bytes.begin(), item.bytes.end()}});
      if (item.kind != RoundItem::Kind::transaction) continue;
      // A transaction of odd length is refused, at length.
      if (item.bytes.size() % 2 == 1)
        outcomes[i] = {ErrorCode::conflict, {}, std::string(item.bytes.size(), 'c')};
      else
        outcomes[i] = {ErrorCode::ok, Csn{++csn_}, {}};
    }
    return {};
  }
  void forget(MemberId /*member*/) override {}
  void forget_others(std::span<const MemberId> /*members*/) override {}
  [[nodiscard]] std::uint64_t digest() const override { return 0; }
  [[nodiscard]] Csn oldest_snapshot() const override { return published(); }
  [[nodiscard]] Csn published() const override { return Csn{csn_}; }
  [[nodiscard]] std::vector<Kept> kept() const {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Kept> kept_;
  std::atomic<std::uint64_t> csn_{0};
};

class HostPair : public ::testing::Test, private NodeObserver {
 protected:
  static constexpr HostSegment::Sizes small{1024, 256};

  ~HostPair() override { end(); }

  static FollowerChannel::Options options() { return {std::chrono::seconds(60), 1000, true}; }
  Node::Options node_options() {
    Node::Options made;
    made.name = "pair";
    made.nodes.resize(1);
    made.in_exchange_max = 1000;
    made.observer = this;
    return made;
  }
  static std::shared_ptr<PendingItem> transaction(std::uint64_t sequence, std::size_t bytes) {
    auto made = std::make_shared<PendingItem>();
    made->sequence = sequence;
    made->bytes.assign(bytes, std::byte(sequence));
    return made;
  }
  /// Idempotent.
  void end() {
    if (ended_) return;
    ended_ = true;
    node.close(false);
    relay.end();
  }

  std::unique_ptr<HostSegment> segment = make();
  KeepingConsumer consumer;
  LocalNetwork network{{1}};
  Node node{network.endpoint(0), consumer, node_options()};
  std::atomic<int> reaped{0};
  std::vector<std::uint32_t> gone;  ///< the relay's thread; to be read after end()
  HostRelay relay{*segment, node, true, hooks()};
  const ProcessWatch leader{static_cast<std::int32_t>(getpid())};
  FollowerChannel channel{*segment, leader, options()};

 private:
  HostRelay::Hooks hooks() {
    HostRelay::Hooks made;
    made.answer = [](std::uint32_t question, Bytes bytes) {
      std::vector<std::byte> answer(bytes.begin(), bytes.end());
      answer.push_back(std::byte(question));
      return answer;
    };
    made.reap = [this] { ++reaped; };
    made.gone = [this](std::uint32_t who) { gone.push_back(who); };
    return made;
  }
  static std::unique_ptr<HostSegment> make() {
    auto made = HostSegment::create(0, 2, {1}, small).value();
    made->line(0).pid = static_cast<std::int32_t>(getpid());
    made->line(0).state = FollowerState::joined;
    return made;
  }
  void posting(Round round) override { segment->header().posted.store(round.value); }
  void applied(Round round) override {
    segment->header().applied.store(round.value);
    segment->header().news.wake();
  }
  void lost(MemberId /*member*/) override {}
  void origin_gone(MemberId /*member*/, NodeId /*origin*/) override {}
  void finished() override { segment->tell_leader(); }
  bool ended_ = false;
};

}  // namespace exdb
