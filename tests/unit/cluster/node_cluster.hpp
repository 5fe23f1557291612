// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes of one cluster in this process, over the in-process transport, with a replica that only
// keeps a list: what the tests of Node need and nothing of storage.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "cluster/local_transport.hpp"
#include "cluster/node.hpp"

namespace exdb {

/// State = the texts of all transactions in order; digest = the hash of that.
class ListConsumer final : public RoundConsumer {
 public:
  Status apply_round(Round round, std::span<const RoundItem> items, Csn horizon,
                     const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(round.value, ++rounds_) << "rounds come in order, each once";
    EXPECT_GE(horizon, horizon_) << "the horizon never goes back";
    horizon_ = horizon;
    if (throw_at == round.value) throw std::bad_alloc();
    if (fail_at == round.value) return {ErrorCode::no_memory, "as the test wishes"};
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].kind != RoundItem::Kind::transaction) {
        others_.push_back(items[i].kind);
        continue;
      }
      list_.emplace_back(as_text(items[i].bytes));
      origins_.push_back(items[i].origin);
      digest_ = hash_bytes(items[i].bytes, digest_);
      if (mine[i]) outcomes[i].csn = Csn{list_.size()};
      if (mine[i] && list_.back() == "conflict") outcomes[i].code = ErrorCode::conflict;
    }
    published_ = list_.size();
    return {};
  }
  void forget_others(std::span<const MemberId> /*members*/) override {}
  void forget(MemberId node) override {
    const std::lock_guard lock(mutex_);
    forgotten_.push_back(node);
  }
  std::uint64_t digest() const override {
    const std::lock_guard lock(mutex_);
    return digest_ ^ (corrupt ? 1 : 0);
  }
  Csn oldest_snapshot() const override { return published(); }
  Csn published() const override { return {published_.load()}; }

  std::vector<std::string> list() const {
    const std::lock_guard lock(mutex_);
    return list_;
  }
  std::vector<MemberId> forgotten() const {
    const std::lock_guard lock(mutex_);
    return forgotten_;
  }
  std::vector<NodeId> origins() const {
    const std::lock_guard lock(mutex_);
    return origins_;
  }
  std::vector<RoundItem::Kind> others() const {
    const std::lock_guard lock(mutex_);
    return others_;
  }

  std::atomic<bool> corrupt{false};
  std::atomic<std::uint64_t> fail_at{0}, throw_at{0};

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> list_;
  std::vector<RoundItem::Kind> others_;
  std::vector<NodeId> origins_;
  std::vector<MemberId> forgotten_;
  std::uint64_t rounds_ = 0, digest_ = 0;
  Csn horizon_;
  std::atomic<std::uint64_t> published_{0};
};

class NodeCluster {
 public:
  using Change = std::function<void(std::uint32_t node, Node::Options&)>;

  explicit NodeCluster(LocalNetwork::Options network, const Change& change = {},
                       bool listeners = true)
      : network_(network), consumers_(network.nodes) {
    for (std::uint32_t id = 0; id < network.nodes; ++id) {
      Node::Options options;
      options.nodes.resize(network.nodes);
      options.cluster_id = 42;
      options.timeout = std::chrono::seconds(60);
      if (change) change(id, options);
      nodes_.push_back(std::make_unique<Node>(network_.endpoint(id), consumers_[id], options));
    }
    for (auto& node : nodes_) node->start(listeners);
  }

  std::uint32_t size() const { return std::uint32_t(nodes_.size()); }
  Node& node(std::uint32_t id) { return *nodes_[id]; }
  ListConsumer& consumer(std::uint32_t id) { return consumers_[id]; }
  LocalNetwork& network() { return network_; }

  Result<std::shared_ptr<PendingItem>> submit(std::uint32_t id, std::string_view text,
                                              int priority = 0) {
    const auto bytes = as_bytes(text);
    return node(id).submit(RoundItem::Kind::transaction, ++sequence_, {bytes.begin(), bytes.end()},
                           priority);
  }

  ItemOutcome commit(std::uint32_t id, std::string_view text, int priority = 0) {
    auto item = submit(id, text, priority);
    if (!item) return {item.status().code(), {}, item.status().text()};
    return node(id).wait(**item);
  }

  /// One thread a node; returns when all have come back.
  void each(const std::function<void(std::uint32_t)>& body) {
    std::vector<std::thread> threads;
    for (std::uint32_t id = 0; id < size(); ++id) threads.emplace_back(body, id);
    for (auto& thread : threads) thread.join();
  }

  void stop_all() {
    each([this](std::uint32_t id) {
      const auto status = node(id).stop();
      EXPECT_TRUE(status.ok()) << "node " << id << ": " << status.text();
    });
  }

  void expect_equal_lists(std::size_t length) {
    for (std::uint32_t id = 0; id < size(); ++id) {
      EXPECT_EQ(consumer(id).list().size(), length) << "node " << id;
      EXPECT_EQ(consumer(id).list(), consumer(0).list()) << "node " << id;
    }
  }

 private:
  LocalNetwork network_;
  std::vector<ListConsumer> consumers_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::atomic<std::uint64_t> sequence_{0};
};

}  // namespace exdb
