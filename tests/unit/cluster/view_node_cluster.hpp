// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes that come and go, in this process: each with a replica that is a list, and that a state can
// be taken from and given to.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "cluster/local_transport.hpp"
#include "cluster/node.hpp"

namespace exdb {

/// Longer than anything here takes, also with sanitizers on a busy machine.
inline constexpr auto patience = std::chrono::seconds(60);

/// State = what was committed, in order, each transaction once. A second one with the number of an
/// earlier one is answered as the first was.
class ListReplica final : public RoundConsumer, public StateSource, public StateSink {
 public:
  struct Entry {
    NodeId origin;
    std::uint64_t sequence = 0;
    std::string text;
    bool operator==(const Entry&) const = default;
  };

  Status apply_round(Round /*round*/, std::span<const RoundItem> items, Csn /*horizon*/,
                     const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) override {
    held_.wait(true);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Entry entry{items[i].origin, items[i].sequence, std::string(as_text(items[i].bytes))};
      auto found = std::find(list_.begin(), list_.end(), entry);
      if (found == list_.end()) found = list_.insert(list_.end(), entry);
      if (mine[i]) outcomes[i].csn = Csn{std::uint64_t(found - list_.begin()) + 1};
    }
    published_ = list_.size();
    return {};
  }
  void forget(MemberId /*node*/) override {}
  void forget_others(std::span<const MemberId> /*members*/) override {}
  std::uint64_t digest() const override {
    const std::lock_guard lock(mutex_);
    std::uint64_t digest = 0;
    for (const auto& entry : list_) digest = hash_bytes(as_bytes(entry.text), digest);
    return digest;
  }
  Csn oldest_snapshot() const override { return published(); }
  Csn published() const override { return {published_.load()}; }
  std::uint64_t history() const override { return history_; }

  Result<std::unique_ptr<StateStream>> open(RoundHistory::Chain /*upto*/) override {
    const std::lock_guard lock(mutex_);
    return std::unique_ptr<StateStream>(std::make_unique<Stream>(list_));
  }
  void begin(bool parted) override {
    coming_.clear();
    parted_ = parted;
  }
  Status add(Bytes chunk) override {
    ByteReader in(chunk);
    Entry entry;
    entry.origin = NodeId{in.get<std::uint32_t>()};
    entry.sequence = in.get<std::uint64_t>();
    entry.text = in.get_text();
    coming_.push_back(std::move(entry));
    return in.ok() ? Status() : Status(ErrorCode::cluster_sync, "a broken chunk");
  }
  Status finish(RoundHistory::Chain /*upto*/) override { return {}; }
  Result<bool> ready() override {
    const std::lock_guard lock(mutex_);
    list_ = std::move(coming_);
    published_ = list_.size();
    ++replaced;
    history_ += parted_;
    return true;
  }
  void drop() override { coming_.clear(); }

  std::vector<Entry> list() const {
    const std::lock_guard lock(mutex_);
    return list_;
  }
  /// While true the next round is not applied.
  void hold(bool on) {
    held_ = on;
    held_.notify_all();
  }
  std::atomic<int> replaced{0};

 private:
  class Stream final : public StateStream {
   public:
    explicit Stream(std::vector<Entry> list) : list_(std::move(list)) {}
    bool next(std::vector<std::byte>& chunk) override {
      if (at_ == list_.size()) return false;
      chunk.clear();
      ByteWriter out(chunk);
      out.put(list_[at_].origin.value);
      out.put(list_[at_].sequence);
      out.put_text(list_[at_++].text);
      return true;
    }

   private:
    std::vector<Entry> list_;
    std::size_t at_ = 0;
  };

  mutable std::mutex mutex_;
  std::vector<Entry> list_, coming_;
  bool parted_ = false;
  std::atomic<bool> held_{false};
  std::atomic<std::uint64_t> published_{0}, history_{0};
};

inline ViewTiming quick_timing() {
  using namespace std::chrono_literals;
  ViewTiming timing;
  timing.beat = 20ms;
  timing.suspect = 1000ms;  // a thread may not run for so long on a busy machine
  timing.link_grace = 60ms;
  timing.grace = 25ms;
  timing.patience = 300ms;
  timing.stagger = 20ms;
  timing.form_grace = 100ms;
  timing.stall = 3000ms;
  timing.backoff = 50ms;
  timing.backoff_max = 800ms;
  return timing;
}

class ViewNodeCluster {
 public:
  using Change = std::function<void(std::uint32_t node, Node::Options&)>;
  struct Life {
    std::unique_ptr<ListReplica> replica = std::make_unique<ListReplica>();
    std::unique_ptr<Node> node;
  };

  explicit ViewNodeCluster(LocalNetwork::Options network, Change change = {})
      : network_(network), lives_(network.nodes), change_(std::move(change)) {}

  std::uint32_t size() const { return std::uint32_t(lives_.size()); }
  Node& node(std::uint32_t id) { return *lives_[id].node; }
  ListReplica& replica(std::uint32_t id) { return *lives_[id].replica; }
  LocalNetwork& network() { return network_; }

  void start(std::uint32_t id) { start(id, network_.endpoint(id)); }
  void restart(std::uint32_t id) { start(id, network_.restart(id)); }
  void start_all() {
    for (std::uint32_t id = 0; id < size(); ++id) start(id);
    for (std::uint32_t id = 0; id < size(); ++id) ASSERT_TRUE(node(id).wait_seated(patience));
  }
  /// The process is gone: its threads too.
  void kill(std::uint32_t id) {
    network_.crash(id);
    lives_[id].node.reset();
  }

  ItemOutcome commit(std::uint32_t id, std::string_view text) {
    const auto bytes = as_bytes(text);
    auto item =
        node(id).submit(RoundItem::Kind::transaction, ++sequence_, {bytes.begin(), bytes.end()}, 0);
    if (!item) return {item.status().code(), {}, item.status().text()};
    return node(id).wait(**item);
  }
  /// One that succeeds at last, in a change of view too.
  void must_commit(std::uint32_t id, std::string_view text) {
    ASSERT_TRUE(eventually([&] { return commit(id, text).code == ErrorCode::ok; })) << text;
  }

  static bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

 private:
  void start(std::uint32_t id, std::unique_ptr<Transport> transport) {
    Node::Options options;
    options.nodes.resize(size());
    options.cluster_id = 42;
    options.timeout = std::chrono::seconds(60);
    lives_[id].node.reset();
    lives_[id].replica = std::make_unique<ListReplica>();
    auto& replica = *lives_[id].replica;
    options.membership = {quick_timing(), Incarnation{++starts_}, &replica, &replica};
    if (change_) change_(id, options);
    lives_[id].node = std::make_unique<Node>(std::move(transport), replica, options);
    lives_[id].node->start(true);
  }

  LocalNetwork network_;
  std::vector<Life> lives_;
  Change change_;
  std::uint64_t starts_ = 0;
  std::atomic<std::uint64_t> sequence_{0};
};

}  // namespace exdb
