// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/hidden_runs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace exdb {
namespace {

OrderPlace at(std::uint64_t slot) { return {{}, SlotId{slot}}; }

/// Slots 0 to 99, each hidden since a moment (0: it never was): what walks note about them, one after
/// the other, may be jumped over by a later walk exactly where it says so, and by no earlier one.
TEST(HiddenRuns, a_run_is_jumped_over_only_by_walks_that_have_nothing_to_give_in_it) {
  constexpr std::uint64_t slots = 100;
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    HiddenRuns runs;
    std::vector<std::uint64_t> hidden_since(slots, 0);
    for (std::uint64_t moment = 1; moment < 30; ++moment) {
      for (int more = 0; more < 8; ++more) {
        auto& since = hidden_since[random() % slots];
        if (since == 0) since = moment;
      }
      // A walk of the next moment notes one of the stretches that it passes.
      const auto start = random() % slots;
      auto end = start;
      std::uint64_t newest = 0;
      for (; end < slots && hidden_since[end] != 0; ++end)
        newest = std::max(newest, hidden_since[end]);
      if (end > start)
        runs.add(at(start), end == slots ? at(SlotId::none().value) : at(end), {newest});
      for (std::uint64_t slot = 0; slot < slots; ++slot) {
        for (const std::uint64_t walk : {moment + 1, moment, moment / 2}) {
          const auto* run = runs.find(at(slot), {walk});
          if (!run) continue;
          const auto to = std::min(run->second.to.slot.value, slots);
          ASSERT_LE(run->first.slot.value, slot);
          ASSERT_GT(to, slot);
          for (auto each = run->first.slot.value; each < to; ++each)
            ASSERT_TRUE(hidden_since[each] != 0 && hidden_since[each] < walk);
        }
      }
      if (end > start) {
        EXPECT_TRUE(runs.find(at(start), {moment + 1}));
      }
    }
  }
}

TEST(HiddenRuns, runs_that_touch_become_one) {
  HiddenRuns runs;
  runs.add(at(10), at(20), {1});
  runs.add(at(30), at(40), {5});
  EXPECT_EQ(runs.size(), 2u);
  runs.add(at(20), at(30), {2});
  ASSERT_EQ(runs.size(), 1u);
  const auto* run = runs.find(at(15), {6});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->first.slot.value, 10u);
  EXPECT_EQ(run->second.to.slot.value, 40u);
  EXPECT_FALSE(runs.find(at(15), {5}));
  EXPECT_FALSE(runs.find(at(40), {6}));
}

TEST(HiddenRuns, those_of_another_snapshot_are_forgotten_and_an_older_one_has_none) {
  HiddenRuns runs;
  ASSERT_TRUE(runs.at({7}));
  runs.add(at(1), at(9), {1});
  EXPECT_EQ(runs.at({7})->size(), 1u);
  EXPECT_FALSE(runs.at({6}));
  EXPECT_EQ(runs.at({8})->size(), 0u);
}

TEST(HiddenRuns, a_short_stretch_is_no_run_and_one_in_front_of_a_run_joins_it) {
  HiddenRuns runs;
  HiddenStretch stretch;
  const auto pass = [&](std::uint64_t from, std::uint64_t to) {
    for (auto slot = from; slot < to; ++slot) stretch.pass(at(slot), {1});
  };
  pass(0, HiddenStretch::entries_min - 1);
  stretch.end(runs, true, at(50));
  EXPECT_EQ(runs.size(), 0u);
  pass(20, 30);
  stretch.end(runs, true, at(30));
  ASSERT_EQ(runs.size(), 1u);
  // Downward from 40 into that run, and on to 10.
  for (std::uint64_t slot = 40; slot >= 30; --slot) stretch.pass(at(slot), {1});
  stretch.jump(at(29), runs.find(at(29), {2})->second);
  stretch.end(runs, false, at(10));
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs.find(at(25), {2})->first.slot.value, 11u);
  EXPECT_EQ(runs.find(at(25), {2})->second.to.slot.value, 41u);
}

}  // namespace
}  // namespace exdb
