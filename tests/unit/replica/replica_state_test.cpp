// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica_state.hpp"

#include <thread>

#include "replica_fixture.hpp"

namespace exdb {
namespace {

class ReplicaStateTest : public ReplicaFixture {
 protected:
  using Lines = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  int rows_of(const Snapshot& shown) const {
    int count = 0;
    for (auto slot = shown.scan(shared.id, SlotId{0}); slot != SlotId::none();
         slot = shown.scan(shared.id, SlotId{slot.value + 1}))
      ++count;
    return count;
  }
  /// What is told while a state of so many rows goes from one replica to another; before, one that
  /// is whole may be dropped.
  Lines told_of(int count, bool drop_one = false) {
    const auto giver = make(true), taker = make(true);
    std::vector<WriteOp> ops;
    for (int id = 0; id < count; ++id) ops.push_back(insert(shared, id));
    ItemOutcome outcome;
    EXPECT_TRUE(round(*giver, 1, record(std::move(ops)), outcome).ok());
    EXPECT_EQ(outcome.code, ErrorCode::ok);
    StorageOptions options;
    ReplicaState from(*giver, schema, options, {}, {}), to(*taker, schema, options, {}, {100});
    Lines lines;
    to.tell_progress([&](auto here, auto of) { lines.emplace_back(here, of); });
    const auto take_all = [&] {
      to.begin(false);
      auto stream = from.open({Round{1}, 11}).value();
      for (std::vector<std::byte> chunk; stream->next(chunk);) EXPECT_TRUE(to.add(chunk).ok());
      EXPECT_TRUE(to.finish({Round{1}, 11}).ok());
    };
    if (drop_one) {
      take_all();
      to.drop();
      EXPECT_NE(taker->digest(), giver->digest());
    }
    take_all();
    while (!to.ready().value()) std::this_thread::yield();
    EXPECT_EQ(taker->digest(), giver->digest());
    return lines;
  }
};

/// I2. What was being built goes, and the next state is taken as if nothing had been.
TEST_F(ReplicaStateTest, drops_a_state_whose_indexes_are_being_built) {
  (void)told_of(20'000, true);
}

TEST_F(ReplicaStateTest, tells_each_tenth_of_a_state_that_comes) {
  const auto lines = told_of(20'000);
  ASSERT_GE(lines.size(), 5U);
  ASSERT_LE(lines.size(), 10U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].second, 20'000U);
    if (i == 0) continue;
    EXPECT_GT(lines[i].first / 2000, lines[i - 1].first / 2000);
  }
  EXPECT_EQ(lines.back().first, 20'000U);
}

/// R7, I1: the state of another history may be older, and takes the place of what is here; what was
/// pinned before shows what it showed.
TEST_F(ReplicaStateTest, only_the_state_of_another_history_may_be_older) {
  const auto giver = make(true), taker = make(true);
  const auto fill = [&](Replica& replica, int first, std::uint64_t rounds) {
    ItemOutcome outcome;
    for (std::uint64_t number = 1; number <= rounds; ++number) {
      auto made = record({insert(shared, first + int(number))});
      made.snapshot = replica.published();
      ASSERT_TRUE(round(replica, number, made, outcome).ok());
      ASSERT_EQ(outcome.code, ErrorCode::ok);
    }
  };
  fill(*giver, 0, 2);
  fill(*taker, 100, 5);
  ReplicaState from(*giver, schema, {}, {}, {}), to(*taker, schema, {}, {}, {});
  const auto take = [&](bool parted) {
    to.begin(parted);
    auto stream = from.open({Round{2}, 11}).value();
    for (std::vector<std::byte> chunk; stream->next(chunk);) EXPECT_TRUE(to.add(chunk).ok());
    EXPECT_TRUE(to.finish({Round{2}, 11}).ok());
    for (;;) {
      auto ready = to.ready();
      if (!ready || *ready) return ready.status();
      std::this_thread::yield();
    }
  };
  const auto before = taker->pin().value();
  const auto open = taker->register_open();
  EXPECT_EQ(take(false).code(), ErrorCode::inconsistent);
  EXPECT_TRUE(taker->current(*before));
  EXPECT_EQ(taker->history(), 0U);

  EXPECT_TRUE(take(true).ok());
  EXPECT_EQ(taker->digest(), giver->digest());
  EXPECT_EQ(taker->published(), Csn{2});
  EXPECT_EQ(taker->history(), 1U);
  EXPECT_FALSE(taker->current(*before));
  EXPECT_EQ(before->replicated.csn(), Csn{5});
  EXPECT_EQ(rows_of(before->replicated), 5);
  EXPECT_EQ(rows_of(taker->pin().value()->replicated), 2);
  EXPECT_EQ(taker->pin().value()->history, 1U);
  EXPECT_EQ(taker->outcome({NodeId{}, 5}), std::nullopt) << "it is not in this history";
  // Who is open since the former one holds nothing back, and no horizon is above what is published.
  EXPECT_EQ(taker->oldest_snapshot(), Csn{2});
  taker->release_open(open);

  // At the same csn it is another state all the same.
  fill(*taker, 200, 3);
  EXPECT_EQ(taker->published(), before->replicated.csn());
  EXPECT_FALSE(taker->current(*before));
  TransactionRecord reads, made = record({insert(local, 1)});
  reads.snapshot = before->replicated.csn();
  reads.serializable = true;
  ASSERT_TRUE(taker->local()->take_turn(100ms));
  EXPECT_EQ(taker->local()->commit(made, reads, drive_lock).code, ErrorCode::conflict);
}

TEST_F(ReplicaStateTest, tells_nothing_of_a_small_one) {
  EXPECT_TRUE(told_of(int(ReplicaState::progress_rows_min) - 1).empty());
}

}  // namespace
}  // namespace exdb
