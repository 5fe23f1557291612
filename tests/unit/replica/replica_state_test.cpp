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

TEST_F(ReplicaStateTest, tells_nothing_of_a_small_one) {
  EXPECT_TRUE(told_of(int(ReplicaState::progress_rows_min) - 1).empty());
}

}  // namespace
}  // namespace exdb
