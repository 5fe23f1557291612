// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/copies.hpp"

#include <gtest/gtest.h>

#include "breakable_folder.hpp"

namespace exdb {
namespace {

/// The chain of a round in a history: equal in all copies of one.
RoundHistory::Chain at(std::uint64_t round, std::uint64_t history = 0) {
  return {Round{round}, round == 0 ? 0 : round * 1000 + history};
}

Copy copy(const std::string& path, Epochs epochs, RoundHistory::Chain newest) {
  return {path, 7, epochs_until(std::move(epochs), newest.round), newest};
}

const Epoch first{1, 11, at(0)}, second{2, 22, at(40)}, third{3, 33, at(60)};

TEST(Copies, nothing_is_the_furthest_of_none) {
  auto found = furthest_of({});
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->has_value());
}

TEST(Copies, the_newest_round_is_the_furthest_within_an_epoch) {
  auto found = furthest_of({copy("a", {first}, at(10)), copy("b", {first}, at(12)),
                            copy("c", {first}, at(12)), copy("empty", {}, at(0))});
  ASSERT_TRUE(found.ok()) << found.status().text();
  EXPECT_EQ(*found, 1u);
}

/// K1: were it the longest, what was acknowledged in the second epoch would be lost.
TEST(Copies, the_newest_epoch_goes_before_the_longest_log) {
  const auto shorter = copy("shorter", {first, second}, at(45));
  const auto longer = copy("longer", {first}, at(90));
  auto found = furthest_of({longer, shorter});
  ASSERT_FALSE(found.ok());  // and what the longer one has beyond makes it a fork: K2
  EXPECT_EQ(found.status().code(), ErrorCode::inconsistent);
  EXPECT_NE(found.status().text().find("'longer' (epoch 1, round 90)"), std::string::npos);
  EXPECT_NE(found.status().text().find("'shorter' (epoch 2, round 45)"), std::string::npos);
  EXPECT_NE(found.status().text().find("from round 40"), std::string::npos);
  const auto older = copy("older", {first}, at(40));
  found = furthest_of({older, shorter});
  ASSERT_TRUE(found.ok()) << found.status().text();
  EXPECT_EQ(*found, 1u);
}

TEST(Copies, what_went_on_without_the_other_is_a_fork) {
  const Epoch other{2, 99, at(40)};
  const auto one = copy("one", {first, second}, at(50));
  EXPECT_FALSE(check_older(copy("other", {first, other}, at(45)), one).ok());
  EXPECT_FALSE(furthest_of({one, copy("other", {first, other}, at(50))}).ok());
  // Of the same name, and begun after another round.
  EXPECT_FALSE(check_older(copy("other", {first, {2, 22, at(41)}}, at(45)), one).ok());
  // Other rounds under the same number, at the end and where an epoch began.
  EXPECT_FALSE(check_older(copy("other", {first, second}, at(50, 1)), one).ok());
  EXPECT_FALSE(check_older(copy("other", {first}, at(40, 1)), one).ok());
  EXPECT_TRUE(check_older(copy("same", {first, second}, at(50)), one).ok());
}

TEST(Copies, one_that_missed_openings_is_an_older_state) {
  const auto furthest = copy("furthest", {first, second, third}, at(70));
  for (const std::uint64_t round : {1, 39, 40})
    EXPECT_TRUE(check_older(copy("older", {first}, at(round)), furthest).ok()) << round;
  EXPECT_FALSE(check_older(copy("older", {first}, at(41)), furthest).ok());
  EXPECT_TRUE(check_older(copy("older", {first, second}, at(60)), furthest).ok());
  EXPECT_FALSE(check_older(copy("older", {first, second}, at(61)), furthest).ok());
}

/// K3: an opening that was killed before it had a round, on some nodes; and a folder that was told of
/// the epochs of the others, and killed before it had their rounds.
TEST(Copies, an_epoch_without_rounds_does_not_count) {
  const Epoch begun{2, 77, at(40)};
  const auto stopped = copy("stopped", {first, begun}, at(40));
  EXPECT_EQ(stopped.epoch(), 1u);
  EXPECT_TRUE(check_older(stopped, copy("went on", {first, second}, at(41))).ok());
  const auto told = copy("told", {first, second, third}, at(41));
  EXPECT_EQ(told.epoch(), 2u);
  auto found = furthest_of({told, copy("further", {first, second}, at(55))});
  ASSERT_TRUE(found.ok()) << found.status().text();
  EXPECT_EQ(*found, 1u);
}

TEST(Copies, those_of_two_databases_are_not_mixed) {
  auto other = copy("other", {first}, at(3));
  other.database = 8;
  auto found = furthest_of({copy("one", {first}, at(5)), other});
  ASSERT_FALSE(found.ok());
  EXPECT_NE(found.status().text().find("two databases"), std::string::npos);
}

TEST(EpochsFile, what_was_written_is_read_and_nothing_else) {
  BreakableFolder folder;
  EXPECT_TRUE(read_epochs(folder, 7).value().empty());
  ASSERT_TRUE(write_epochs(folder, 7, {first}).ok());
  ASSERT_TRUE(write_epochs(folder, 7, {first, second}).ok());
  EXPECT_EQ(read_epochs(folder, 7).value(), (Epochs{first, second}));
  EXPECT_EQ(read_epochs(folder, 8).status().code(), ErrorCode::disk_damaged);
  const auto good = folder.content(epochs_name);
  for (std::size_t offset = 0; offset < good.size(); ++offset) {
    folder.flip(epochs_name, offset);
    EXPECT_FALSE(read_epochs(folder, 7).ok()) << offset;
    folder.put(epochs_name, good);
  }
  for (std::size_t length = 0; length < good.size(); ++length) {
    folder.put(epochs_name, {good.begin(), good.begin() + std::ptrdiff_t(length)});
    EXPECT_FALSE(read_epochs(folder, 7).ok()) << length;
  }
}

TEST(EpochsFile, a_crash_at_any_step_leaves_the_old_one_or_the_new) {
  for (std::uint64_t step = 1;; ++step) {
    BreakableFolder folder;
    ASSERT_TRUE(write_epochs(folder, 7, {first}).ok());
    folder.restart();
    folder.crash_at = step;
    const bool done = write_epochs(folder, 7, {first, second}).ok();
    for (const auto how : {BreakableFolder::Survives::nothing, BreakableFolder::Survives::some,
                           BreakableFolder::Survives::everything}) {
      auto found = folder.after_crash(how, unsigned(step));
      const auto epochs = read_epochs(*found, 7).value();
      EXPECT_TRUE(epochs == Epochs{first} || epochs == (Epochs{first, second})) << step;
      EXPECT_TRUE(!done || epochs.size() == 2u) << step;
      EXPECT_TRUE(write_epochs(*found, 7, {first, second, third}).ok());
    }
    if (done) break;
  }
}

}  // namespace
}  // namespace exdb
