// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/local_part.hpp"

#include "replica_fixture.hpp"

namespace exdb {
namespace {

class LocalPartTest : public ReplicaFixture {};

constexpr std::size_t tight = std::size_t{2} << 20;
constexpr int too_many = 3000;  // of 2 KB each

TEST_F(LocalPartTest, a_local_commit_that_runs_out_of_memory_gives_the_turn_back_and_is_not_shown) {
  const auto replica = make(true, tight);
  ASSERT_EQ(commit_local(*replica, record({insert(local, 1)})).code, ErrorCode::ok);
  EXPECT_THROW((void)commit_local(*replica, record(many(local, too_many))), Error);
  EXPECT_EQ(commit_local(*replica, record({insert(local, 2)})).code, ErrorCode::no_memory);
  EXPECT_EQ(seen(*replica, local), 1u);
}

TEST_F(LocalPartTest, a_round_that_runs_out_of_memory_gives_the_turn_of_its_local_part_back) {
  for (const bool in_local : {true, false}) {
    const auto replica = make(true, tight);
    ASSERT_TRUE(replica->local()->take_turn(100ms));
    const int of_local = in_local ? too_many : 1, of_shared = in_local ? 1 : too_many;
    ASSERT_EQ(replica->local()->prepare(1, record(many(local, of_local))).code, ErrorCode::ok);
    ItemOutcome outcome;
    EXPECT_EQ(round(*replica, 1, record(many(shared, of_shared)), outcome).code(),
              ErrorCode::no_memory);
    replica->local()->drop(1);  // as who waits for it does
    EXPECT_EQ(commit_local(*replica, record({insert(local, 2)})).code, ErrorCode::no_memory);
    EXPECT_EQ(seen(*replica, local), 0u);
    EXPECT_EQ(seen(*replica, shared), 0u);
  }
}

TEST_F(LocalPartTest, a_prepared_transaction_is_resolved_by_its_round_or_dropped) {
  const auto replica = make(true);
  const auto prepare = [&](std::uint64_t sequence, int id) {
    ASSERT_TRUE(replica->local()->take_turn(100ms));
    ASSERT_EQ(replica->local()->prepare(sequence, record({insert(local, id)})).code, ErrorCode::ok);
    EXPECT_FALSE(replica->local()->take_turn(0us));
  };
  ItemOutcome outcome;
  prepare(1, 1);
  ASSERT_TRUE(round(*replica, 1, record({insert(shared, 1)}), outcome).ok());
  EXPECT_EQ(outcome.code, ErrorCode::ok);
  EXPECT_EQ(seen(*replica, local), 1u);
  prepare(2, 2);
  ASSERT_TRUE(round(*replica, 2, record({insert(shared, 1)}), outcome).ok());
  EXPECT_NE(outcome.code, ErrorCode::ok);  // its key is taken
  EXPECT_EQ(seen(*replica, local), 1u);
  prepare(3, 3);
  replica->local()->drop(3);
  replica->local()->drop(3);
  EXPECT_TRUE(replica->local()->take_turn(100ms));
  EXPECT_EQ(replica->local()->prepare(4, record({insert(local, 1)})).code, ErrorCode::conflict);
  EXPECT_TRUE(replica->local()->take_turn(100ms)) << "a refused one keeps no turn";
}

TEST_F(LocalPartTest, a_prepared_transaction_whose_exchange_ended_without_a_round_is_dropped) {
  const auto replica = make(true);
  ASSERT_TRUE(replica->local()->take_turn(100ms));
  ASSERT_EQ(replica->local()->prepare(1, record({insert(local, 1)})).code, ErrorCode::ok);
  const auto item = std::make_shared<PendingItem>();
  replica->local()->sent(1, item);
  EXPECT_FALSE(replica->local()->take_turn(0us));
  item->answer({ErrorCode::unknown_outcome, {}, "the node left"});
  EXPECT_EQ(commit_local(*replica, record({insert(local, 2)})).code, ErrorCode::ok);
  EXPECT_EQ(seen(*replica, local), 1u);
  EXPECT_TRUE(replica->local()->take_turn(100ms));
}

TEST_F(LocalPartTest, ranges_read_of_local_classes_are_certified_in_whatever_order_they_were_read) {
  const auto replica = make(true);
  const auto open = replica->register_open();
  ASSERT_EQ(commit_local(*replica, record({insert(local, 15)})).code, ErrorCode::ok);
  for (const bool phantom_first : {false, true}) {
    auto reader = record({insert(local, 100)});
    reader.serializable = true;
    reader.ranges = {whole_key_range(local, 30, 40), whole_key_range(local, 10, 20),
                     whole_key_range(local, 50, 60)};
    if (phantom_first) std::swap(reader.ranges[0], reader.ranges[1]);
    ASSERT_TRUE(replica->local()->take_turn(100ms));
    EXPECT_EQ(replica->local()->prepare(1, reader).code, ErrorCode::conflict);
  }
  replica->release_open(open);
}

TEST_F(LocalPartTest, local_commits_forget_no_key_that_an_open_transaction_may_ask_for) {
  const auto replica = make(true);
  const auto open = replica->register_open();
  for (int id = 1; id <= 5; ++id)
    ASSERT_EQ(commit_local(*replica, record({insert(local, id)})).code, ErrorCode::ok);
  auto reader = record({insert(local, 100)});
  reader.serializable = true;
  reader.ranges = {whole_key_range(local, 50, 60)};
  EXPECT_EQ(commit_local(*replica, reader).code, ErrorCode::ok);
  reader = record({insert(local, 101)});
  reader.serializable = true;
  reader.ranges = {whole_key_range(local, 3, 4)};
  EXPECT_EQ(commit_local(*replica, reader).code, ErrorCode::conflict);
  replica->release_open(open);
}

}  // namespace
}  // namespace exdb
