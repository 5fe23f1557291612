// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes that come and go, over the in-process transport.
#include "view_node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

TEST(NodeViews, ThreeNodesFormAClusterCommitAndStopTogether) {
  ViewNodeCluster cluster({.nodes = 3});
  cluster.start_all();
  for (std::uint32_t id = 0; id < 3; ++id)
    EXPECT_EQ(cluster.commit(id, "from " + std::to_string(id)).code, ErrorCode::ok);
  std::vector<std::thread> threads;
  for (std::uint32_t id = 0; id < 3; ++id)
    threads.emplace_back([&, id] {
      const auto status = cluster.node(id).stop();
      EXPECT_TRUE(status.ok()) << "node " << id << ": " << status.text();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(cluster.replica(0).list().size(), 3U);
  EXPECT_EQ(cluster.replica(1).list(), cluster.replica(0).list());
  EXPECT_EQ(cluster.replica(2).list(), cluster.replica(0).list());
}

TEST(NodeViews, TwoGoOnWhenTheThirdIsKilledAndItComesBackEmptyAndGetsTheState) {
  ViewNodeCluster cluster({.nodes = 3});
  cluster.start_all();
  ASSERT_EQ(cluster.commit(2, "by the one that is killed").code, ErrorCode::ok);
  cluster.kill(2);
  cluster.must_commit(0, "without it");
  cluster.must_commit(1, "without it, again");
  cluster.restart(2);
  ASSERT_TRUE(cluster.node(2).wait_seated(patience));
  cluster.must_commit(2, "after it came back");
  EXPECT_TRUE(ViewNodeCluster::eventually([&] {
    return cluster.replica(0).list() == cluster.replica(2).list() &&
           cluster.replica(1).list() == cluster.replica(2).list();
  }));
  EXPECT_EQ(cluster.replica(2).digest(), cluster.replica(0).digest());
  EXPECT_EQ(cluster.replica(2).list().size(), 4U);
}

TEST(NodeViews, AStateThatRoundsDoNotReachBackToComesAsASnapshot) {
  ViewNodeCluster cluster({.nodes = 3}, [](std::uint32_t, Node::Options& options) {
    options.history = std::make_shared<MemoryRoundHistory>(0);
  });
  cluster.start_all();
  for (int i = 0; i < 20; ++i) cluster.must_commit(0, "before " + std::to_string(i));
  cluster.kill(2);
  cluster.must_commit(1, "without it");
  cluster.restart(2);
  ASSERT_TRUE(cluster.node(2).wait_seated(patience));
  cluster.must_commit(2, "after it came back");
  EXPECT_GE(cluster.replica(2).replaced, 1);
  EXPECT_EQ(cluster.replica(2).list().size(), 22U);
  EXPECT_TRUE(ViewNodeCluster::eventually(
      [&] { return cluster.replica(0).list() == cluster.replica(2).list(); }));
}

TEST(NodeViews, EveryCommitIsAnsweredOnceWhileNodesAreKilledAndComeBack) {
  ViewNodeCluster cluster({.nodes = 3});
  cluster.start_all();
  std::atomic<bool> over{false};
  std::mutex mutex;
  std::vector<std::string> acknowledged;
  const auto writer = [&](std::uint32_t id, int number) {
    for (int i = 0; !over; ++i) {
      const auto text = std::to_string(id) + "." + std::to_string(number) + "." + std::to_string(i);
      if (cluster.commit(id, text).code != ErrorCode::ok) continue;
      const std::lock_guard lock(mutex);
      acknowledged.push_back(text);
    }
  };
  std::vector<std::thread> writers;
  for (std::uint32_t id = 0; id < 2; ++id)
    for (int number = 0; number < 3; ++number) writers.emplace_back(writer, id, number);
  for (int i = 0; i < 3; ++i) {
    const auto count = [&] {
      const std::lock_guard lock(mutex);
      return acknowledged.size();
    };
    cluster.kill(2);
    const auto before = count();
    EXPECT_TRUE(ViewNodeCluster::eventually([&] { return count() > before + 200; }));
    cluster.restart(2);
    EXPECT_TRUE(cluster.node(2).wait_seated(patience));
  }
  over = true;
  for (auto& thread : writers) thread.join();
  cluster.must_commit(2, "the last one");
  EXPECT_TRUE(ViewNodeCluster::eventually([&] {
    return cluster.replica(0).list() == cluster.replica(2).list() &&
           cluster.replica(1).list() == cluster.replica(2).list();
  }));
  std::multiset<std::string> texts;
  for (const auto& entry : cluster.replica(2).list()) texts.insert(entry.text);
  for (const auto& text : acknowledged) EXPECT_EQ(texts.count(text), 1U) << text;
}

TEST(NodeViews, WithoutQuorumItRefusesToWriteUntilThereIsOne) {
  ViewNodeCluster cluster({.nodes = 3});
  cluster.start(0);
  EXPECT_EQ(cluster.commit(0, "too early").code, ErrorCode::cluster_no_quorum);
  EXPECT_FALSE(cluster.node(0).state().writes);
  EXPECT_NE(cluster.node(0).state().text, "");
  cluster.start(1);
  cluster.must_commit(0, "with two of three");
  EXPECT_TRUE(cluster.node(0).state().writes);
  EXPECT_EQ(cluster.replica(0).list().size(), 1U);
}

TEST(NodeViews, TwoEqualHalvesBothStopWriting) {
  ViewNodeCluster cluster({.nodes = 2});
  cluster.start_all();
  ASSERT_EQ(cluster.commit(0, "together").code, ErrorCode::ok);
  cluster.network().mute(1);
  const auto refuses = [&](std::uint32_t id) {
    return ViewNodeCluster::eventually([&] { return !cluster.node(id).state().writes; });
  };
  EXPECT_TRUE(refuses(0));
  EXPECT_TRUE(refuses(1));
  const auto alone = cluster.commit(0, "alone");
  EXPECT_EQ(alone.code, ErrorCode::cluster_no_quorum);
  EXPECT_NE(alone.text.find("(gone: node 1)"), std::string::npos) << alone.text;
  EXPECT_EQ(cluster.commit(1, "alone").code, ErrorCode::cluster_no_quorum);
  EXPECT_EQ(cluster.node(0).wait_fresh().code(), ErrorCode::cluster_no_quorum);
  EXPECT_EQ(cluster.replica(0).list().size(), 1U);
}

/// I4 of node_inside.hpp. It takes itself for a member, and believes to hear the others.
TEST(NodeViews, AFreshReadOfOneThatWasEvictedAndDoesNotKnowWaits) {
  ViewNodeCluster cluster({.nodes = 3}, [](std::uint32_t id, Node::Options& options) {
    if (id == 2) options.membership->timing.suspect = options.membership->timing.stall = patience;
  });
  cluster.start_all();
  cluster.must_commit(0, "together");
  ASSERT_TRUE(cluster.node(2).wait_fresh().ok());
  cluster.network().mute(2);
  cluster.must_commit(0, "without it");
  EXPECT_TRUE(cluster.node(2).state().writes) << "the test is of no use";
  const std::atomic<bool> wanted{false};  // so it does not wait
  EXPECT_FALSE(cluster.node(2).wait_fresh(&wanted).ok());
  cluster.network().unmute(2);
  EXPECT_TRUE(cluster.node(2).wait_fresh().ok());
  EXPECT_EQ(cluster.replica(2).list().size(), 2U);
}

/// A batch is posted after the rounds before it are applied, so nobody gets ahead: nothing is kept for
/// the slow one but what is in the round that all wait for.
TEST(NodeViews, OneThatAppliesSlowlyIsWaitedForAndNamed) {
  ViewNodeCluster cluster({.nodes = 3}, [](std::uint32_t, Node::Options& options) {
    options.membership->timing.suspect = patience;  // it does not answer while it applies
  });
  cluster.start_all();
  cluster.must_commit(2, "before");
  // Of all of them, also those that another node has answered.
  const auto all_have = [&](std::size_t rows) {
    return ViewNodeCluster::eventually([&] {
      for (std::uint32_t id = 0; id < 3; ++id)
        if (cluster.replica(id).list().size() != rows) return false;
      return true;
    });
  };
  for (std::size_t times = 0; times < 5; ++times) {
    ASSERT_TRUE(all_have(1 + 20 * times));
    cluster.replica(2).hold(true);
    const auto before = cluster.replica(0).published();
    std::vector<std::thread> writers;
    for (std::uint32_t id = 0; id < 2; ++id)
      writers.emplace_back([&, id] {
        for (int i = 0; i < 10; ++i) cluster.must_commit(id, "beside it");
      });
    EXPECT_TRUE(ViewNodeCluster::eventually([&] {
      const auto info = cluster.node(0).cluster_info();
      EXPECT_LE(info.slowest_rounds_behind, 3U);
      return info.slowest == 2U && cluster.replica(0).published() > before;
    }));
    // Two rounds at most were complete without it, with a transaction of each writer at most.
    EXPECT_LE(cluster.replica(0).published().value, before.value + 4);
    EXPECT_LE(cluster.replica(2).published().value, before.value + 2);
    cluster.replica(2).hold(false);
    for (auto& writer : writers) writer.join();
  }
  ASSERT_TRUE(all_have(101));
  EXPECT_EQ(cluster.replica(0).list(), cluster.replica(2).list());
}

/// As while others commit without a pause.
TEST(NodeViews, WhoIsSeatedIsSoBesideARoundThatIsUnderWay) {
  ViewNodeCluster cluster({.nodes = 3}, [](std::uint32_t, Node::Options& options) {
    options.membership->timing.suspect = options.membership->timing.stall = patience;
  });
  cluster.start_all();
  cluster.must_commit(0, "before");
  cluster.replica(2).hold(true);
  std::thread writer([&] {
    for (int i = 0; i < 4; ++i) cluster.must_commit(0, "beside it");
  });
  EXPECT_TRUE(
      ViewNodeCluster::eventually([&] { return cluster.node(0).cluster_info().slowest == 2U; }));
  // Until its next round is posted as well, of which the third node's part is missing.
  int seated = 0;
  for (int looks = 0; looks < 100; ++looks) {
    seated += int(cluster.node(0).wait_seated(std::chrono::milliseconds(0)));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(seated, 100);
  cluster.replica(2).hold(false);
  writer.join();
}

TEST(NodeViews, OneThatLeavesIsNotMissed) {
  ViewNodeCluster cluster({.nodes = 3});
  cluster.start_all();
  cluster.node(1).leave(patience);
  EXPECT_EQ(cluster.node(1).state().phase, NodeState::Phase::left);
  cluster.must_commit(0, "by those who stay");
  EXPECT_TRUE(cluster.node(2).wait_fresh().ok());
  EXPECT_EQ(cluster.replica(2).list().size(), 1U);
}

/// Its clock ticks once a second; the view is installed in between, by frames alone.
TEST(NodeViews, WhoIsSeatedMayWriteAtOnce) {
  ViewNodeCluster cluster({.nodes = 2, .gather = false}, [](std::uint32_t id, Node::Options& o) {
    auto& timing = o.membership->timing;
    timing.suspect = timing.stall = patience;
    if (id == 1) timing.beat = timing.stagger = timing.grace = timing.link_grace = 4s;
  });
  cluster.start(1);
  std::this_thread::sleep_for(50ms);  // its first tick, at which nobody is there
  cluster.start(0);
  ASSERT_TRUE(cluster.node(1).wait_seated(patience));
  const auto outcome = cluster.commit(1, "at once");
  EXPECT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
}

}  // namespace
}  // namespace exdb
