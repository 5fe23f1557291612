// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Ordinary life of nodes: commits, order, fresh reads, stop and leave, over every kind of
// in-process network.
#include "cluster/node.hpp"

#include <algorithm>
#include <set>

#include "node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

struct Kind {
  std::uint32_t nodes;
  bool collective;
  std::uint64_t delay_us;
  Progress progress = Progress::adaptive;
};

class Nodes : public testing::TestWithParam<Kind> {
 protected:
  static LocalNetwork::Options network() {
    return {.nodes = GetParam().nodes,
            .collective = GetParam().collective,
            .seed = 11,
            .delay_max = std::chrono::microseconds(GetParam().delay_us)};
  }
  NodeCluster cluster_{network(), [](std::uint32_t, Node::Options& options) {
                         options.progress = GetParam().progress;
                       }};
};

TEST_P(Nodes, commit_concurrently_in_one_order_and_answer_each_once) {
  constexpr int committers = 3, commits = 60;
  std::mutex mutex;
  std::set<std::uint64_t> csns;
  cluster_.each([&](std::uint32_t id) {
    std::vector<std::thread> threads;
    for (int t = 0; t < committers; ++t)
      threads.emplace_back([&, t] {
        std::uint64_t last = 0;
        for (int i = 0; i < commits; ++i) {
          const auto outcome = cluster_.commit(
              id, std::to_string(id) + "." + std::to_string(t) + "." + std::to_string(i));
          ASSERT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
          EXPECT_GT(outcome.csn.value, last) << "csn goes up in one thread";
          last = outcome.csn.value;
          EXPECT_GE(cluster_.consumer(id).published().value, last) << "own commit is visible";
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(csns.insert(last).second) << "a csn is given once";
        }
      });
    for (auto& thread : threads) thread.join();
  });
  cluster_.stop_all();
  cluster_.expect_equal_lists(std::size_t(committers) * commits * cluster_.size());
  EXPECT_EQ(csns.size(), std::size_t(committers) * commits * cluster_.size());
}

TEST_P(Nodes, see_with_fresh_what_returned_anywhere) {
  const int times = GetParam().delay_us > 0 ? 200 : 1500;
  for (int i = 0; i < times; ++i) {
    const auto writer = std::uint32_t(i) % cluster_.size();
    const auto reader = std::uint32_t(i + 1) % cluster_.size();
    const auto outcome = cluster_.commit(writer, "x");
    ASSERT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
    const auto status = cluster_.node(reader).wait_fresh();
    ASSERT_TRUE(status.ok()) << status.text();
    ASSERT_GE(cluster_.consumer(reader).published(), outcome.csn);
  }
  cluster_.stop_all();
}

TEST_P(Nodes, see_with_fresh_what_another_thread_just_committed) {
  std::atomic<std::uint64_t> returned{0};
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (int i = 0; i < 300; ++i) returned = cluster_.commit(0, "x").csn.value;
    over = true;
  });
  while (!over) {
    const auto known = returned.load();
    ASSERT_TRUE(cluster_.node(cluster_.size() - 1).wait_fresh().ok());
    ASSERT_GE(cluster_.consumer(cluster_.size() - 1).published().value, known);
  }
  writer.join();
  cluster_.stop_all();
}

TEST_P(Nodes, wait_for_a_token_of_another_node) {
  for (int i = 0; i < 50; ++i) {
    const auto outcome = cluster_.commit(0, "x");
    const auto other = std::uint32_t(i) % cluster_.size();
    ASSERT_TRUE(cluster_.node(other).wait_published(outcome.csn).ok());
    ASSERT_GE(cluster_.consumer(other).published(), outcome.csn);
  }
  cluster_.stop_all();
}

TEST_P(Nodes, stop_in_any_order_while_others_go_on) {
  cluster_.each([&](std::uint32_t id) {
    // The first one stops at once, the last one commits longest.
    for (std::uint32_t i = 0; i < 20 * id; ++i)
      ASSERT_EQ(cluster_.commit(id, "x").code, ErrorCode::ok);
    const auto status = cluster_.node(id).stop();
    EXPECT_TRUE(status.ok()) << status.text();
    EXPECT_EQ(cluster_.commit(id, "late").code, ErrorCode::cluster_stopped);
    EXPECT_TRUE(cluster_.node(id).stop().ok()) << "twice is fine";
  });
  cluster_.expect_equal_lists(20 * cluster_.size() * (cluster_.size() - 1) / 2);
}

TEST_P(Nodes, leave_and_the_others_go_on) {
  for (std::uint32_t id = 0; id < cluster_.size(); ++id)
    ASSERT_EQ(cluster_.commit(id, "before").code, ErrorCode::ok);
  if (cluster_.size() == 1) {
    cluster_.node(0).leave(5s);
    EXPECT_EQ(cluster_.commit(0, "x").code, ErrorCode::cluster_stopped);
    return;
  }
  const auto leaver = cluster_.size() - 1;
  std::atomic<bool> left{false};
  cluster_.each([&](std::uint32_t id) {
    if (id == leaver) {
      cluster_.node(id).leave(30s);
      left = true;
      EXPECT_EQ(cluster_.commit(id, "x").code, ErrorCode::cluster_stopped);
      EXPECT_FALSE(cluster_.node(id).wait_fresh().ok());
      EXPECT_TRUE(cluster_.node(id).stop().ok());
      return;
    }
    do {
      const auto outcome = cluster_.commit(id, "x");
      // With two nodes the one that stays has exactly half.
      if (cluster_.size() == 2 && outcome.code == ErrorCode::cluster_no_quorum) break;
      ASSERT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
    } while (!left);
    EXPECT_TRUE(cluster_.node(id).stop().ok());
    EXPECT_EQ(cluster_.consumer(id).forgotten(), std::vector{MemberId{leaver}});
  });
  for (std::uint32_t id = 0; id < leaver; ++id)
    EXPECT_EQ(cluster_.consumer(id).list(), cluster_.consumer(0).list());
}

INSTANTIATE_TEST_SUITE_P(Cluster, Nodes,
                         testing::Values(Kind{1, false, 0}, Kind{2, false, 0}, Kind{3, false, 0},
                                         Kind{5, false, 0}, Kind{1, true, 0}, Kind{3, true, 0},
                                         Kind{3, false, 300}, Kind{3, true, 300},
                                         Kind{2, false, 0, Progress::spin}),
                         [](const auto& parameter) {
                           const Kind& kind = parameter.param;
                           return std::to_string(kind.nodes) +
                                  (kind.collective ? "_collective" : "_p2p") +
                                  (kind.delay_us ? "_delayed" : "") +
                                  (kind.progress == Progress::spin ? "_spin" : "");
                         });

TEST(Node, works_without_a_listener_when_the_program_makes_progress) {
  NodeCluster cluster({.nodes = 3}, [](std::uint32_t, Node::Options& options) {
    options.progress = Progress::cooperative;
  });
  cluster.each([&](std::uint32_t id) {
    if (id == 0) {
      for (int i = 0; i < 100; ++i) ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
    } else {
      while (cluster.consumer(id).published().value < 100)
        if (!cluster.node(id).progress()) std::this_thread::yield();
    }
    EXPECT_TRUE(cluster.node(id).stop().ok());
  });
  cluster.expect_equal_lists(100);
}

TEST(Node, listens_in_threads_of_the_program_until_the_cluster_stops) {
  NodeCluster cluster({.nodes = 2}, {}, false);
  std::vector<std::thread> listeners;
  for (std::uint32_t id : {0U, 0U, 1U})
    listeners.emplace_back([&cluster, id] { EXPECT_TRUE(cluster.node(id).listen().ok()); });
  for (int i = 0; i < 50; ++i)
    ASSERT_EQ(cluster.commit(std::uint32_t(i % 2), "x").code, ErrorCode::ok);
  cluster.stop_all();
  for (auto& listener : listeners) listener.join();
  EXPECT_TRUE(cluster.node(0).stopped());
}

TEST(Node, gives_the_consumers_outcome_to_who_waits) {
  NodeCluster cluster({.nodes = 2});
  EXPECT_EQ(cluster.commit(0, "conflict").code, ErrorCode::conflict);
  EXPECT_EQ(cluster.commit(1, "fine").code, ErrorCode::ok);
  cluster.stop_all();
}

TEST(Node, carries_large_items_and_fragments_before_their_transaction) {
  NodeCluster cluster({.nodes = 2}, [](std::uint32_t, Node::Options& options) {
    options.window = {.bsize_bytes = 0, .length_transactions = 3, .timeout_ms = 10'000};
  });
  auto transaction = cluster.submit(0, std::string(5'000'000, 'x'), 9);
  auto fragment = cluster.node(0).submit(RoundItem::Kind::fragment, 77, {}, 0);
  auto discard = cluster.node(0).submit(RoundItem::Kind::discard, 77, {}, 0);
  EXPECT_EQ(cluster.node(0).wait(**transaction).code, ErrorCode::ok);
  EXPECT_EQ(cluster.node(0).wait(**fragment).code, ErrorCode::ok);
  EXPECT_TRUE(Node::done(**discard)) << "all three travelled together";
  cluster.stop_all();
  EXPECT_EQ(cluster.consumer(1).list().at(0).size(), 5'000'000U);
  EXPECT_EQ(cluster.consumer(1).others(),
            (std::vector{RoundItem::Kind::fragment, RoundItem::Kind::discard}));
}

TEST(Node, answers_the_items_of_its_own_batch_whatever_their_origins) {
  NodeCluster cluster({.nodes = 2});
  const auto from = [&](std::uint32_t id, std::uint32_t origin, std::string_view text) {
    const auto bytes = as_bytes(text);
    return cluster.node(id).submit(RoundItem::Kind::transaction, 1, {bytes.begin(), bytes.end()}, 0,
                                   NodeId{origin});
  };
  // One sequence for three origins; node 1 sends in the name of node 0, too.
  std::vector<std::shared_ptr<PendingItem>> items;
  for (const std::uint32_t origin : {0U, 1U, 7U})
    items.push_back(from(1, origin, origin == 1 ? "conflict" : "x").value());
  for (std::size_t i = 0; i < items.size(); ++i)
    EXPECT_EQ(cluster.node(1).wait(*items[i]).code, i == 1 ? ErrorCode::conflict : ErrorCode::ok);
  EXPECT_EQ(cluster.commit(0, "y").code, ErrorCode::ok);
  cluster.stop_all();
  cluster.expect_equal_lists(4);
  for (std::uint32_t id : {0U, 1U})
    EXPECT_EQ(cluster.consumer(id).origins(),
              (std::vector{NodeId{0}, NodeId{1}, NodeId{7}, NodeId{0}}));
}

TEST(Node, tells_connects_and_disconnects_and_survives_a_throwing_callback) {
  std::mutex mutex;
  std::vector<std::string> events;
  {
    NodeCluster cluster({.nodes = 3}, [&](std::uint32_t id, Node::Options& options) {
      options.nodes[2].qrank = 7;
      options.nodes[2].addr = "two";
      if (id != 0) return;
      options.notify = [&](Notification what, const NodeInfo& about) {
        const std::lock_guard lock(mutex);
        events.push_back((what == Notification::connect ? "+" : "-") +
                         std::to_string(about.node_id) + about.addr + std::to_string(about.qrank));
        throw std::runtime_error("a callback may throw");
      };
    });
    cluster.each([&](std::uint32_t id) {
      if (id == 1) return cluster.node(1).leave(30s);
      EXPECT_TRUE(cluster.node(id).stop().ok());
    });
    cluster.each([&](std::uint32_t id) { cluster.node(id).close(true); });
  }
  EXPECT_EQ(std::set<std::string>(events.begin(), events.end()),
            (std::set<std::string>{"+11", "+2two7", "-11", "-2two7"}));
  EXPECT_EQ(events.size(), 4U);
}

TEST(Node, sleeps_until_it_is_woken_where_every_frame_wakes) {
  NodeCluster cluster({.nodes = 2});
  EXPECT_EQ(cluster.commit(0, "a").code, ErrorCode::ok);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto before = cluster.node(1).transport_statistics().sleeps;
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  // A slow machine makes it fewer. Naps of a millisecond would be hundreds.
  EXPECT_LE(cluster.node(1).transport_statistics().sleeps - before, 20U);
  EXPECT_EQ(cluster.commit(0, "b").code, ErrorCode::ok) << "and it is woken";
  cluster.stop_all();
}

TEST(Node, keeps_statistics) {
  NodeCluster cluster({.nodes = 2});
  for (int i = 0; i < 10; ++i) ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  const auto statistics = cluster.node(0).statistics();
  EXPECT_EQ(statistics.items_sent, 10U);
  EXPECT_EQ(statistics.items_received, 0U);
  EXPECT_EQ(statistics.rounds, 10U);
  EXPECT_GT(statistics.exchange_ns_median, 0U);
  EXPECT_GE(statistics.exchange_ns_p99, statistics.exchange_ns_median);
  EXPECT_GE(statistics.exchange_ns_total, statistics.exchange_ns_median * 5);
  EXPECT_EQ(cluster.node(0).transport_statistics().frames_sent, 10U);
  cluster.stop_all();
  EXPECT_EQ(cluster.node(1).statistics().items_received, 10U);
  EXPECT_GT(cluster.node(1).statistics().rounds_empty, 0U) << "those of stop";
}

}  // namespace
}  // namespace exdb
