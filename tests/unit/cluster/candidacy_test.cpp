// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/candidacy.hpp"

#include <gtest/gtest.h>

#include <random>

namespace exdb {
namespace {

MemberSet set_of(std::initializer_list<std::uint32_t> ids) {
  MemberSet set;
  for (const auto id : ids) set.add(MemberId{id});
  return set;
}

const Ballot ballot{10, MemberId{0}};

/// A promise of a voter, of node `id`, that holds rounds up to `last` in view `accepted`.
Promise voter(std::uint64_t accepted, std::uint64_t last) {
  Promise promise;
  promise.voter = true;
  promise.promised = ballot;
  promise.accepted = promise.installed = promise.lineage.majority = {accepted, MemberId{0}};
  promise.last = promise.final = {Round{last}, last * 1000 + accepted};
  promise.reach = set_of({0, 1, 2, 3, 4});
  return promise;
}

Promise fresh() {
  Promise promise;
  promise.promised = ballot;
  promise.reach = set_of({0, 1, 2, 3, 4});
  return promise;
}

class CandidacyTest : public testing::Test {
 protected:
  Candidacy& with(std::vector<std::uint32_t> qranks) {
    weights.emplace(std::move(qranks));
    candidacy.emplace(ballot, *weights, ViewMutation::none);
    return *candidacy;
  }
  void add(std::uint32_t id, Promise promise, std::uint64_t life = 1) {
    candidacy->add(MemberId{id}, Incarnation{life}, std::move(promise));
  }
  std::string members_of(Result<Candidacy::Choice> choice) {
    if (!choice) return "none: " + choice.status().text();
    MemberSet set;
    for (const auto& seat : choice->view.seats) set.add(seat.member);
    return text_of(set);
  }
  std::optional<Weights> weights;
  std::optional<Candidacy> candidacy;
};

TEST_F(CandidacyTest, exactly_half_of_the_qrank_is_no_quorum) {
  with({1, 1, 1, 1});
  add(0, voter(3, 5));
  add(1, voter(3, 5));
  EXPECT_FALSE(candidacy->has_promises());
  add(2, voter(3, 5));
  EXPECT_TRUE(candidacy->has_promises());
  with({2, 1, 1});
  add(0, voter(3, 5));
  EXPECT_FALSE(candidacy->has_promises());
  add(2, voter(3, 5));
  EXPECT_TRUE(candidacy->has_promises());
}

TEST_F(CandidacyTest, nodes_without_memory_do_not_count_beside_one_with_a_state) {
  with({1, 1, 1});
  add(0, voter(3, 5));
  add(1, fresh());
  add(2, fresh());
  EXPECT_FALSE(candidacy->has_promises());
}

TEST_F(CandidacyTest, fresh_nodes_form_a_cluster_when_they_are_a_majority) {
  with({1, 1, 1});
  add(0, fresh());
  EXPECT_FALSE(candidacy->has_promises());
  add(2, fresh());
  ASSERT_TRUE(candidacy->has_promises());
  auto choice = candidacy->choose({{}, {}, 10});
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(choice->view.after, RoundHistory::Chain{});
  EXPECT_EQ(members_of(choice), "0,2");
}

TEST_F(CandidacyTest, who_was_catching_up_is_not_fresh) {
  with({1, 1, 1});
  auto behind = fresh();
  behind.final = behind.last = {Round{4}, 44};
  add(0, fresh());
  add(1, behind);
  EXPECT_FALSE(candidacy->has_promises());
}

TEST_F(CandidacyTest, who_accepted_an_installed_view_and_was_not_told_counts) {
  with({1, 1, 1});
  auto untold = fresh();
  untold.accepted = {3, MemberId{0}};
  untold.unconfirmed = {{2, MemberId{0}}, {3, MemberId{0}}};
  add(0, voter(3, 0));
  add(1, untold);
  EXPECT_TRUE(candidacy->has_promises());
  with({1, 1, 1});
  untold.unconfirmed = {{4, MemberId{1}}};
  add(0, voter(3, 0));
  add(1, untold);
  EXPECT_FALSE(candidacy->has_promises()) << "nobody knows view 4 to be installed";
}

TEST_F(CandidacyTest, the_donor_is_who_accepted_last_and_not_who_has_most_rounds) {
  with({1, 1, 1});
  add(0, voter(3, 9));
  add(1, voter(4, 7));
  add(2, voter(3, 8));
  auto choice = candidacy->choose({{}, {}, 10});
  ASSERT_TRUE(choice.ok());
  EXPECT_EQ(choice->donor, MemberId{1});
  EXPECT_EQ(choice->view.after, (RoundHistory::Chain{Round{7}, 7004}));
  EXPECT_EQ(choice->view.source, (Ballot{4, MemberId{0}}));
}

TEST_F(CandidacyTest, members_reach_each_other_and_ties_go_to_the_lowest) {
  with({1, 1, 1});
  auto cut_from_2 = voter(3, 5), cut_from_1 = voter(3, 5);
  cut_from_2.reach = set_of({0, 1});
  cut_from_1.reach = set_of({0, 2});
  add(0, voter(3, 5));
  add(1, cut_from_2);
  add(2, cut_from_1);
  EXPECT_EQ(members_of(candidacy->choose({{}, {}, 10})), "0,1");
  with({1, 1, 3});
  add(0, voter(3, 5));
  add(1, cut_from_2);
  add(2, cut_from_1);
  EXPECT_EQ(members_of(candidacy->choose({{}, {}, 10})), "0,2") << "the heavier";
}

TEST_F(CandidacyTest, leavers_the_late_and_the_kept_out_stay_out) {
  with({1, 1, 1, 1, 1});
  auto leaver = voter(3, 50), late = voter(3, 50);
  leaver.leaves = true;
  late.final = {Round{39}, 0};
  for (const auto id : {0U, 1U, 2U}) add(id, voter(3, 50));
  add(3, leaver);
  add(4, late);
  EXPECT_EQ(members_of(candidacy->choose({{}, {}, 11})), "0,1,2,4");
  EXPECT_EQ(members_of(candidacy->choose({{}, {}, 10})), "0,1,2");
  EXPECT_EQ(members_of(candidacy->choose({set_of({2}), {}, 11})), "0,1,4");
  EXPECT_EQ(members_of(candidacy->choose({set_of({2}), {}, 10})).substr(0, 4), "none");
}

TEST_F(CandidacyTest,
       a_view_is_installed_when_voters_have_accepted_it_in_the_life_they_promised_in) {
  with({1, 1, 1});
  add(0, voter(3, 5));
  add(1, voter(3, 5), 7);
  add(2, fresh());
  candidacy->propose(*candidacy->choose({{}, {}, 10}));
  candidacy->accepted(MemberId{0}, Incarnation{1});
  candidacy->accepted(MemberId{2}, Incarnation{1});
  EXPECT_FALSE(candidacy->has_acceptances()) << "a learner does not count";
  candidacy->accepted(MemberId{1}, Incarnation{8});
  EXPECT_FALSE(candidacy->has_acceptances()) << "another life";
  candidacy->accepted(MemberId{1}, Incarnation{7});
  EXPECT_TRUE(candidacy->has_acceptances());
}

/// Against all subsets.
TEST(Clique, is_the_best_of_all_subsets) {
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 3000; ++trial) {
    const auto n = std::uint32_t(2 + random() % 7);
    std::vector<std::uint32_t> qranks;
    for (std::uint32_t id = 0; id < n; ++id) qranks.push_back(std::uint32_t(random() % 3));
    const Weights weights(qranks);
    CliqueChoice choice;
    choice.reach.resize(n);
    for (std::uint32_t id = 0; id < n; ++id) {
      if (random() % 8) choice.candidates.add(MemberId{id});
      if (random() % 4) choice.counted.add(MemberId{id});
      for (std::uint32_t other = 0; other < n; ++other)
        if (random() % 5) choice.reach[id].add(MemberId{other});
    }
    std::vector<MemberId> best;
    std::tuple<std::uint64_t, std::size_t> rank{};
    for (std::uint32_t subset = 1; subset < 1U << n; ++subset) {
      MemberSet set, counted;
      bool fits = true;
      for (std::uint32_t id = 0; id < n; ++id) {
        if (!(subset >> id & 1)) continue;
        set.add(MemberId{id});
        if (choice.counted.has(MemberId{id})) counted.add(MemberId{id});
        fits &= choice.candidates.has(MemberId{id});
        for (std::uint32_t other = 0; other < n; ++other)
          if (other != id && subset >> other & 1) fits &= choice.reach[id].has(MemberId{other});
      }
      if (!fits || !weights.majority(counted)) continue;
      const std::tuple here{weights.of(set), set.list().size()};
      if (best.empty() || here > rank || (here == rank && set.list() < best)) {
        best = set.list();
        rank = here;
      }
    }
    EXPECT_EQ(best_clique(choice, weights).list(), best) << "trial " << trial;
  }
}

/// As voter(), on top of an override that it was a member of; or, as a learner, followed.
Promise of_override(Promise promise, std::uint64_t base) {
  promise.lineage.id = promise.lineage.root = promise.lineage.held = {8, MemberId{0}};
  promise.lineage.base = promise.lineage.since = Round{base};
  promise.lineage.weight = 1;
  promise.accepted = {8, MemberId{0}};
  return promise;
}

Promise consenting(Promise promise) {
  promise.consents = true;
  return promise;
}

TEST_F(CandidacyTest, a_minority_goes_on_of_those_that_consent_alone) {
  with({1, 1, 1, 1, 1});
  add(0, consenting(voter(3, 5)));
  add(1, voter(3, 6));
  ASSERT_TRUE(candidacy->has_promises());
  auto choice = candidacy->choose({{}, {}, 10});
  EXPECT_EQ(members_of(choice), "0");
  EXPECT_EQ(choice->donor, MemberId{1}) << "what who does not take part has is not left behind";
  EXPECT_EQ(choice->view.lineage.root, ballot);
  EXPECT_EQ(choice->view.lineage.base, Round{6});
  EXPECT_FALSE(choice->view.lineage.complete) << "three others could have given out more";
}

TEST_F(CandidacyTest, without_consent_there_is_no_view_of_a_minority) {
  with({1, 1, 1});
  add(0, voter(3, 5));
  EXPECT_FALSE(candidacy->has_promises());
}

TEST_F(CandidacyTest, half_of_the_qrank_goes_on_from_all_that_was_given_out) {
  with({1, 1});
  add(0, consenting(voter(3, 5)));
  EXPECT_TRUE(candidacy->choose({{}, {}, 10})->view.lineage.complete);
}

TEST_F(CandidacyTest, an_override_is_confirmed_when_nobody_else_can_be_a_majority) {
  with({1, 1, 1});
  add(0, of_override(voter(3, 5), 5));
  add(1, fresh());
  auto unsure = candidacy->choose({{}, {}, 10});
  EXPECT_EQ(members_of(unsure), "0,1") << "the weight of a majority is enough to write";
  EXPECT_TRUE(unsure->view.lineage.unconfirmed())
      << "what node 1 has forgotten, node 2 may have of a view of both";
  add(2, fresh());
  auto all = candidacy->choose({{}, {}, 10});
  EXPECT_FALSE(all->view.lineage.unconfirmed());
  EXPECT_EQ(all->view.lineage.majority, ballot);
  EXPECT_EQ(all->view.lineage.id, (Ballot{8, MemberId{0}})) << "the lineage keeps its name";
  EXPECT_TRUE(all->all_accept);
}

TEST_F(CandidacyTest, who_remembers_stands_for_what_a_majority_did) {
  with({1, 1, 1});
  add(0, of_override(voter(3, 5), 5));
  add(1, voter(3, 5));
  Candidacy::Besides besides{{}, set_of({1}), 10};
  EXPECT_FALSE(candidacy->choose(besides)->view.lineage.unconfirmed());
}

TEST_F(CandidacyTest, a_fork_is_no_member_and_a_majority_s_state_is_the_donor) {
  with({1, 1, 1});
  add(0, voter(3, 7));
  add(1, of_override(voter(3, 9), 6));
  add(2, voter(3, 7));
  auto choice = candidacy->choose({{}, {}, 10});
  EXPECT_EQ(members_of(choice), "0,2");
  EXPECT_EQ(choice->view.after.round, Round{7});
}

/// B10. Node 2, of that lineage, is not heard: it may have given out rounds after the same beginning.
TEST_F(CandidacyTest, nodes_without_a_state_begin_a_lineage_of_their_own_beside_an_overridden_one) {
  with({1, 1, 1});
  auto heard_of_it = fresh();
  heard_of_it.lineage.id = {6, MemberId{2}};
  heard_of_it.lineage.majority = {7, MemberId{2}};
  heard_of_it.lineage.founded = {1, MemberId{1}};
  add(0, heard_of_it);
  add(1, fresh());
  const auto line = candidacy->choose({{}, {}, 10})->view.lineage;
  EXPECT_EQ(line.id, ballot);
  EXPECT_EQ(line.founded, ballot);
  EXPECT_EQ(line.majority, ballot);
  with({1, 1, 1});
  add(0, fresh());
  add(1, fresh());
  EXPECT_TRUE(candidacy->choose({{}, {}, 10})->view.lineage.id.none());
}

TEST_F(CandidacyTest, an_override_is_installed_when_all_its_members_have_accepted) {
  with({1, 1, 1, 1, 1});
  add(0, consenting(voter(3, 5)));
  add(1, consenting(voter(3, 5)));
  candidacy->propose(*candidacy->choose({{}, {}, 10}));
  candidacy->accepted(MemberId{0}, Incarnation{1});
  EXPECT_FALSE(candidacy->has_acceptances());
  candidacy->accepted(MemberId{1}, Incarnation{1});
  EXPECT_TRUE(candidacy->has_acceptances());
}

}  // namespace
}  // namespace exdb
