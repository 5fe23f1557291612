// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes that come and go over a store that stores when the test lets it.
#include "view_node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// In memory, and stored at once unless it is held up.
class HeldUpStore final : public RoundHistory, public StableStore {
 public:
  void hold_up() { held_up_ = true; }
  void let_go() {
    held_up_ = false;
    store();
  }
  void break_with(Status why) {
    {
      const std::lock_guard lock(mutex_);
      failure_ = std::move(why);
    }
    store();
  }
  [[nodiscard]] bool waits() const { return stored_ < newest_; }

  Status append(CompletedRound&& round) override {
    given_ = true;
    return rounds_.append(std::move(round));
  }
  Status sync() override { return {}; }
  [[nodiscard]] Chain chain() const override { return rounds_.chain(); }
  [[nodiscard]] const CompletedRound& held(Round round) const override {
    return rounds_.held(round);
  }
  void release(Round upto) override { rounds_.release(upto); }
  Status read_from(Round from, const Reader& each) const override {
    return rounds_.read_from(from, each);
  }
  [[nodiscard]] Result<Chain> chain_at(Round round) const override {
    return rounds_.chain_at(round);
  }
  Status drop_after(Round round) override {
    given_ = true;
    return rounds_.drop_after(round);
  }
  Status restart(Chain at, bool parted) override {
    given_ = true;
    return rounds_.restart(at, parted);
  }
  void remember(Bytes /*memory*/) override { given_ = true; }
  Ticket newest() override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(given_, false)) ++newest_;
    if (!held_up_) stored_ = newest_.load();
    return newest_;
  }
  [[nodiscard]] Ticket stored() const override { return stored_; }
  [[nodiscard]] Status failure() const override {
    const std::lock_guard lock(mutex_);
    return failure_;
  }
  void on_change(std::function<void()> tell) override {
    const std::lock_guard lock(mutex_);
    tell_ = std::move(tell);
  }

 private:
  void store() {
    const std::lock_guard lock(mutex_);
    if (failure_.ok()) stored_ = newest_.load();
    if (tell_) tell_();
  }

  MemoryRoundHistory rounds_{1 << 20};
  bool given_ = false;
  std::atomic<bool> held_up_{false};
  std::atomic<Ticket> newest_{0}, stored_{0};
  mutable std::mutex mutex_;
  Status failure_;
  std::function<void()> tell_;
};

class NodeDiskTest : public testing::Test {
 protected:
  NodeDiskTest()
      : cluster({.nodes = 3}, [this](std::uint32_t id, Node::Options& options) {
          options.history = stores[id];
          options.membership->store = stores[id].get();
        }) {
    for (auto& store : stores) store = std::make_shared<HeldUpStore>();
    cluster.start_all();
  }
  std::array<std::shared_ptr<HeldUpStore>, 3> stores;
  ViewNodeCluster cluster;
};

TEST_F(NodeDiskTest, a_commit_is_answered_when_its_round_is_stored) {
  cluster.must_commit(0, "before");
  stores[0]->hold_up();
  const std::vector<std::byte> bytes(3);
  auto item = cluster.node(0).submit(RoundItem::Kind::transaction, 77, bytes, 0);
  ASSERT_TRUE(item.ok());
  ASSERT_TRUE(ViewNodeCluster::eventually([&] { return stores[0]->waits(); }));
  EXPECT_FALSE(Node::done(**item));
  EXPECT_EQ(cluster.replica(0).list().size(), 1U) << "nobody may read it either";
  stores[0]->let_go();
  EXPECT_EQ(cluster.node(0).wait(**item).code, ErrorCode::ok);
}

TEST_F(NodeDiskTest, a_store_that_fails_ends_its_node_and_the_others_go_on) {
  cluster.must_commit(2, "before");
  stores[2]->break_with({ErrorCode::disk, "log-12: Input/output error"});
  ASSERT_TRUE(ViewNodeCluster::eventually([&] { return cluster.node(2).finished(); }));
  EXPECT_EQ(cluster.node(2).failure().text(), "log-12: Input/output error");
  cluster.kill(2);
  cluster.must_commit(0, "without it");
  EXPECT_TRUE(ViewNodeCluster::eventually([&] { return cluster.replica(1).list().size() == 2; }));
}

}  // namespace
}  // namespace exdb
