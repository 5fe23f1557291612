// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What ViewMember does in cases that are easily said, each played on purpose; the checker of the
// simulation looks on.
#include "cluster/view_member.hpp"

#include <gtest/gtest.h>

#include "simulated_cluster.hpp"

namespace exdb::simulation {
namespace {

using namespace std::chrono_literals;
using Phase = ViewMember::Phase;

class ViewMemberTest : public testing::Test {
 protected:
  void SetUp() override { make({1, 1, 1}); }
  void TearDown() override {
    if (expected_failure.empty()) {
      EXPECT_EQ(cluster->broken(), "");
    }
  }
  void make(std::vector<std::uint32_t> qranks) {
    ClusterOptions options;
    options.qranks = std::move(qranks);
    make(options);
  }
  void make(const ClusterOptions& options) {
    cluster = std::make_unique<SimulatedCluster>(options);
    cluster->set_load(20ms);
    ASSERT_TRUE(soon([&] { return cluster->whole(); })) << cluster->broken();
  }
  bool soon(const std::function<bool()>& when) {
    return cluster->run_until(cluster->clock().now() + 5s, when);
  }
  void pass(Time time) {
    cluster->run_until(cluster->clock().now() + time, [] { return false; });
  }
  ViewMember& member(std::uint32_t id) { return *cluster->node(id).member; }
  std::string members_at(std::uint32_t id) {
    return member(id).seated() ? text_of(member(id).view().members()) : "none";
  }
  void isolate(std::uint32_t id) {
    for (std::uint32_t other = 0; other < cluster->size(); ++other)
      if (other != id) cluster->network().cut(id, other);
  }

  std::unique_ptr<SimulatedCluster> cluster;
  std::string expected_failure;
};

TEST_F(ViewMemberTest, two_of_three_go_on_without_the_third_and_take_it_in_again) {
  isolate(2);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0,1" && members_at(1) == "0,1"; }));
  const auto rounds = cluster->checker().rounds();
  pass(500ms);
  EXPECT_GT(cluster->checker().rounds(), rounds);
  EXPECT_FALSE(member(2).may_write());
  cluster->network().heal_all();
  EXPECT_TRUE(soon([&] { return cluster->whole(); }));
}

TEST_F(ViewMemberTest, exactly_half_stops_and_goes_on_in_the_same_view_when_the_rest_is_back) {
  make({1, 1});
  const auto view = member(0).view().ballot;
  isolate(1);
  pass(300ms);
  const auto rounds = cluster->checker().rounds();
  pass(2s);
  EXPECT_EQ(cluster->checker().rounds(), rounds);
  EXPECT_FALSE(member(0).may_write());
  EXPECT_FALSE(member(1).may_write());
  cluster->network().heal_all();
  ASSERT_TRUE(soon([&] { return cluster->whole(); }));
  EXPECT_EQ(member(0).view().ballot, view) << "nobody could begin a ballot";
}

TEST_F(ViewMemberTest, the_heavier_of_two_goes_on_alone) {
  make({2, 1});
  isolate(1);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0"; }));
  const auto rounds = cluster->checker().rounds();
  pass(500ms);
  EXPECT_GT(cluster->checker().rounds(), rounds);
  EXPECT_FALSE(member(1).may_write());
}

TEST_F(ViewMemberTest, a_break_shorter_than_the_suspicion_ends_no_view) {
  const auto view = member(0).view().ballot;
  cluster->network().cut(0, 1);
  pass(1ms);
  cluster->network().heal(0, 1);
  pass(500ms);
  EXPECT_TRUE(soon([&] { return cluster->whole(); }));
  EXPECT_EQ(member(0).view().ballot, view);
}

TEST_F(ViewMemberTest, a_node_that_lost_its_memory_is_a_learner_until_it_is_installed) {
  pass(300ms);
  cluster->crash(1, false);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0,2"; }));
  pass(300ms);
  cluster->start(1);
  EXPECT_FALSE(member(1).voter());
  ASSERT_TRUE(soon([&] { return cluster->whole(); }));
  EXPECT_TRUE(member(1).voter());
  EXPECT_GT(member(1).applied_round(), Round{});
}

/// T3. Without it each state would be too old to be of use when it is there.
TEST_F(ViewMemberTest, a_state_is_of_use_when_others_have_forgotten_the_rounds_after_it) {
  ClusterOptions options;
  options.history_bytes = 6000;  // some 150 ms of the load below
  options.asked_until_ready = 200;
  options.ahead_bytes_min = options.state_bytes_per_second = 1'000'000;
  make(options);
  cluster->set_load(4ms);
  pass(300ms);
  cluster->crash(1, false);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0,2"; }));
  pass(300ms);
  cluster->start(1);
  ASSERT_TRUE(soon([&] { return members_at(1) == "0,1,2"; }));
  EXPECT_EQ(member(1).counters().states_taken, 1U);
  EXPECT_GT(member(1).counters().rounds_fetched, 100U) << "the test is of no use";
}

/// Its word comes later than a ballot waits for members (25 ms), earlier than it waits for joiners (50).
TEST_F(ViewMemberTest, a_joiner_that_is_slow_to_answer_is_taken_in_all_the_same) {
  isolate(2);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0,1" && members_at(1) == "0,1"; }));
  const auto views = member(0).counters().views;
  constexpr Time late = 16ms;
  cluster->network().heal_all();
  ASSERT_TRUE(soon([&] { return member(0).reaches({2}) && member(1).reaches({2}); }));
  ASSERT_EQ(members_at(0), "0,1") << "it is not admitted yet: it backs off";
  for (const auto other : {0U, 1U}) {
    cluster->network().slow(2, other, late);
    cluster->network().slow(other, 2, late);
  }
  EXPECT_TRUE(soon([&] { return cluster->whole(); }));
  EXPECT_EQ(member(0).counters().views, views + 1) << "and at the first attempt";
}

TEST_F(ViewMemberTest, two_fresh_nodes_do_not_form_a_cluster_beside_one_with_a_state) {
  pass(300ms);
  cluster->crash(1, false);
  cluster->crash(2, false);
  pass(50ms);
  cluster->start(1);
  cluster->start(2);
  pass(3s);
  EXPECT_EQ(members_at(1), "none");
  EXPECT_EQ(members_at(2), "none");
  EXPECT_FALSE(member(0).may_write());
}

TEST_F(ViewMemberTest, who_leaves_is_let_go_and_the_others_go_on) {
  cluster->leave(1);
  ASSERT_TRUE(soon([&] { return member(1).phase() == Phase::left; }));
  EXPECT_EQ(members_at(0), "0,2");
}

TEST_F(ViewMemberTest, a_stop_of_all_ends_it) {
  cluster->set_load(3600s);
  ASSERT_TRUE(soon([&] { return cluster->whole(); }));
  for (std::uint32_t id = 0; id < 2; ++id) member(id).want_stop();
  pass(500ms);
  EXPECT_EQ(member(0).phase(), Phase::running) << "node 2 has not said it";
  member(2).want_stop();
  EXPECT_TRUE(soon([&] {
    return member(0).phase() == Phase::ended && member(1).phase() == Phase::ended &&
           member(2).phase() == Phase::ended;
  }));
}

TEST_F(ViewMemberTest, a_state_that_differs_fails_its_node_and_the_others_go_on_without_it) {
  cluster->node(2).digest_mask = 1;
  soon([&] { return member(2).phase() == Phase::failed; });
  expected_failure = cluster->broken();
  EXPECT_NE(expected_failure.find("node 2 fails: round"), std::string::npos) << expected_failure;
  EXPECT_NE(expected_failure.find("differs from the others'"), std::string::npos);
  cluster->forgive();
  ASSERT_TRUE(soon([&] { return members_at(0) == "0,1" && members_at(1) == "0,1"; }));
  const auto rounds = cluster->checker().rounds();
  pass(500ms);
  EXPECT_GT(cluster->checker().rounds(), rounds);
}

TEST_F(ViewMemberTest, frames_that_are_not_of_this_cluster_are_counted_and_change_nothing) {
  const auto promised = member(0).promised();
  ViewHeader header{78, MemberId{1}, cluster->node(1).life, {99, MemberId{1}}};
  cluster->on_frame(0, 1, encode_view_frame(header, Prepare{}));
  EXPECT_EQ(member(0).counters().foreign, 1U);
  header.cluster_id = 77;
  header.sender = MemberId{2};
  cluster->on_frame(0, 1, encode_view_frame(header, Prepare{}));
  EXPECT_EQ(member(0).counters().foreign, 2U);
  header.sender = MemberId{1};
  header.incarnation = {};
  cluster->on_frame(0, 1, encode_view_frame(header, Prepare{}));
  EXPECT_EQ(member(0).counters().old_lives, 1U);
  auto broken = std::make_shared<std::vector<std::byte>>(*encode_view_frame(header, Prepare{}));
  broken->back() ^= std::byte(1);
  cluster->on_frame(0, 1, broken);
  EXPECT_EQ(member(0).counters().undecodable, 1U);
  EXPECT_EQ(member(0).promised(), promised);
}

TEST_F(ViewMemberTest, a_second_process_with_the_number_of_a_node_is_told) {
  const ViewHeader header{77, MemberId{1}, cluster->node(1).life, {1, MemberId{1}}};
  cluster->on_frame(0, 1, encode_view_frame(header, Evicted{{cluster->node(0).life.value + 9}}));
  expected_failure = cluster->broken();
  EXPECT_EQ(member(0).phase(), Phase::failed);
  EXPECT_NE(expected_failure.find("another process has its number"), std::string::npos);
}

// --- going on without a majority ---

class OverrideTest : public ViewMemberTest {
 protected:
  void consent(std::vector<std::uint32_t> qranks, std::uint64_t nodes) {
    ClusterOptions options;
    options.qranks = std::move(qranks);
    options.consenting = nodes;
    make(options);
    pass(200ms);
  }
  /// All are one view again, with one state.
  void expect_one_history() {
    cluster->network().heal_all();
    ASSERT_TRUE(soon([&] { return cluster->whole(); }));
    cluster->set_load(3600s);
    EXPECT_TRUE(soon([&] { return cluster->same_state(); }));
  }
};

TEST_F(OverrideTest, one_of_two_goes_on_and_the_other_takes_what_it_did) {
  consent({1, 1}, 0b01);
  isolate(1);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0"; }));
  const auto rounds = cluster->checker().rounds();
  pass(500ms);
  EXPECT_GT(cluster->checker().rounds(), rounds);
  EXPECT_TRUE(member(0).may_write());
  EXPECT_FALSE(member(1).may_write());
  expect_one_history();
  EXPECT_EQ(cluster->checker().drops(), 0u) << "an ancestor has nothing to give up";
  cluster->checker().check_kept(cluster->node(1).state, true);
}

TEST_F(OverrideTest, of_two_that_both_went_on_one_gives_its_history_up) {
  consent({1, 1}, 0b11);
  isolate(1);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0" && members_at(1) == "1"; }));
  pass(300ms);
  expect_one_history();
  EXPECT_EQ(cluster->checker().drops(), 1u);
}

TEST_F(OverrideTest, the_last_of_three_goes_on_and_new_lives_join_it) {
  consent({1, 1, 1}, 0b001);
  cluster->checker().beyond_budget();
  cluster->crash(1, false);
  cluster->crash(2, false);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0"; }));
  pass(200ms);
  const auto rounds = member(0).applied_round();
  cluster->start(1);
  cluster->start(2);
  expect_one_history();
  EXPECT_GT(member(1).applied_round(), rounds);
  EXPECT_FALSE(member(1).lineage().unconfirmed()) << "nobody is left who could know of more";
  EXPECT_FALSE(cluster->checker().formed_anew());
}

TEST_F(OverrideTest, a_minority_that_went_on_gives_way_to_the_majority) {
  consent({1, 1, 1}, 0b001);
  isolate(0);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0" && members_at(1) == "1,2"; }));
  pass(300ms);
  expect_one_history();
  EXPECT_EQ(cluster->checker().drops(), 1u);
  cluster->checker().check_kept(cluster->node(0).state, false);
}

/// L4. Node 0 overrides after a round that it alone has; the others go on before it, and make another
/// one in its place. The state that node 0 then takes is of before both: its own round after that would
/// pass for the one that a majority has given out.
TEST_F(OverrideTest, who_gives_way_keeps_no_round_that_a_newer_view_has_cut_off) {
  consent({1, 1, 1}, 0b001);
  cluster->set_load(3600s);
  ASSERT_TRUE(soon([&] { return cluster->whole() && cluster->same_state(); }));
  const auto before = member(0).newest().round;
  for (const auto other : {1U, 2U}) cluster->network().slow(0, other, 50ms);
  cluster->submit(1);
  ASSERT_TRUE(soon([&] { return member(0).newest().round == before.next(); }));
  cluster->network().cut_all_but_to(0);
  ASSERT_EQ(member(1).newest().round, before);
  cluster->network().heal(1, 2);
  ASSERT_TRUE(soon([&] { return member(1).reaches({2}) && member(2).reaches({1}); }));
  cluster->network().slow(1, 2, 10ms);
  ASSERT_TRUE(soon([&] { return member(1).final_round() > before; }));
  cluster->network().cut_all_but_to(1);
  ASSERT_EQ(member(2).newest().round, before.next());
  ASSERT_EQ(member(2).final_round(), before) << "it has not heard that node 1 holds it";
  ASSERT_TRUE(soon([&] { return members_at(0) == "0"; }));
  for (int cut = 0; cut < 2; ++cut) cluster->network().heal(0, 2);
  ASSERT_TRUE(soon([&] { return cluster->checker().drops() == 1; }));
  EXPECT_EQ(member(0).newest().round, before);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0,2" && members_at(2) == "0,2"; }));
  EXPECT_GT(member(0).final_round(), before) << "and has what the majority gave out";
  expect_one_history();
}

TEST_F(OverrideTest, who_does_not_consent_reads_and_takes_no_part) {
  consent({1, 1, 1, 1, 1}, 0b00001);
  for (std::uint32_t one = 0; one < 2; ++one)
    for (std::uint32_t other = 2; other < 5; ++other) cluster->network().cut(one, other);
  for (std::uint32_t id = 2; id < 5; ++id) isolate(id);
  ASSERT_TRUE(soon([&] { return members_at(0) == "0"; }));
  const auto rounds = member(0).applied_round();
  ASSERT_TRUE(soon([&] { return member(1).applied_round() > rounds; }));
  EXPECT_FALSE(member(1).seated());
  expect_one_history();
}

// --- a member by itself, and what is said to it ---

class MemberAloneTest : public testing::Test {
 protected:
  MemberAloneTest() : history(1000), member(options(), history, node, node, 0ms) {
    for (const auto other : {0U, 1U}) member.on_link_up(MemberId{other}, 0ms);
    for (std::uint32_t i = 0; i < 2; ++i) {
      auto& round = rounds[i];
      round.round = Round{i + 1};
      round.view = {1, MemberId{0}, 1};
      round.batches.push_back({{}, {}, {}, batch_checksum(round.view, round.round, {}, {}, {})});
      chains[i + 1] = {round.round, chained(chains[i].hash, round)};
    }
  }
  static ViewMember::Options options() {
    ViewMember::Options made;
    made.self = MemberId{2};
    made.incarnation = {1};
    made.qranks = {1, 1, 1};
    made.lag_max = 1;
    return made;
  }
  void say(std::uint32_t from, Ballot ballot, const ViewMessage& message) {
    const ViewHeader header{0, MemberId{from}, {1}, ballot};
    member.on_frame(MemberId{from}, *encode_view_frame(header, message), 1ms);
  }
  static Lineage lineage(Ballot id, Ballot majority, Round since) {
    Lineage made;
    made.id = id;
    made.majority = majority;
    made.since = since;
    return made;
  }
  /// Node 1 has the first round to be final, and gives it when it is asked.
  void follow_node_1(Ballot promised, const Lineage& line) {
    say(1, {}, Join{true, false, false, promised, chains[1], Round{1}, {}, {}, line});
    member.tick(2ms);
  }

  SimulatedNode node;
  MemoryRoundHistory history;
  ViewMember member;
  std::vector<CompletedRound> rounds{2};
  std::vector<RoundHistory::Chain> chains{3};
  const Ballot older{5, MemberId{0}, 1}, newer{6, MemberId{1}, 1}, overridden{3, MemberId{0}, 1};
  const std::vector<Seat> seats{{{0}, {1}, true}, {{1}, {1}, true}, {{2}, {1}, false}};
};

/// L4, among those of one lineage: node 2 has accepted a view after round 2 that nobody else has, and
/// hears of a newer one after round 1.
TEST_F(MemberAloneTest, who_takes_final_rounds_of_a_newer_view_keeps_none_that_it_has_cut_off) {
  const auto mine = lineage(overridden, older, Round{2});
  say(0, older, NewView{seats, chains[2], {}, mine});
  say(0, older, Rounds{{}, chains[2], {}, mine, rounds});
  ASSERT_EQ(member.accepted(), older);
  const auto theirs = lineage(overridden, newer, Round{1});
  follow_node_1(newer, theirs);
  say(1, {}, Rounds{{}, chains[1], chains[1], theirs, {rounds[0]}});
  ASSERT_EQ(member.final_round(), Round{1});
  EXPECT_EQ(member.lineage().majority, newer);
  EXPECT_EQ(member.newest(), chains[1]);
}

/// W4. It has promised when it had nothing.
TEST_F(MemberAloneTest, a_learner_keeps_out_of_a_view_without_the_rounds_that_came_meanwhile) {
  follow_node_1({1, MemberId{1}, 1}, {});
  say(0, older, Prepare{});
  say(1, {}, Rounds{{}, chains[1], chains[1], {}, {rounds[0]}});
  ASSERT_EQ(member.final_round(), Round{1});
  say(0, older, NewView{seats, {}, {}, lineage({}, older, {})});
  EXPECT_EQ(member.phase(), Phase::running);
  EXPECT_EQ(member.accepted(), Ballot());
  EXPECT_EQ(member.newest(), chains[1]);
}

/// Who has all rounds and has applied none would hold up the others until it has.
class JoinerTest : public MemberAloneTest {
 protected:
  /// Ballots that node 2, in a view with node 0 after both rounds, has begun for node 1 by then.
  std::uint64_t begun(Round applied_by_1, ViewTime now) {
    MemberSet all;
    for (std::uint32_t id = 0; id < 3; ++id) all.add(MemberId{id});
    const auto line = lineage({}, older, Round{2});
    if (!member.seated()) {
      say(0, older, NewView{{seats[0], {{2}, {1}, true}}, chains[2], {}, line});
      say(0, older, Rounds{{}, chains[2], {}, line, rounds});
      say(0, older, Install{});
      EXPECT_TRUE(member.seated());
      Ack ack;
      ack.reach = all;
      ack.lineage = line;
      say(0, older, ack);
      say(1, {}, Join{false, false, false, {}, chains[2], Round{2}, applied_by_1, all, line});
    }
    for (auto at = 2ms; at <= now; at += 10ms) member.tick(at);
    return member.counters().ballots;
  }
};

TEST_F(JoinerTest, is_proposed_when_it_has_applied_the_rounds_not_when_it_has_them) {
  EXPECT_EQ(begun(Round{0}, 490ms), 0U);
}

TEST_F(JoinerTest, is_proposed_in_its_turn_when_it_has_applied_them) {
  EXPECT_EQ(begun(Round{1}, 490ms), 1U);
}

TEST_F(JoinerTest, that_applies_more_slowly_than_rounds_are_made_is_proposed_in_the_end) {
  EXPECT_EQ(begun(Round{0}, 1000ms), 1U);
}

}  // namespace
}  // namespace exdb::simulation
