// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How a node's waiting ends: deadlines, interruption, databases closed in opposite order, callbacks
// that never return, and what it says of itself afterwards.
#include <future>

#include "cluster/notifier.hpp"
#include "node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;
using Phase = NodeState::Phase;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

NodeCluster::Change named(const std::string& name, std::uint64_t cluster_id) {
  return [=](std::uint32_t, Node::Options& options) {
    options.name = name;
    options.cluster_id = cluster_id;
    options.timeout = 1200ms;  // so pings come every 300 ms
  };
}

/// Never set: what waits for it never returns. Kept for ever, since threads are left behind in it.
std::shared_future<void> never() {
  static auto* const promise = new std::promise<void>;
  static const std::shared_future<void> future = promise->get_future().share();
  return future;
}

TEST(NodeEnds, two_clusters_stopped_in_opposite_order_fail_on_both_nodes_and_name_both) {
  CaptureStderr();
  NodeCluster x({.nodes = 2}, named("X", 1001)), y({.nodes = 2}, named("Y", 1002));
  std::vector<std::thread> ranks;
  std::vector<Status> first(2), second(2);
  for (std::uint32_t id : {0U, 1U})
    ranks.emplace_back([&, id] {
      EXPECT_EQ(x.commit(id, "x").code, ErrorCode::ok);
      EXPECT_EQ(y.commit(id, "y").code, ErrorCode::ok);
      first[id] = (id == 0 ? x : y).node(id).stop();
      second[id] = (id == 0 ? y : x).node(id).stop();
    });
  for (auto& rank : ranks) rank.join();
  for (std::uint32_t id : {0U, 1U}) {
    EXPECT_EQ(first[id].code(), ErrorCode::cluster) << first[id].text();
    EXPECT_TRUE(second[id].ok()) << second[id].text();
  }
  EXPECT_TRUE(has(first[0].text(), "node 0 closes (or stops) 'X' before 'Y', node 1"))
      << first[0].text();
  EXPECT_TRUE(has(first[1].text(), "node 1 closes (or stops) 'Y' before 'X', node 0"))
      << first[1].text();
  EXPECT_EQ(x.node(0).stop().text(), first[0].text()) << "whoever asks again is told the same";
  GetCapturedStderr();
}

/// A program as many are: opened by a helper thread, listeners of its own, workers that are gone when
/// the thread that closes everything begins.
TEST(NodeEnds,
     an_opposite_order_is_told_though_threads_that_are_gone_or_only_listen_used_them_last) {
  CaptureStderr();
  std::unique_ptr<NodeCluster> x, y;
  std::thread([&] {
    x = std::make_unique<NodeCluster>(LocalNetwork::Options{.nodes = 2}, named("X", 1001), false);
    y = std::make_unique<NodeCluster>(LocalNetwork::Options{.nodes = 2}, named("Y", 1002), false);
  }).join();
  std::vector<std::thread> listeners, workers, ranks;
  std::vector<ErrorCode> codes(2);
  for (std::uint32_t id : {0U, 1U})
    for (auto* cluster : {x.get(), y.get()}) {
      workers.emplace_back([cluster, id] { EXPECT_TRUE(cluster->submit(id, "w").ok()); });
      workers.back().join();
      listeners.emplace_back([cluster, id] {
        cluster->node(id).used();
        (void)cluster->node(id).listen();
      });
    }
  for (std::uint32_t id : {0U, 1U})
    ranks.emplace_back([&, id] {
      codes[id] = (id == 0 ? *x : *y).node(id).stop().code();
      EXPECT_TRUE((id == 0 ? *y : *x).node(id).stop().ok());
    });
  for (auto& rank : ranks) rank.join();
  for (auto& listener : listeners) listener.join();
  EXPECT_EQ(codes, (std::vector{ErrorCode::cluster, ErrorCode::cluster}));
  GetCapturedStderr();
}

/// Each cluster has two of the three threads: nobody's order is the opposite of another one's.
TEST(NodeEnds, three_clusters_stopped_in_a_circle_fail_on_all_nodes_and_name_their_own) {
  CaptureStderr();
  NodeCluster x({.nodes = 2}, named("X", 1001)), y({.nodes = 2}, named("Y", 1002)),
      z({.nodes = 2}, named("Z", 1003));
  NodeCluster* const clusters[] = {&x, &y, &z};
  const std::string names[] = {"X", "Y", "Z"};
  std::vector<std::thread> ranks;
  std::vector<Status> first(3), second(3);
  for (std::uint32_t id : {0U, 1U, 2U})
    ranks.emplace_back([&, id] {
      auto& mine = *clusters[id];
      auto& other = *clusters[(id + 1) % 3];
      EXPECT_EQ(mine.commit(0, "first").code, ErrorCode::ok);
      EXPECT_EQ(other.commit(1, "second").code, ErrorCode::ok);
      first[id] = mine.node(0).stop();
      second[id] = other.node(1).stop();
    });
  for (auto& rank : ranks) rank.join();
  for (std::uint32_t id : {0U, 1U, 2U}) {
    EXPECT_EQ(first[id].code(), ErrorCode::cluster) << first[id].text();
    EXPECT_TRUE(has(first[id].text(), "'" + names[id] + "' before '" + names[(id + 1) % 3] + "'"))
        << first[id].text();
    EXPECT_TRUE(second[id].ok()) << second[id].text();
  }
  GetCapturedStderr();
}

TEST(NodeEnds, two_clusters_stopped_in_two_threads_at_once_end_well) {
  CaptureStderr();
  NodeCluster x({.nodes = 2}, named("X", 1001)), y({.nodes = 2}, named("Y", 1002));
  std::vector<std::thread> threads;
  // On node 0 the thread of Y is late, on node 1 that of X: for seconds it looks like the opposite
  // order, but that the databases are used by different threads.
  for (std::uint32_t id : {0U, 1U})
    for (auto* cluster : {&x, &y})
      threads.emplace_back([id, cluster, late = (cluster == &x) == (id == 1)] {
        EXPECT_EQ(cluster->commit(id, "mine").code, ErrorCode::ok);
        if (late) std::this_thread::sleep_for(2500ms);
        const auto status = cluster->node(id).stop();
        EXPECT_TRUE(status.ok()) << status.text();
      });
  for (auto& thread : threads) thread.join();
  GetCapturedStderr();
}

TEST(NodeEnds, a_stop_with_a_deadline_names_who_has_not_stopped_and_lets_the_others_go_on) {
  NodeCluster cluster({.nodes = 3});
  std::thread one([&] { EXPECT_TRUE(cluster.node(1).stop().ok()); });
  while (cluster.node(0).statistics().rounds == 0) std::this_thread::yield();
  const auto status = cluster.node(0).stop(200ms);
  EXPECT_EQ(status.code(), ErrorCode::timeout);
  EXPECT_TRUE(has(status.text(), "stop() waited 200 ms for node 2 (of 3)")) << status.text();
  EXPECT_EQ(cluster.node(0).state().phase, Phase::left);
  EXPECT_EQ(cluster.node(0).stop().text(), status.text());
  EXPECT_EQ(cluster.commit(2, "x").code, ErrorCode::ok) << "two of three are a quorum";
  EXPECT_TRUE(cluster.node(2).stop().ok());
  one.join();
}

TEST(NodeEnds, a_stop_with_a_deadline_that_is_not_needed_is_a_stop) {
  NodeCluster cluster({.nodes = 3});
  cluster.each([&](std::uint32_t id) { EXPECT_TRUE(cluster.node(id).stop(60s).ok()); });
  EXPECT_EQ(cluster.node(0).state().phase, Phase::stopped);
}

TEST(NodeEnds, leave_in_another_thread_interrupts_a_stop) {
  NodeCluster cluster({.nodes = 2});
  Status status;
  std::thread stopper([&] { status = cluster.node(0).stop(); });
  while (cluster.node(1).statistics().rounds == 0) std::this_thread::yield();
  cluster.node(0).leave(30s);
  stopper.join();
  EXPECT_EQ(status.code(), ErrorCode::interrupted) << status.text();
  EXPECT_TRUE(cluster.node(1).stop().ok());
}

TEST(NodeEnds, a_notification_that_never_returns_holds_nobody_up) {
  CaptureStderr();
  std::atomic<int> told{0};
  {
    NodeCluster cluster({.nodes = 2}, [&told](std::uint32_t id, Node::Options& options) {
      if (id != 0) return;
      options.notify = [&told](Notification, const NodeInfo&) {
        ++told;
        never().wait();
      };
    });
    cluster.stop_all();
    cluster.node(0).close(true);
    EXPECT_EQ(told, 1);
  }
  EXPECT_EQ(told, 1) << "nothing is told after close";
  const auto said = GetCapturedStderr();
  EXPECT_TRUE(has(said, "the notification callback has not come back for 1000 ms")) << said;
}

TEST(NodeEnds, slow_notifications_are_all_delivered) {
  std::atomic<int> told{0};
  {
    Notifier notifier(
        [&told](Notification, const NodeInfo&) {
          std::this_thread::sleep_for(40ms);
          ++told;
        },
        500ms);
    // Together they take longer than the grace, which is for each of them.
    for (int i = 0; i < 20; ++i) notifier.tell(Notification::connect, {});
    notifier.close();
  }
  EXPECT_EQ(told, 20);
}

/// What ends the wait for a quorum callback that never answers.
void expect_refused(const std::function<void(Node&)>& end) {
  std::promise<void> asked;
  auto cluster = std::make_unique<NodeCluster>(LocalNetwork::Options{.nodes = 2},
                                               [&asked](std::uint32_t id, Node::Options& options) {
                                                 if (id != 0) return;
                                                 options.quorum = [&asked](const auto&) {
                                                   asked.set_value();
                                                   never().wait();
                                                   return true;
                                                 };
                                               });
  cluster->node(1).leave(30s);
  while (cluster->node(0).statistics().rounds == 0) std::this_thread::yield();
  ItemOutcome first, second;
  std::thread committer([&] { first = cluster->commit(0, "x"); });
  asked.get_future().wait();
  std::thread reader([&] { EXPECT_FALSE(cluster->node(0).wait_fresh().ok()); });
  EXPECT_FALSE(cluster->node(0).try_submit(RoundItem::Kind::transaction, 99, {}, 0));
  end(cluster->node(0));
  committer.join();
  reader.join();
  EXPECT_EQ(first.code, ErrorCode::cluster_no_quorum) << first.text;
  EXPECT_TRUE(has(first.text, "before the quorumCallback had answered")) << first.text;
  cluster.reset();
}

TEST(NodeEnds, a_quorum_callback_that_never_answers_holds_nobody_up) {
  expect_refused([](Node& node) { EXPECT_TRUE(node.stop().ok()); });
  expect_refused([](Node& node) { node.leave(1s); });
  expect_refused([](Node& node) { node.close(false); });
}

TEST(NodeEnds, the_quorum_callback_may_use_the_node_itself) {
  NodeCluster* all = nullptr;
  NodeCluster cluster({.nodes = 2}, [&all](std::uint32_t id, Node::Options& options) {
    if (id != 0) return;
    options.quorum = [&all](const auto&) {
      EXPECT_EQ(all->commit(0, "from within").code, ErrorCode::cluster_no_quorum);
      return true;
    };
  });
  all = &cluster;
  cluster.node(1).leave(30s);
  while (cluster.node(0).statistics().rounds == 0) std::this_thread::yield();
  EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  EXPECT_TRUE(cluster.node(0).stop().ok());
}

TEST(NodeEnds, says_what_still_works) {
  CaptureStderr();
  NodeCluster cluster({.nodes = 3},
                      [](std::uint32_t, Node::Options& options) { options.timeout = 500ms; });
  auto state = cluster.node(0).state();
  EXPECT_EQ(state.phase, Phase::open);
  EXPECT_TRUE(state.writes && state.fresh_reads);
  EXPECT_EQ(state.text, "");
  cluster.node(2).leave(30s);
  EXPECT_EQ(cluster.node(2).state().phase, Phase::left);
  EXPECT_FALSE(cluster.node(2).state().writes || cluster.node(2).state().fresh_reads);
  while (cluster.node(0).statistics().rounds == 0) std::this_thread::yield();
  EXPECT_TRUE(cluster.node(0).state().writes) << "two of three";
  cluster.network().mute(1);
  EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::unknown_outcome);
  state = cluster.node(0).state();
  EXPECT_EQ(state.phase, Phase::failed);
  EXPECT_FALSE(state.writes || state.fresh_reads);
  EXPECT_TRUE(has(state.text, "waiting for node 1 (of 3) for 500 ms")) << state.text;
  GetCapturedStderr();
}

TEST(NodeEnds, says_that_it_stops_and_that_the_quorum_is_lost) {
  NodeCluster cluster({.nodes = 2});
  std::thread one([&] { EXPECT_TRUE(cluster.node(1).stop().ok()); });
  while (cluster.node(0).statistics().rounds == 0) std::this_thread::yield();
  auto state = cluster.node(1).state();
  EXPECT_EQ(state.phase, Phase::stopping);
  EXPECT_FALSE(state.writes);
  EXPECT_TRUE(state.fresh_reads);
  EXPECT_TRUE(has(state.text, "stop() was called")) << state.text;
  cluster.node(0).leave(30s);
  one.join();
  EXPECT_EQ(cluster.node(1).state().phase, Phase::stopped);

  NodeCluster lonely({.nodes = 2});
  lonely.node(1).leave(30s);
  while (lonely.node(0).statistics().rounds == 0) std::this_thread::yield();
  state = lonely.node(0).state();
  EXPECT_EQ(state.phase, Phase::open);
  EXPECT_FALSE(state.writes || state.fresh_reads);
  EXPECT_TRUE(has(state.text, "qrank 1 of 2")) << state.text;
}

/// Decoding and applying are one thing here: both give up by an exception for want of memory.
TEST(NodeEnds, a_replica_that_cannot_go_on_says_so_whatever_the_kind_of_broadcast) {
  for (const bool collective : {false, true})
    for (const bool throws : {false, true}) {
      NodeCluster cluster({.nodes = 3, .collective = collective});
      (throws ? cluster.consumer(1).throw_at : cluster.consumer(1).fail_at) = 2;
      ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
      EXPECT_EQ(cluster.commit(0, "y").code, ErrorCode::ok);
      const auto status = cluster.node(1).listen();
      EXPECT_EQ(status.code(), ErrorCode::no_memory) << status.text();
      EXPECT_TRUE(has(status.text(), "round 2 could not be applied")) << status.text();
      EXPECT_EQ(cluster.commit(2, "z").code, ErrorCode::ok);
      std::thread other([&] { EXPECT_TRUE(cluster.node(2).stop().ok()); });
      EXPECT_TRUE(cluster.node(0).stop().ok());
      other.join();
      EXPECT_EQ(cluster.consumer(2).list().size(), 3U);
    }
}

TEST(NodeEnds, its_leave_is_heard_without_a_listener_too_once_it_is_closed) {
  NodeCluster cluster({.nodes = 3, .collective = true}, {}, false);
  cluster.consumer(1).fail_at = 1;
  std::vector<std::thread> listeners;
  for (std::uint32_t id : {0U, 2U})
    listeners.emplace_back([&, id] { EXPECT_TRUE(cluster.node(id).listen().ok()); });
  EXPECT_EQ(cluster.commit(1, "x").code, ErrorCode::unknown_outcome);
  cluster.node(1).close(false);
  EXPECT_EQ(cluster.commit(0, "y").code, ErrorCode::ok);
  std::thread other([&] { EXPECT_TRUE(cluster.node(2).stop().ok()); });
  EXPECT_TRUE(cluster.node(0).stop().ok());
  other.join();
  for (auto& listener : listeners) listener.join();
}

/// Rounds become final when the test says so.
class GatedFinality final : public Finality {
 public:
  Round newest_final(const RoundHistory& history) override {
    return std::min(Round{released.load()}, history.chain().round);
  }
  std::atomic<std::uint64_t> released{0};
};

TEST(NodeEnds, nothing_reaches_the_consumer_before_it_is_final_and_then_all_of_it_in_order) {
  const auto gate = std::make_shared<GatedFinality>();
  const auto history = std::make_shared<MemoryRoundHistory>(1 << 20);
  NodeCluster cluster({.nodes = 2}, [&](std::uint32_t id, Node::Options& options) {
    if (id != 0) return;
    options.finality = gate;
    options.history = history;
  });
  auto mine = cluster.submit(0, "one").value();
  std::promise<ItemOutcome> answer;
  std::thread waiter([&] { answer.set_value(cluster.node(0).wait(*mine)); });
  while (cluster.consumer(1).published().value < 1) std::this_thread::yield();
  // Node 1 is not held back, and node 0 goes on exchanging.
  EXPECT_EQ(cluster.commit(1, "two").code, ErrorCode::ok);
  EXPECT_EQ(cluster.commit(1, "three").code, ErrorCode::ok);
  EXPECT_EQ(cluster.consumer(0).list().size(), 0U);
  EXPECT_FALSE(Node::done(*mine));
  gate->released = 2;
  EXPECT_EQ(answer.get_future().get().code, ErrorCode::ok);
  ASSERT_TRUE(cluster.node(0).wait_published(Csn{2}).ok());
  EXPECT_EQ(cluster.consumer(0).list(), (std::vector<std::string>{"one", "two"}));
  gate->released = ~0ULL;
  ASSERT_TRUE(cluster.node(0).wait_fresh().ok());
  cluster.expect_equal_lists(3);
  cluster.stop_all();
  waiter.join();
  EXPECT_EQ(history->chain().round.value, cluster.node(0).statistics().rounds);
  EXPECT_TRUE(history->read_from(Round{1}, [](const auto&) { return Status(); }).ok());
}

}  // namespace
}  // namespace exdb
