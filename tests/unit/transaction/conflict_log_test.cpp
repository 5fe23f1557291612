// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/conflict_log.hpp"

#include <gtest/gtest.h>

#include <random>

namespace exdb {
namespace {

class ConflictLogTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema =
      Dictionary::parse("class A { int4 id; int4 v; unique hash<id> by_id; tree<v> by_v; };")
          .value();
  ConflictLog log{*schema};
  const ClassDef& type = schema->classes()[0];
  IndexId by_id = schema->find_index(type.id, "by_id")->id;
  IndexId by_v = schema->find_index(type.id, "by_v")->id;

  KeyBytes key(IndexId index, int value) {
    KeyBytes out;
    const Value values[] = {value};
    make_key(schema->index_of(index), values, out);
    return out;
  }
  void change(IndexId index, int value, std::uint64_t csn) {
    log.key_changed(index, key(index, value), true, Csn{csn});
  }
  ReadRange range(IndexId index, int low, int high) {
    return {index, key(index, low), key(index, high)};
  }
};

/// The log as it is defined: all changes, looked through one after the other.
struct Model {
  struct Change {
    std::uint64_t csn;
    IndexId index;
    int key;
  };
  std::vector<Change> changes;
  std::uint64_t floor = 0;
};

// Few ranges and many changes, many ranges and few changes: both ways of looking are taken.
TEST_F(ConflictLogTest, answers_as_a_list_of_all_changes_would) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto below = [&](int n) { return static_cast<int>(random() % n); };
    ConflictLog tried(*schema);
    Model model;
    std::uint64_t csn = 0;
    for (int step = 0; step < 1500; ++step) {
      ++csn;
      for (int i = below(4); i > 0; --i) {
        const auto index = below(2) ? by_id : by_v;
        const int value = below(300);
        tried.key_changed(index, key(index, value), true, Csn{csn});
        model.changes.push_back({csn, index, value});
      }
      if (below(50) == 0) {
        model.floor = std::max(model.floor, csn - below(200) % csn);
        tried.prune(Csn{model.floor});
      }
      TransactionRecord reads;
      for (int i = below(8); i >= 0; --i) {
        const auto index = below(2) ? by_id : by_v;
        const int low = below(300);
        reads.ranges.push_back(range(index, low, low + 1 + below(30)));
        if (below(20) == 0) reads.ranges.back().high.clear();
      }
      reads.normalise_reads();
      const std::uint64_t snapshot = model.floor + below(static_cast<int>(csn - model.floor) + 1);
      const auto within = [&](IndexId index, int value) {
        for (const auto& one : reads.ranges) {
          const auto at = key(index, value);
          if (one.index == index && one.low <= at && (one.high.empty() || at < one.high))
            return true;
        }
        return false;
      };
      bool expected = false;
      for (const auto& one : model.changes)
        expected |= one.csn > snapshot && within(one.index, one.key);
      const auto got = tried.changed_after(Csn{snapshot}, reads.ranges);
      ASSERT_EQ(got.has_value(), expected) << "step " << step;
      if (!got) continue;
      ASSERT_GT(got->csn.value, snapshot);
      const auto value = decode_key(schema->index_of(got->index), got->key)->at(0).as_int();
      ASSERT_TRUE(within(got->index, static_cast<int>(value)));
    }
    tried.prune(Csn{csn});
    EXPECT_EQ(tried.size(), 0u);
    EXPECT_EQ(tried.keys(), 0u);
  }
}

TEST_F(ConflictLogTest, what_one_key_costs_does_not_grow_with_what_was_changed_since) {
  for (int i = 0; i < 100'000; ++i) change(by_v, i, 1 + std::uint64_t(i));
  const auto before = log.looked_at();
  const ReadRange none[] = {range(by_v, 200'000, 200'001)};
  EXPECT_FALSE(log.changed_after(Csn{0}, none));
  const ReadRange some[] = {range(by_id, 0, 10), range(by_v, 500, 510)};
  EXPECT_FALSE(log.changed_after(Csn{60'000}, some));
  EXPECT_TRUE(log.changed_after(Csn{505}, some));
  EXPECT_LE(log.looked_at() - before, 40u);
}

TEST_F(ConflictLogTest, what_a_wide_range_costs_does_not_grow_with_what_was_changed_before) {
  for (int i = 0; i < 100'000; ++i) change(by_v, i, 1 + std::uint64_t(i));
  change(by_id, 7, 100'001);
  const auto before = log.looked_at();
  const ReadRange whole[] = {range(by_v, 0, 1'000'000)};
  EXPECT_FALSE(log.changed_after(Csn{100'000}, whole));
  EXPECT_LE(log.looked_at() - before, 4u);
  EXPECT_TRUE(log.changed_after(Csn{99'999}, whole));
}

TEST_F(ConflictLogTest, a_key_stays_in_order_until_its_last_change_goes) {
  change(by_v, 1, 1);
  change(by_v, 1, 2);
  change(by_v, 1, 2);  // left one row and came to another
  const ReadRange one[] = {range(by_v, 1, 2)};
  EXPECT_EQ(log.changed_after(Csn{0}, one)->csn, Csn{2});
  EXPECT_EQ(log.keys(), 1u);
  log.prune(Csn{1});
  EXPECT_EQ(log.keys(), 1u);
  EXPECT_EQ(log.changed_after(Csn{1}, one)->csn, Csn{2});
  log.prune(Csn{2});
  EXPECT_EQ(log.keys(), 0u);
  EXPECT_EQ(log.size(), 0u);
  EXPECT_FALSE(log.changed_after(Csn{2}, one));
}

TEST_F(ConflictLogTest, keys_are_put_in_order_when_somebody_asks_and_not_before) {
  for (int i = 0; i < 100; ++i) change(by_v, i, 1 + std::uint64_t(i));
  const ReadRange none[] = {range(by_v, 200, 201)};
  EXPECT_FALSE(log.changed_after(Csn{100}, none));
  EXPECT_FALSE(log.changed_after(Csn{99}, none));
  EXPECT_EQ(log.keys(), 0u);
  EXPECT_FALSE(log.changed_after(Csn{0}, none));
  EXPECT_EQ(log.keys(), 100u);
  change(by_v, 200, 101);
  change(by_v, 7, 102);
  log.prune(Csn{50});
  EXPECT_EQ(log.keys(), 50u);
  EXPECT_EQ(log.changed_after(Csn{50}, none)->csn, Csn{101});
}

TEST_F(ConflictLogTest, too_many_changes_move_the_floor_to_a_whole_csn) {
  for (std::uint64_t i = 0; i < ConflictLog::entries_max + 2; ++i)
    change(by_v, static_cast<int>(i), 1 + i / 3);
  log.prune(Csn{0});
  EXPECT_EQ(log.floor(), Csn{1});
  EXPECT_EQ(log.size(), ConflictLog::entries_max - 1);
}

}  // namespace
}  // namespace exdb
