// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The Node over MPI, with a replica that only keeps a list: commits of all ranks, stop, leave.
#include <map>

#include "mpi_fixture.hpp"
#include "node_cluster.hpp"

namespace exdb::mpi_testing {
namespace {

class MpiNode : public ::testing::TestWithParam<mpi::Exchange> {
 protected:
  void SetUp() override {
    mpi::Options options;
    options.exchange = GetParam();
    options.deadline = options.close_deadline = {};  // what hangs shall be seen
    Node::Options node_options;
    node_options.nodes.resize(static_cast<std::size_t>(world_size()));
    node_options.cluster_id = 42;
    node_options.name = "first";
    node = std::make_unique<Node>(open(options), consumer, node_options);
  }

  ItemOutcome commit(const std::string& text) {
    const auto bytes = as_bytes(std::string_view(text));
    auto item =
        node->submit(RoundItem::Kind::transaction, ++sequence, {bytes.begin(), bytes.end()}, 0);
    if (!item) return {item.status().code(), {}, item.status().text()};
    return node->wait(**item);
  }

  /// All ranks of `communicator` have the same list of this length.
  void expect_equal_lists(std::size_t length, MPI_Comm communicator = MPI_COMM_WORLD) {
    EXPECT_EQ(consumer.list().size(), length);
    std::uint64_t mine = consumer.digest(), lowest = 0, highest = 0;
    MPI_Allreduce(&mine, &lowest, 1, MPI_UINT64_T, MPI_MIN, communicator);
    MPI_Allreduce(&mine, &highest, 1, MPI_UINT64_T, MPI_MAX, communicator);
    EXPECT_EQ(lowest, highest);
  }

  ListConsumer consumer;
  std::unique_ptr<Node> node;
  std::uint64_t sequence = 0;
};

INSTANTIATE_TEST_SUITE_P(, MpiNode,
                         ::testing::Values(mpi::Exchange::p2p, mpi::Exchange::collective),
                         [](const auto& one) {
                           return one.param == mpi::Exchange::p2p ? "p2p" : "collective";
                         });

TEST_P(MpiNode, commits_of_all_ranks_come_in_one_order) {
  node->start(true);
  for (int number = 0; number < 50; ++number) {
    const auto outcome = commit(std::to_string(world_rank()) + ":" + std::to_string(number));
    ASSERT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
  }
  const Status stopped = node->stop();
  ASSERT_TRUE(stopped.ok()) << stopped.text();
  node->close(true);
  expect_equal_lists(50U * static_cast<std::size_t>(world_size()));
}

TEST_P(MpiNode, one_rank_commits_while_the_others_sleep) {
  node->start(true);
  if (world_rank() == 0) {
    for (int number = 0; number < 20; ++number) {
      std::this_thread::sleep_for(std::chrono::milliseconds(number % 4 * 5));
      const auto outcome = commit(std::to_string(number));
      ASSERT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
    }
  }
  ASSERT_TRUE(node->stop().ok());
  node->close(true);
  expect_equal_lists(20);
}

TEST_P(MpiNode, transactions_of_megabytes_are_exchanged) {
  node->start(true);
  const auto outcome = commit(std::string(3'000'000, static_cast<char>('a' + world_rank())));
  ASSERT_EQ(outcome.code, ErrorCode::ok) << outcome.text;
  ASSERT_TRUE(node->stop().ok());
  node->close(true);
  expect_equal_lists(static_cast<std::size_t>(world_size()));
}

TEST_P(MpiNode, many_threads_of_a_rank_commit) {
  node->start(true);
  std::atomic<std::uint64_t> next{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      for (int number = 0; number < 20; ++number) {
        const std::uint64_t mine = ++next;
        auto item = node->submit(RoundItem::Kind::transaction, mine, std::vector<std::byte>(40), 0);
        EXPECT_TRUE(item.ok()) << item.status().text();
        if (item.ok()) {
          EXPECT_EQ(node->wait(**item).code, ErrorCode::ok);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(node->stop().ok());
  node->close(true);
  expect_equal_lists(60U * static_cast<std::size_t>(world_size()));
}

TEST_P(MpiNode, the_others_go_on_after_one_has_left) {
  node->start(true);
  ASSERT_EQ(commit("first of " + std::to_string(world_rank())).code, ErrorCode::ok);
  const bool leaver = world_rank() == world_size() - 1;
  MPI_Comm stayers = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, leaver ? 1 : 0, world_rank(), &stayers);
  if (leaver) {
    node->leave(std::chrono::seconds(30));
    node->close(true);
  } else {
    for (int number = 0; number < 10; ++number) {
      const auto outcome = commit(std::to_string(world_rank()) + ":" + std::to_string(number));
      // Exactly half of the configured qrank is no quorum: with two nodes the one that stays stops
      // writing.
      ASSERT_TRUE(outcome.code == ErrorCode::ok || outcome.code == ErrorCode::cluster_no_quorum)
          << outcome.text;
    }
    ASSERT_TRUE(node->stop().ok());
    node->close(true);
    expect_equal_lists(consumer.list().size(), stayers);
    EXPECT_GE(consumer.list().size(), static_cast<std::size_t>(world_size()));
  }
  MPI_Comm_free(&stayers);
}

/// Where broadcasts are collective too: the leave travels as its next one, and has to be polled.
TEST_P(MpiNode, the_others_go_on_after_one_could_not_apply) {
  const bool unfit = world_rank() == world_size() - 1;
  if (unfit) consumer.throw_at = 2;
  node->start(true);
  MPI_Comm stayers = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, unfit ? 1 : 0, world_rank(), &stayers);
  if (unfit) {
    EXPECT_EQ(node->listen().code(), ErrorCode::no_memory);
    node->close(false);
  } else {
    for (int number = 0; number < 10; ++number) {
      const auto outcome = commit(std::to_string(world_rank()) + ":" + std::to_string(number));
      ASSERT_TRUE(outcome.code == ErrorCode::ok || outcome.code == ErrorCode::cluster_no_quorum)
          << outcome.text;
    }
    const Status stopped = node->stop();
    ASSERT_TRUE(stopped.ok()) << stopped.text();
    node->close(true);
    expect_equal_lists(consumer.list().size(), stayers);
  }
  MPI_Comm_free(&stayers);
}

/// All have ended, as the last round had the stops of all, and one of them closes alone all the same:
/// its stop had failed before, as it does when databases are closed in opposite order.
TEST_P(MpiNode, one_that_closes_alone_after_the_common_end_is_not_waited_for) {
  ASSERT_EQ(commit("x").code, ErrorCode::ok);
  ASSERT_TRUE(node->stop().ok());
  node->close(world_rank() != world_size() - 1);
  expect_equal_lists(static_cast<std::size_t>(world_size()));
}

TEST_P(MpiNode, two_clusters_stopped_in_opposite_order_end_and_say_so) {
  mpi::Options options;
  options.exchange = GetParam();
  options.deadline = options.close_deadline = {};
  Node::Options second_options;
  second_options.name = "second";
  second_options.nodes.resize(static_cast<std::size_t>(world_size()));
  second_options.cluster_id = 43;
  ListConsumer second_consumer;
  Node second(open(options), second_consumer, second_options);
  node->start(true);
  second.start(true);
  ASSERT_EQ(commit("x").code, ErrorCode::ok);
  second.used();
  auto& earlier = world_rank() == 0 ? *node : second;
  auto& later = world_rank() == 0 ? second : *node;
  const Status refused = earlier.stop();
  if (!refused.ok()) {
    EXPECT_EQ(refused.code(), ErrorCode::cluster) << refused.text();
    EXPECT_NE(refused.text().find("'first'"), std::string::npos) << refused.text();
    EXPECT_NE(refused.text().find("'second'"), std::string::npos) << refused.text();
  }
  const Status stopped = later.stop();
  EXPECT_TRUE(stopped.ok()) << stopped.text();
  // In one order on all ranks: a collective close waits for the others.
  node->close(&earlier == node.get() ? refused.ok() : stopped.ok());
  second.close(&earlier == &second ? refused.ok() : stopped.ok());
  // The knot is untied by those who give up. Where others of the same order have, a third one's stop
  // may be complete before it is accused.
  int accused = refused.ok() ? 0 : 1;
  MPI_Allreduce(MPI_IN_PLACE, &accused, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  EXPECT_GE(accused, 2);
}

/// The ranks in a circle, each with a database in common with each of its two neighbours, and each
/// ends that one first which its next neighbour ends last.
TEST_P(MpiNode, clusters_of_neighbours_stopped_in_a_circle_end_and_say_so) {
  if (world_size() != 3)
    GTEST_SKIP() << "two in a circle are an opposite order, and more than three take longer";
  node->start(true);
  ASSERT_TRUE(node->stop().ok());
  node->close(true);
  const int ranks = world_size();
  std::map<int, ListConsumer> consumers;
  std::map<int, std::unique_ptr<Node>> nodes;
  // In one order everywhere: opening waits for the neighbour.
  for (int number = 0; number < ranks; ++number) {
    const int members[] = {number, (number + ranks - 1) % ranks};
    if (world_rank() != members[0] && world_rank() != members[1]) continue;
    MPI_Group world = MPI_GROUP_NULL, pair = MPI_GROUP_NULL;
    MPI_Comm communicator = MPI_COMM_NULL;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, 2, members, &pair);
    MPI_Comm_create_group(MPI_COMM_WORLD, pair, number, &communicator);
    mpi::Options options;
    options.exchange = GetParam();
    Node::Options node_options;
    node_options.name = "database " + std::to_string(number);
    node_options.nodes.resize(2);
    node_options.cluster_id = 100 + static_cast<std::uint64_t>(number);
    nodes[number] =
        std::make_unique<Node>(open(options, communicator), consumers[number], node_options);
    nodes[number]->start(true);
    MPI_Group_free(&pair);
    MPI_Group_free(&world);
    MPI_Comm_free(&communicator);
  }
  auto& earlier = *nodes[world_rank()];
  auto& later = *nodes[(world_rank() + 1) % ranks];
  earlier.used();
  later.used();
  const Status refused = earlier.stop();
  if (!refused.ok()) {
    EXPECT_EQ(refused.code(), ErrorCode::cluster) << refused.text();
    for (const int number : {world_rank(), (world_rank() + 1) % ranks})
      EXPECT_NE(refused.text().find("'database " + std::to_string(number) + "'"), std::string::npos)
          << refused.text();
  }
  const Status stopped = later.stop();
  EXPECT_TRUE(stopped.ok()) << stopped.text();
  earlier.close(refused.ok());
  later.close(stopped.ok());
  int accused = refused.ok() ? 0 : 1;
  MPI_Allreduce(MPI_IN_PLACE, &accused, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  // Where broadcasts are collective a stop may overtake the word that would accuse its neighbour.
  EXPECT_GE(accused, GetParam() == mpi::Exchange::p2p ? ranks : 1);
}

}  // namespace
}  // namespace exdb::mpi_testing
