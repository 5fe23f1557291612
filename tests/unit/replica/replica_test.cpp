// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica.hpp"

#include "replica_fixture.hpp"

namespace exdb {
namespace {

class ReplicaTest : public ReplicaFixture {};

constexpr std::size_t tight = std::size_t{2} << 20;
constexpr int too_many = 3000;  // of 2 KB each

TEST_F(ReplicaTest, a_commit_that_runs_out_of_memory_is_not_shown_by_a_later_one) {
  const auto replica = make(false, tight);
  auto one = record({insert(shared, 1)});
  ASSERT_EQ(commit(*replica, one).code, ErrorCode::ok);
  ItemOutcome outcome;
  const auto failed = round(*replica, 2, record(many(shared, too_many)), outcome);
  EXPECT_EQ(failed.code(), ErrorCode::no_memory);
  EXPECT_NE(failed.text().find("this replica cannot go on"), std::string::npos) << failed.text();
  const auto later = round(*replica, 3, record({insert(shared, 2)}), outcome);
  EXPECT_EQ(later.code(), ErrorCode::no_memory);
  EXPECT_NE(later.text().find("failed half-way"), std::string::npos) << later.text();
  EXPECT_EQ(seen(*replica, shared), 1u);
}

// A fragment is copied before anything is installed; the node must stop all the same, with the same
// farewell, for the others have the round.
TEST_F(ReplicaTest, a_round_that_cannot_even_be_unpacked_is_a_status) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer ends the process when so much is asked for";
#endif
  const auto replica = make(true);
  const std::byte first{};
  RoundItem item;
  item.kind = RoundItem::Kind::fragment;
  item.bytes = Bytes(&first, std::size_t{1} << 60);  // not read: there is no memory to copy it to
  std::vector<ItemOutcome> outcomes;
  const auto status = replica->apply_round(Round{1}, std::span(&item, 1), Csn{}, {false}, outcomes);
  EXPECT_EQ(status.code(), ErrorCode::no_memory);
}

TEST_F(ReplicaTest, outcomes_of_all_origins_are_known_wherever_they_are_asked) {
  const auto here = make(true), there = make(true, std::size_t{64} << 20, NodeId{1});
  std::vector<std::byte> of_0, of_1;
  record({insert(shared, 1)}).encode(of_0);
  record({insert(shared, 1)}).encode(of_1);  // the same key: it loses
  std::vector<RoundItem> items(2);
  items[0] = {RoundItem::Kind::transaction, {}, NodeId{0}, 5, of_0};
  items[1] = {RoundItem::Kind::transaction, {}, NodeId{1}, 3, of_1};
  std::vector<ItemOutcome> outcomes;
  for (auto* replica : {here.get(), there.get()}) {
    ASSERT_TRUE(replica->apply_round(Round{1}, items, Csn{}, {false, false}, outcomes).ok());
    EXPECT_EQ(replica->outcome({NodeId{0}, 5}), ErrorCode::ok);
    EXPECT_EQ(replica->outcome({NodeId{1}, 3}), ErrorCode::conflict);
    EXPECT_EQ(replica->outcome({NodeId{1}, 5}), std::nullopt);
  }
}

TEST_F(ReplicaTest, a_record_that_writes_a_row_which_is_gone_conflicts_whatever_its_base) {
  const auto replica = make(false);
  auto one = record({insert(shared, 1)});
  ASSERT_EQ(commit(*replica, one).code, ErrorCode::ok);
  const WriteOp remove{WriteOp::Kind::remove, shared.id, 0, Csn{1}, {}};
  auto gone = record({remove});
  ASSERT_EQ(commit(*replica, gone).code, ErrorCode::ok);
  auto wrong = record({remove});
  wrong.ops[0].base = Csn{99};
  EXPECT_EQ(commit(*replica, wrong).code, ErrorCode::conflict);
}

}  // namespace
}  // namespace exdb
