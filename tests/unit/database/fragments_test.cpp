// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a transaction has written and not sent: the limit is met at the write that crosses it, and
// sending ahead costs O(1) a write and waits for nothing.
#include "fake_route.hpp"

namespace exdb {
namespace {

class WriteLimitTest : public FakeRouteTest {
 protected:
  WriteLimitTest() { route.record_bytes_max_ = 10'000; }
};

TEST_F(WriteLimitTest, the_write_that_crosses_it_is_refused_and_leaves_the_row_as_it_was) {
  Transaction transaction(core);
  transaction.begin({});
  const auto row = put(transaction, item, 1);
  give(transaction, row, 6'000);
  const auto other = put(transaction, item, 2);
  try {
    give(transaction, other, 5'000);
    FAIL() << "11,000 bytes were taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::too_large);
    EXPECT_NE(std::string(error.what()).find("10000"), std::string::npos) << error.what();
  }
  EXPECT_EQ(given(transaction, other), 0U);
  give(transaction, other, 3'000);
  EXPECT_ERROR(give(transaction, row, 8'000), too_large);
  EXPECT_EQ(given(transaction, row), 6'000U) << "written before: as it was then";
  EXPECT_TRUE(transaction.commit());
  EXPECT_LE(route.record_bytes_, route.record_bytes_max_);
}

TEST_F(WriteLimitTest, what_is_replaced_does_not_count) {
  Transaction transaction(core);
  transaction.begin({});
  const auto row = put(transaction, item, 1);
  for (int turn = 0; turn < 4; ++turn) {
    give(transaction, row, 9'000);
    give(transaction, row, 4'000);
  }
  EXPECT_TRUE(transaction.commit());
}

TEST_F(WriteLimitTest, an_update_that_is_refused_leaves_the_row_unwritten) {
  Transaction transaction(core);
  transaction.begin({});
  put(transaction, item, 1);
  ASSERT_TRUE(transaction.commit());
  transaction.begin({});
  const auto first = RowId::of(transaction.snapshot_of(item).scan(item.id, SlotId{0}));
  EXPECT_ERROR(give(transaction, first, 11'000), too_large);
  EXPECT_ERROR(give(transaction, first, 9'992), too_large);
  EXPECT_TRUE(transaction.work().empty());
  EXPECT_TRUE(transaction.commit());
  EXPECT_EQ(transaction.statistics().read_only, 1U);
}

TEST_F(WriteLimitTest, rows_are_refused_when_they_are_too_many_and_local_ones_never) {
  Transaction transaction(core);
  transaction.begin({});
  int rows = 0;
  try {
    for (;; ++rows) put(transaction, item, rows);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::too_large);
  }
  EXPECT_GT(rows, 10);
  for (int id = 0; id < 1'000; ++id) put(transaction, scratch, id);
  EXPECT_LE(transaction.work().size(), std::size_t(rows) + 1 + 1'000);
  transaction.rollback();
}

class SendAheadTest : public FakeRouteTest {
 protected:
  static constexpr int rows = 4'000;
  SendAheadTest() { route.sends_ahead_ = true; }
  /// Rows of a kilobyte.
  void fill(Transaction& transaction) const {
    for (int id = 0; id < rows; ++id) give(transaction, put(transaction, item, id), 1'000);
  }
};

TEST_F(SendAheadTest, each_row_is_looked_at_about_once_however_many_went_before_it) {
  Transaction transaction(core);
  transaction.begin({});
  fill(transaction);
  EXPECT_GT(route.attempts_, 10);
  EXPECT_GT(route.bytes_ahead_, std::size_t{rows} * 900);
  EXPECT_LE(transaction.fragments().entries_looked_at(), std::uint64_t{rows} * 11 / 10);
}

TEST_F(SendAheadTest, refusals_cost_a_constant_a_row_and_the_commit_takes_all_along) {
  route.has_room_ = false;
  Transaction transaction(core);
  transaction.begin({});
  fill(transaction);
  EXPECT_GT(route.attempts_, 2);
  EXPECT_LE(transaction.fragments().entries_looked_at(), std::uint64_t{rows} * 2);
  EXPECT_TRUE(transaction.commit());
  EXPECT_GT(route.record_bytes_, std::size_t{rows} * 1'000);
  EXPECT_EQ(route.discards_, 0) << "nothing went ahead";
}

TEST_F(SendAheadTest, local_rows_are_never_looked_at) {
  Transaction transaction(core);
  transaction.begin({});
  for (int id = 0; id < rows; ++id) put(transaction, scratch, id);
  EXPECT_EQ(route.attempts_, 0);
  EXPECT_EQ(transaction.fragments().entries_looked_at(), 0U);
  EXPECT_TRUE(transaction.commit());
}

TEST_F(SendAheadTest, a_row_that_went_ahead_and_is_changed_goes_again_and_no_other) {
  Transaction transaction(core);
  transaction.begin({});
  const auto row = put(transaction, item, -1);
  fill(transaction);
  const auto unsent = transaction.fragments().unsent_bytes();
  transaction.write(item, handle(row), 4, [](RowBuilder& to) { to.set("price", 7); });
  EXPECT_GT(transaction.fragments().unsent_bytes(), unsent);
  EXPECT_LT(transaction.fragments().unsent_bytes(), unsent + 500);
  transaction.rollback();
  EXPECT_EQ(route.discards_, 1);
}

}  // namespace
}  // namespace exdb
