// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Members on disk in cases that are easily said, each played on purpose.
#include <gtest/gtest.h>

#include "simulated_cluster.hpp"

namespace exdb::simulation {
namespace {

using namespace std::chrono_literals;
using Phase = ViewMember::Phase;

class ViewDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    ClusterOptions options;
    options.disks = true;
    options.history_bytes = 1'000'000;
    cluster = std::make_unique<SimulatedCluster>(options);
    cluster->set_load(20ms);
    ASSERT_TRUE(soon([&] { return cluster->whole(); })) << cluster->broken();
    pass(300ms);
  }
  bool soon(const std::function<bool()>& when) {
    return cluster->run_until(cluster->clock().now() + 5s, when);
  }
  void pass(Time time) {
    cluster->run_until(cluster->clock().now() + time, [] { return false; });
  }
  ViewMember& member(std::uint32_t id) { return *cluster->node(id).member; }
  void crash_all() {
    for (std::uint32_t id = 0; id < cluster->size(); ++id) cluster->crash(id, false);
  }
  /// What anybody was told is in the state that all have.
  void expect_all_kept() {
    ASSERT_TRUE(soon([&] { return cluster->whole(); })) << cluster->broken();
    cluster->set_load(3600s);
    ASSERT_TRUE(soon([&] { return cluster->same_state(); }));
    cluster->checker().check_kept(cluster->node(0).state, false);
    EXPECT_EQ(cluster->broken(), "");
  }
  std::unique_ptr<SimulatedCluster> cluster;
};

TEST_F(ViewDiskTest, after_a_crash_of_all_they_go_on_with_all_that_was_given_out) {
  const auto rounds = cluster->checker().rounds();
  ASSERT_GT(rounds, 0U);
  crash_all();
  for (std::uint32_t id = 0; id < 3; ++id) cluster->start(id);
  for (std::uint32_t id = 0; id < 3; ++id) EXPECT_TRUE(member(id).voter());
  expect_all_kept();
  EXPECT_GE(cluster->checker().rounds(), rounds);
}

TEST_F(ViewDiskTest, two_of_three_go_on_while_the_third_is_away) {
  crash_all();
  cluster->start(0);
  cluster->start(2);
  ASSERT_TRUE(soon([&] { return member(0).may_write() && member(2).may_write(); }));
  pass(200ms);
  cluster->start(1);
  expect_all_kept();
}

TEST_F(ViewDiskTest, one_that_comes_back_alone_is_given_the_rounds_that_it_lacks) {
  cluster->crash(2, false);
  pass(400ms);
  cluster->start(2);
  const auto has = member(2).applied_round();
  EXPECT_GT(has, Round{});
  EXPECT_TRUE(member(2).voter());
  expect_all_kept();
  EXPECT_EQ(member(2).counters().states_taken, 0U);
  EXPECT_GT(member(2).counters().rounds_fetched, 0U);
}

TEST_F(ViewDiskTest, one_alone_makes_no_view) {
  crash_all();
  cluster->start(1);
  pass(2s);
  EXPECT_FALSE(member(1).seated());
  cluster->start(0);
  cluster->start(2);
  expect_all_kept();
}

TEST_F(ViewDiskTest, who_has_lost_its_disk_is_a_learner) {
  cluster->crash(1, false);
  cluster->lose_disk(1);
  cluster->start(1);
  EXPECT_FALSE(member(1).voter());
  expect_all_kept();
  EXPECT_TRUE(member(1).voter());
}

TEST_F(ViewDiskTest, nodes_without_a_state_form_no_cluster_beside_one_that_has_one) {
  crash_all();
  for (const auto id : {0U, 1U}) cluster->lose_disk(id);
  for (std::uint32_t id = 0; id < 3; ++id) cluster->start(id);
  pass(2s);
  for (std::uint32_t id = 0; id < 3; ++id) EXPECT_FALSE(member(id).seated());
}

/// W14. Whether that has made any round or not.
class ForkTest : public ViewDiskTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(WithRounds, ForkTest, testing::Bool());

TEST_P(ForkTest, who_comes_back_to_a_cluster_that_formed_anew_is_told_and_so_are_they) {
  if (!GetParam()) cluster->set_load(3600s);
  pass(50ms);
  crash_all();
  for (const auto id : {0U, 1U}) cluster->lose_disk(id);
  // The checker knows what the old cluster has given out, and says so too.
  std::string told;
  const auto run = [&](const std::function<bool()>& when) {
    const auto until = cluster->clock().now() + 2s;
    while (cluster->clock().now() < until && !cluster->run_until(until, when)) {
      told += cluster->broken() + "\n";
      cluster->forgive();
    }
  };
  cluster->start(0);
  cluster->start(1);
  run([&] { return member(0).seated() && member(1).seated(); });
  ASSERT_TRUE(member(0).seated() && member(1).seated());
  cluster->start(2);
  run([] { return false; });
  EXPECT_EQ(member(2).phase(), Phase::failed);
  EXPECT_NE(told.find("node 2 fails: node "), std::string::npos);
  EXPECT_NE(told.find("node 0: W14: node 2 has a state of a history of its own"),
            std::string::npos);
  EXPECT_NE(told.find("node 1: W14: node 2 has a state of a history of its own"),
            std::string::npos);
  EXPECT_TRUE(member(0).may_write() && member(1).may_write()) << "who is a member goes on";
}

}  // namespace
}  // namespace exdb::simulation
