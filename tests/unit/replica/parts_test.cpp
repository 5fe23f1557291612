// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Parts of a transaction that are sent ahead: R6 of replica.hpp.
#include <gtest/gtest.h>

#include "replica_fixture.hpp"
#include "round_workload.hpp"

namespace exdb {
namespace {

class PartsTest : public ReplicaFixture {
 protected:
  PartsTest() : replica(make(true)) { replica->expect_repeats(); }

  static constexpr TxnId id{NodeId{1}, 7};

  /// Inserts one row.
  void part(std::uint64_t number, int key, TxnId of = id) {
    std::vector<std::byte> bytes;
    ByteWriter writer(bytes);
    writer.put_varint(number);
    writer.put_varint(0);
    const auto op = insert(shared, key);
    TransactionRecord::encode_ops(std::span(&op, 1), Csn{}, bytes);
    TestRound round;
    round.add(RoundItem::Kind::fragment, of, std::move(bytes));
    const auto applied = apply(*replica, round);
    EXPECT_TRUE(applied.status.ok()) << applied.status.text();
  }
  ItemOutcome commit_after(std::uint64_t parts, int key, TxnId of = id) {
    auto with = record({insert(shared, key)});
    with.parts = parts;
    std::vector<std::byte> bytes;
    with.encode(bytes);
    TestRound round;
    round.add(RoundItem::Kind::transaction, of, std::move(bytes));
    auto applied = apply(*replica, round);
    EXPECT_TRUE(applied.status.ok()) << applied.status.text();
    return applied.outcomes.at(0);
  }

  std::unique_ptr<Replica> replica;
};

TEST_F(PartsTest, all_of_them_come_once_and_in_order) {
  part(0, 10);
  part(1, 11);
  EXPECT_EQ(commit_after(2, 12).code, ErrorCode::ok);
  EXPECT_EQ(seen(*replica, shared), 3u);
}

TEST_F(PartsTest, one_that_comes_again_is_passed_over) {
  part(0, 10);
  part(1, 11);
  part(0, 10);
  part(1, 11);
  EXPECT_EQ(commit_after(2, 12).code, ErrorCode::ok);
  EXPECT_EQ(seen(*replica, shared), 3u);
}

TEST_F(PartsTest, where_one_is_missing_nothing_is_applied) {
  part(1, 11);  // the first one never came
  const auto outcome = commit_after(2, 12);
  EXPECT_EQ(outcome.code, ErrorCode::conflict);
  EXPECT_NE(outcome.text.find("begin it again"), std::string::npos) << outcome.text;
  EXPECT_EQ(seen(*replica, shared), 0u);
  EXPECT_EQ(replica->outcome(id), ErrorCode::conflict);
}

TEST_F(PartsTest, one_that_comes_after_its_transaction_is_not_kept) {
  part(0, 10);
  ASSERT_EQ(commit_after(1, 12).code, ErrorCode::ok);
  const auto before = replica->counters().fragments.load();
  part(0, 10);
  EXPECT_EQ(replica->counters().fragments.load(), before);
}

TEST_F(PartsTest, those_of_a_member_that_is_out_of_the_view_are_gone) {
  part(0, 10);
  const MemberId members[] = {MemberId{0}, MemberId{2}};
  replica->forget_others(members);
  EXPECT_EQ(commit_after(1, 12).code, ErrorCode::conflict);
  EXPECT_EQ(seen(*replica, shared), 0u);
}

TEST_F(PartsTest, those_of_members_of_the_view_stay) {
  part(0, 10);
  const MemberId members[] = {MemberId{1}, MemberId{2}};
  replica->forget_others(members);
  EXPECT_EQ(commit_after(1, 12).code, ErrorCode::ok);
}

TEST_F(PartsTest, those_of_a_former_life_go_with_the_first_of_the_next) {
  part(0, 10);
  const TxnId of_next{id.origin, id.sequence + OutcomeTable::life_gap};
  part(0, 20, of_next);
  EXPECT_EQ(commit_after(1, 12).code, ErrorCode::conflict);
  EXPECT_EQ(commit_after(1, 22, of_next).code, ErrorCode::ok);
}

}  // namespace
}  // namespace exdb
