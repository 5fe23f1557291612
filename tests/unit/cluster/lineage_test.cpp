// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/lineage.hpp"

#include <gtest/gtest.h>

namespace exdb {
namespace {

Lineage of_majority(std::uint64_t ballot, Ballot id = {}) {
  Lineage line;
  line.majority = {ballot, MemberId{0}};
  line.id = id;
  return line;
}

/// On top of that: by node `member`, after round `base`.
Lineage overridden(std::uint64_t majority, std::uint64_t ballot, std::uint32_t member,
                   std::uint64_t base, std::uint64_t weight = 1, bool complete = false) {
  auto line = of_majority(majority);
  line.id = line.root = line.held = {ballot, MemberId{member}};
  line.base = line.since = Round{base};
  line.weight = weight;
  line.complete = complete;
  return line;
}

bool before(const Lineage& one, std::uint64_t newest, const Lineage& other,
            std::uint64_t newest_there) {
  return rank(one, Round{newest}, ViewMutation::none) >
         rank(other, Round{newest_there}, ViewMutation::none);
}

TEST(Lineage, an_ancestor_gives_way_to_who_went_on_from_all_that_it_has) {
  EXPECT_TRUE(before(overridden(3, 4, 0, 9), 30, of_majority(3), 9));
  EXPECT_TRUE(before(overridden(3, 4, 0, 9), 9, of_majority(3), 8));
}

TEST(Lineage, an_override_gives_way_to_what_a_majority_may_have_given_out_since) {
  EXPECT_TRUE(before(of_majority(3), 10, overridden(3, 4, 0, 9), 30));
  EXPECT_TRUE(before(of_majority(5), 2, overridden(3, 4, 0, 9), 30)) << "a newer view of one";
}

TEST(Lineage, what_half_of_the_qrank_does_not_hold_no_majority_has_given_out) {
  EXPECT_TRUE(before(overridden(3, 4, 0, 9, 1, true), 9, of_majority(3), 11));
}

TEST(Lineage, of_two_forks_the_fuller_then_the_heavier_then_the_newer_survives) {
  EXPECT_TRUE(before(overridden(3, 4, 0, 10), 11, overridden(3, 5, 1, 9, 2), 40));
  EXPECT_TRUE(before(overridden(3, 4, 0, 9, 2), 11, overridden(3, 5, 1, 9, 1), 40));
  EXPECT_TRUE(before(overridden(3, 5, 1, 9), 11, overridden(3, 4, 0, 9), 40));
}

TEST(Lineage, a_child_comes_before_its_parent_whatever_it_weighs) {
  const auto parent = overridden(3, 4, 0, 9, 2);
  auto child = parent;
  child.id = child.held = {6, MemberId{1}};
  child.since = Round{20};
  EXPECT_TRUE(before(child, 20, parent, 20));
}

TEST(Lineage, who_follows_claims_no_more_than_it_has) {
  const auto mine = of_majority(3);
  auto theirs = overridden(3, 4, 0, 9);
  theirs.id = theirs.held = {6, MemberId{1}};
  theirs.since = Round{20};
  EXPECT_EQ(follow(mine, theirs, Round{20}, {4, MemberId{0}}), theirs);
  const auto past_base = follow(mine, theirs, Round{12}, {4, MemberId{0}});
  EXPECT_EQ(past_base.held, (Ballot{4, MemberId{0}}));
  EXPECT_EQ(past_base.id, theirs.id) << "of one lineage with them from the first step on";
  const auto before_base = follow(mine, theirs, Round{8}, {2, MemberId{0}});
  EXPECT_FALSE(before_base.unconfirmed());
  EXPECT_EQ(before_base.majority, mine.majority);
  const auto confirmed = of_majority(8, {6, MemberId{1}});
  auto later = confirmed;
  later.since = Round{30};
  EXPECT_EQ(follow(mine, later, Round{12}, {4, MemberId{0}}).majority, (Ballot{4, MemberId{0}}));
}

}  // namespace
}  // namespace exdb
