// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/reclaimer.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace exdb {
namespace {

constexpr std::uint32_t places = 16;

class ReclaimerTest : public testing::Test {
 protected:
  std::unique_ptr<Segment> segment =
      Segment::create({.unit_bytes = 1 << 20, .reserve_bytes = 1 << 24}).value();
  std::atomic<std::uint64_t> published{0};
  ReaderTable readers{segment->at<void>(4096), places, &published};
  std::vector<Garbage> collected;
  Reclaimer reclaimer{readers, &collected, [](void* self, const Garbage& g) {
                        static_cast<std::vector<Garbage>*>(self)->push_back(g);
                      }};

  void retire(std::uint64_t birth, std::uint64_t death, std::uint64_t key = 0) {
    reclaimer.retire({.key = key, .birth = {birth}, .death = {death}});
  }
  std::uint32_t pin_at(std::uint64_t csn) {
    published.store(csn);
    const auto place = readers.claim().value();
    readers.pin(place);
    return place;
  }
  std::size_t step(std::size_t budget = 1000) { return reclaimer.step({published.load()}, budget); }
};

TEST_F(ReclaimerTest, waits_until_the_death_is_published) {
  published.store(4);
  retire(2, 5);
  EXPECT_EQ(step(), 0u);
  EXPECT_EQ(reclaimer.size(), 1u);
  published.store(5);
  EXPECT_EQ(step(), 1u);
  EXPECT_EQ(collected.size(), 1u);
  EXPECT_EQ(reclaimer.size(), 0u);
}

TEST_F(ReclaimerTest, keeps_just_what_a_pin_can_see) {
  const auto place = pin_at(5);
  published.store(9);
  retire(2, 5, 1);  // ended as the pin's snapshot began
  retire(2, 6, 2);
  retire(5, 7, 3);
  retire(6, 8, 4);  // began after it
  retire(8, 8, 5);  // never seen by anybody
  EXPECT_EQ(step(), 3u);
  std::set<std::uint64_t> keys;
  for (const auto& garbage : collected) keys.insert(garbage.key);
  EXPECT_EQ(keys, (std::set<std::uint64_t>{1, 4, 5}));
  EXPECT_EQ(reclaimer.size(), 2u);
  readers.release(place);
  EXPECT_EQ(step(), 2u);
  EXPECT_EQ(reclaimer.size(), 0u);
}

TEST_F(ReclaimerTest, what_one_pin_lets_go_another_may_hold) {
  const auto first = pin_at(3);
  const auto second = pin_at(5);
  published.store(9);
  retire(2, 7);
  EXPECT_EQ(step(), 0u);
  readers.release(first);
  EXPECT_EQ(step(), 0u);
  readers.release(second);
  EXPECT_EQ(step(), 1u);
}

// I3, seen from outside: were held things looked at, they would use the budget up.
TEST_F(ReclaimerTest, a_long_pin_costs_the_rounds_nothing) {
  const auto place = pin_at(5);
  published.store(200000);
  for (std::uint64_t i = 0; i < 100000; ++i) retire(2, 6 + i);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(step(1000), 0u);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    retire(110000 + i, 110001 + i);
    EXPECT_EQ(step(1), 1u);
  }
  readers.release(place);
  EXPECT_EQ(step(1000), 1000u);
  EXPECT_EQ(reclaimer.size(), 99000u);
}

TEST_F(ReclaimerTest, neither_old_nor_new_garbage_starves_the_other) {
  const auto place = pin_at(5);
  published.store(100000);
  for (int i = 0; i < 1000; ++i) retire(2, 6);
  step(1000);
  readers.release(place);
  for (std::uint64_t i = 0; i < 1000; ++i) retire(10 + i, 11 + i, 1);
  EXPECT_EQ(step(100), 100u);
  std::size_t fresh = 0;
  for (const auto& garbage : collected) fresh += garbage.key;
  EXPECT_EQ(fresh, 50u);
}

TEST_F(ReclaimerTest, does_not_exceed_its_budget) {
  published.store(10);
  for (int i = 0; i < 10; ++i) retire(2, 6);
  EXPECT_EQ(step(0), 0u);
  EXPECT_EQ(step(1), 1u);
  EXPECT_EQ(step(3), 3u);
  EXPECT_EQ(step(100), 6u);
}

TEST_F(ReclaimerTest, agrees_with_a_plain_model_over_random_pins) {
  std::mt19937_64 random(7);
  struct Interval {
    std::uint64_t birth, death;
  };
  std::map<std::uint64_t, Interval> open;
  std::map<std::uint32_t, std::uint64_t> pins;
  std::uint64_t csn = 0, key = 0;
  std::size_t seen = 0;
  const auto held = [&](const Interval& thing) {
    for (const auto& [place, pinned] : pins) {
      if (thing.birth <= pinned && pinned < thing.death) return true;
    }
    return thing.death > csn;
  };
  for (int step_number = 0; step_number < 20000; ++step_number) {
    published.store(++csn);
    for (auto i = random() % 4; i > 0; --i) {
      const auto birth = csn + 1 - std::min(csn, random() % 100);
      open[++key] = {birth, csn + 1};
      retire(birth, csn + 1, key);
    }
    if (pins.size() < places && random() % 5 == 0) pins[pin_at(csn)] = csn;
    if (!pins.empty() && random() % 5 == 0) {
      const auto gone = std::next(pins.begin(), static_cast<long>(random() % pins.size()));
      readers.release(gone->first);
      pins.erase(gone);
    }
    step(1 + random() % 8);
    for (; seen < collected.size(); ++seen) {
      const auto at = open.find(collected[seen].key);
      ASSERT_NE(at, open.end()) << "collected twice";
      ASSERT_FALSE(held(at->second)) << "I1";
      open.erase(at);
    }
    if (step_number % 1000 == 999) {
      step(1000000);
      for (; seen < collected.size(); ++seen) open.erase(collected[seen].key);
      for (const auto& [number, thing] : open) ASSERT_TRUE(held(thing)) << "I2: forgotten";
      ASSERT_EQ(reclaimer.size(), open.size());
    }
  }
}

}  // namespace
}  // namespace exdb
