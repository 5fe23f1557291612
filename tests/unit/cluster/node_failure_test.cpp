// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes in trouble: silent and crashed neighbours, replicas that differ, lost quorum, foreign
// frames.
#include <algorithm>

#include "cluster/frame.hpp"
#include "node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

NodeCluster::Change with_timeout(std::chrono::milliseconds timeout) {
  return [timeout](std::uint32_t, Node::Options& options) { options.timeout = timeout; };
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(NodeFailure, a_silent_node_is_warned_of_then_named_with_the_round) {
  CaptureStderr();
  NodeCluster cluster({.nodes = 3}, with_timeout(600ms));
  ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  ASSERT_TRUE(cluster.node(1).wait_fresh().ok());
  cluster.network().mute(2);
  const auto outcome = cluster.commit(0, "y");
  EXPECT_EQ(outcome.code, ErrorCode::unknown_outcome);
  EXPECT_TRUE(has(outcome.text, "round 2: waiting for node 2 (of 3) for 600 ms")) << outcome.text;
  EXPECT_EQ(cluster.node(0).failure().code(), ErrorCode::timeout);
  const auto later = cluster.commit(0, "z");
  EXPECT_EQ(later.code, ErrorCode::timeout) << "it never left: certain";
  EXPECT_EQ(later.text, outcome.text);
  EXPECT_EQ(cluster.node(0).stop().text(), outcome.text);
  EXPECT_EQ(cluster.node(0).wait_fresh().text(), outcome.text);
  EXPECT_EQ(cluster.node(0).listen().text(), outcome.text);
  const auto said = GetCapturedStderr();
  EXPECT_TRUE(has(said, "exdb[node 0 round 2] warning: waiting for node 2 (of 3) for ")) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST(NodeFailure, stop_with_a_dead_neighbour_ends_in_a_timeout_that_names_it) {
  CaptureStderr();
  NodeCluster cluster({.nodes = 2}, with_timeout(600ms));
  cluster.network().mute(1);
  const auto status = cluster.node(0).stop();
  EXPECT_EQ(status.code(), ErrorCode::timeout);
  EXPECT_TRUE(has(status.text(), "waiting for node 1 (of 2)")) << status.text();
  GetCapturedStderr();
}

TEST(NodeFailure, stop_notices_a_neighbour_that_dies_while_it_waits) {
  CaptureStderr();
  NodeCluster cluster({.nodes = 2}, with_timeout(800ms));
  std::thread mute([&] {
    while (cluster.node(1).statistics().rounds == 0) std::this_thread::sleep_for(1ms);
    cluster.network().mute(1);
  });
  EXPECT_EQ(cluster.node(0).stop().code(), ErrorCode::timeout);
  mute.join();
  GetCapturedStderr();
}

TEST(NodeFailure, stop_waits_longer_than_the_timeout_for_neighbours_that_live_and_says_so) {
  CaptureStderr();
  {
    NodeCluster cluster({.nodes = 2}, with_timeout(1500ms));
    std::thread other([&] {
      std::this_thread::sleep_for(3s);
      EXPECT_TRUE(cluster.node(1).stop().ok());
    });
    const auto status = cluster.node(0).stop();
    EXPECT_TRUE(status.ok()) << status.text();
    other.join();
  }
  const auto said = GetCapturedStderr();
  EXPECT_TRUE(has(said, "stop() waits for node 1 (of 2)")) << said;
}

TEST(NodeFailure, a_crashed_node_fails_the_round_that_needs_it_at_once) {
  NodeCluster cluster({.nodes = 3});
  ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  cluster.network().crash(2);
  const auto outcome = cluster.commit(0, "y");
  EXPECT_EQ(outcome.code, ErrorCode::unknown_outcome);
  EXPECT_TRUE(has(outcome.text, "node 2 of 3 is gone")) << outcome.text;
  EXPECT_TRUE(has(cluster.node(2).listen().text(), "crashed by its test"));
}

TEST(NodeFailure, the_odd_replica_stops_and_the_majority_goes_on) {
  for (const bool collective : {false, true}) {
    CaptureStderr();
    NodeCluster cluster({.nodes = 3, .collective = collective});
    ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
    for (std::uint32_t id : {1U, 2U}) ASSERT_TRUE(cluster.node(id).wait_fresh().ok());
    cluster.consumer(1).corrupt = true;
    const auto odd = cluster.commit(1, "y");
    EXPECT_EQ(odd.code, ErrorCode::unknown_outcome);
    EXPECT_TRUE(has(odd.text, "the state of node 1 differs")) << odd.text;
    EXPECT_EQ(cluster.node(1).failure().code(), ErrorCode::inconsistent);
    EXPECT_EQ(cluster.commit(0, "z").code, ErrorCode::ok);
    EXPECT_EQ(cluster.commit(2, "z").code, ErrorCode::ok);
    std::thread other([&] { EXPECT_TRUE(cluster.node(2).stop().ok()); });
    EXPECT_TRUE(cluster.node(0).stop().ok());
    other.join();
    EXPECT_EQ(cluster.consumer(0).list(), (std::vector<std::string>{"x", "y", "z", "z"}));
    EXPECT_EQ(cluster.consumer(2).list(), cluster.consumer(0).list());
    EXPECT_TRUE(has(GetCapturedStderr(), "node 1 is no member any more"));
  }
}

TEST(NodeFailure, without_a_majority_of_digests_all_stop) {
  NodeCluster cluster({.nodes = 2});
  cluster.consumer(1).corrupt = true;
  const auto outcome = cluster.commit(0, "x");
  EXPECT_EQ(outcome.code, ErrorCode::unknown_outcome);
  EXPECT_EQ(cluster.node(0).failure().code(), ErrorCode::inconsistent);
  EXPECT_EQ(cluster.node(1).listen().code(), ErrorCode::inconsistent);
}

TEST(NodeFailure, a_replica_that_cannot_apply_leaves_the_others_in_peace) {
  NodeCluster cluster({.nodes = 3});
  cluster.consumer(1).fail_at = 2;
  ASSERT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  EXPECT_EQ(cluster.commit(0, "y").code, ErrorCode::ok);
  const auto status = cluster.node(1).listen();
  EXPECT_EQ(status.code(), ErrorCode::no_memory);
  EXPECT_TRUE(has(status.text(), "round 2 could not be applied")) << status.text();
  EXPECT_EQ(cluster.commit(2, "z").code, ErrorCode::ok);
  std::thread other([&] { EXPECT_TRUE(cluster.node(2).stop().ok()); });
  EXPECT_TRUE(cluster.node(0).stop().ok());
  other.join();
  EXPECT_EQ(cluster.consumer(2).list().size(), 3U);
}

TEST(NodeFailure, a_frame_that_breaks_the_rules_stops_the_node_with_its_reason) {
  LocalNetwork network({.nodes = 2});
  ListConsumer consumer;
  Node::Options options;
  options.nodes.resize(2);
  options.cluster_id = 42;
  Node node(network.endpoint(0), consumer, options);
  node.start(true);
  auto peer = network.endpoint(1);
  ASSERT_TRUE(
      peer->send(0, encode_frame({FrameType::batch, 41, MemberId{1}, Round{9}, {}}, {})).ok());
  ASSERT_TRUE(
      peer->send(0, encode_frame({FrameType::batch, 42, MemberId{1}, Round{9}, {}}, {})).ok());
  const auto status = node.listen();
  EXPECT_EQ(status.code(), ErrorCode::cluster_protocol);
  EXPECT_TRUE(has(status.text(), "from node 1: a batch of round 9")) << status.text();
}

TEST(NodeFailure, a_batch_with_broken_items_stops_the_node) {
  LocalNetwork network({.nodes = 2});
  ListConsumer consumer;
  Node::Options options;
  options.nodes.resize(2);
  Node node(network.endpoint(0), consumer, options);
  node.start(true);
  auto peer = network.endpoint(1);
  ASSERT_TRUE(peer->broadcast(encode_frame({FrameType::batch, 0, MemberId{1}, Round{1}, {}},
                                           as_bytes("\x01\x02\x7f"
                                                    "too short")))
                  .ok());
  EXPECT_EQ(node.listen().code(), ErrorCode::cluster_protocol);
}

TEST(NodeFailure, exactly_half_of_the_qrank_may_not_write_unless_the_callback_says_so) {
  std::atomic<int> asked{0};
  std::atomic<bool> answer{false};
  std::vector<std::uint32_t> neighbours;
  NodeCluster cluster({.nodes = 3}, [&](std::uint32_t id, Node::Options& options) {
    options.nodes[0].qrank = 2;
    options.nodes[1].qrank = 1;
    options.nodes[2].qrank = 3;
    if (id != 0) return;
    options.quorum = [&](const std::vector<std::uint32_t>& ids) {
      ++asked;
      neighbours = ids;
      return answer.load();
    };
  });
  EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  EXPECT_EQ(asked, 0);
  cluster.node(2).leave(30s);
  for (std::uint32_t id : {0U, 1U})
    while (cluster.node(id).statistics().rounds < 2) std::this_thread::yield();
  const auto refused = cluster.commit(0, "y");
  EXPECT_EQ(refused.code, ErrorCode::cluster_no_quorum);
  EXPECT_TRUE(has(refused.text, "qrank 3 of 6")) << refused.text;
  EXPECT_TRUE(has(refused.text, "node 2")) << refused.text;
  EXPECT_EQ(cluster.node(0).wait_fresh().code(), ErrorCode::cluster_no_quorum);
  EXPECT_EQ(asked, 1) << "once for a change";
  EXPECT_EQ(neighbours, std::vector<std::uint32_t>{1});
  EXPECT_EQ(cluster.commit(1, "y").code, ErrorCode::cluster_no_quorum);
  answer = true;
  cluster.node(1).leave(30s);
  while (cluster.node(0).statistics().rounds < 3) std::this_thread::yield();
  EXPECT_EQ(cluster.commit(0, "alone").code, ErrorCode::ok);
  EXPECT_EQ(asked, 2);
  EXPECT_TRUE(cluster.node(0).stop().ok());
}

TEST(NodeFailure, without_any_qrank_the_callback_decides_from_the_start) {
  NodeCluster cluster({.nodes = 2}, [](std::uint32_t id, Node::Options& options) {
    for (auto& node : options.nodes) node.qrank = 0;
    if (id == 1) options.quorum = [](const auto&) { return true; };
  });
  EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::cluster_no_quorum);
  EXPECT_EQ(cluster.commit(1, "x").code, ErrorCode::ok);
  cluster.stop_all();
}

TEST(NodeFailure, leave_takes_at_most_its_cap_when_a_neighbour_is_dead) {
  NodeCluster cluster({.nodes = 2});
  cluster.network().mute(1);
  auto item = cluster.submit(0, "x");
  ASSERT_TRUE(item.ok());
  while (cluster.node(0).statistics().items_sent == 0) (void)cluster.node(0).progress();
  auto held = cluster.submit(0, "z");
  ASSERT_TRUE(held.ok());
  cluster.node(0).leave(50ms);
  EXPECT_EQ(cluster.node(0).wait(**item).code, ErrorCode::unknown_outcome);
  EXPECT_EQ(cluster.node(0).wait(**held).code, ErrorCode::cluster_stopped) << "it never left";
  EXPECT_EQ(cluster.commit(0, "y").code, ErrorCode::cluster_stopped);
}

TEST(NodeFailure, a_token_nobody_gave_is_a_timeout_and_not_the_end) {
  NodeCluster cluster({.nodes = 2}, with_timeout(300ms));
  EXPECT_EQ(cluster.node(0).wait_published(Csn{99}).code(), ErrorCode::timeout);
  EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::ok);
  cluster.stop_all();
}

TEST(NodeFailure, destruction_without_stop_returns_and_answers_who_waits) {
  ItemOutcome outcome;
  std::thread waiter;
  NodeCluster cluster({.nodes = 2});
  cluster.network().mute(1);
  auto item = cluster.submit(0, "x");
  waiter = std::thread([&] { outcome = cluster.node(0).wait(**item); });
  while (cluster.node(0).statistics().items_sent == 0) std::this_thread::yield();
  cluster.node(0).close(false);
  waiter.join();
  EXPECT_EQ(outcome.code, ErrorCode::unknown_outcome);
}

TEST(NodeFailure, debug_output_is_one_line_an_event_with_node_and_round_first) {
  CaptureStderr();
  {
    NodeCluster cluster({.nodes = 2}, [](std::uint32_t id, Node::Options& options) {
      if (id == 1) options.mode_mask = cluster_mode_debug_output;
    });
    EXPECT_EQ(cluster.commit(1, "hello").code, ErrorCode::ok);
    cluster.stop_all();
  }
  const auto said = GetCapturedStderr();
  EXPECT_TRUE(has(said, "exdb[node 1 round 1] post 1 transactions 8 bytes\n")) << said;
  EXPECT_TRUE(has(said, "exdb[node 1 round 1] complete 2 batches\n")) << said;
  EXPECT_TRUE(has(said, "exdb[node 1 round 1] apply 1 items")) << said;
  EXPECT_TRUE(has(said, "] stop\n")) << said;
  EXPECT_TRUE(has(said, "] end")) << said;
  EXPECT_FALSE(has(said, "node 0 round"));
}

}  // namespace
}  // namespace exdb
