// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <functional>

#include "database_fixture.hpp"

namespace exdb {
namespace {

class ReadCommittedTest : public DatabaseTest {
 protected:
  std::unique_ptr<Connection> con, other;
  void SetUp() override {
    con = db->connect();
    other = db->connect();
  }
  /// By the other connection, in a transaction of its own.
  void change(const std::function<void(Connection&)>& body) {
    other->start();
    body(*other);
    other->commit().or_throw();
  }
};

TEST_F(ReadCommittedTest, an_object_never_turns_into_another_row_that_took_its_slot) {
  store(1, 10);
  store(2, 20);
  con->start(with(Isolation::read_committed));
  auto one = *get(*con, 1);
  change([&](Connection& with_other) { get(with_other, 1)->remove(); });
  change([&](Connection& with_other) { put(with_other, 99, 990); });  // in the slot of row 1
  EXPECT_TRUE(get(*con, 2));                                          // a newer snapshot
  EXPECT_ERROR(one.get("id"), invalid_handle);
  EXPECT_ERROR(one.set("price", 1), invalid_handle);
  EXPECT_ERROR(one.remove(), invalid_handle);
  EXPECT_FALSE(one.valid());
  get(*con, 99)->set("price", 991);
  EXPECT_ERROR(one.get("price"), invalid_handle);
  ASSERT_TRUE(con->commit());
  con->start();
  EXPECT_EQ(price(*con, 99), 991);
}

TEST_F(ReadCommittedTest, an_object_that_nobody_changed_is_good_in_later_statements) {
  store(1, 10);
  store(2, 20);
  con->start(with(Isolation::read_committed));
  auto one = *get(*con, 1);
  change([&](Connection& with_other) { get(with_other, 2)->set("price", 21); });
  EXPECT_EQ(price(*con, 2), 21);
  EXPECT_EQ(one.get("price").as_int(), 10);
  EXPECT_EQ(one, *get(*con, 1));
  one.set("price", 11);
  EXPECT_TRUE(con->commit());
}

TEST_F(ReadCommittedTest, rows_of_an_open_cursor_stay_as_its_statement_saw_them) {
  for (int id = 1; id <= 4; ++id) store(id, id * 10);
  con->start(with(Isolation::read_committed));
  auto cursor = con->cursor(item, &by_price);
  auto first = *cursor.first();
  change([&](Connection& with_other) {
    get(with_other, 1)->set("price", 1000);
    get(with_other, 2)->remove();
  });
  EXPECT_FALSE(get(*con, 2));  // a statement within the walk
  EXPECT_EQ(first.get("price").as_int(), 10);
  EXPECT_EQ(cursor.next()->get("id").as_int(), 2);
  first.set("price", 11);
  EXPECT_EQ(con->commit().code, ErrorCode::conflict);  // no lost update
}

TEST_F(ReadCommittedTest, opening_a_cursor_counting_and_removing_all_are_statements) {
  store(1, 10);
  con->start(with(Isolation::read_committed));
  store(2, 20);
  auto cursor = con->cursor(item, &by_price);
  EXPECT_EQ(cursor.next()->get("id").as_int(), 1);
  EXPECT_TRUE(cursor.next());
  store(3, 30);
  EXPECT_EQ(con->count(item), 3u);
  store(4, 40);
  EXPECT_EQ(con->delete_all(item), 4u);
  EXPECT_TRUE(con->commit());
}

TEST_F(ReadCommittedTest, statements_hold_no_snapshot_once_they_are_past) {
  store(1, 0);
  con->start(with(Isolation::read_committed));
  std::vector<Object> kept;
  for (int turn = 1; turn < 2000; ++turn) {
    change([&](Connection& with_other) { get(with_other, 1)->set("price", turn); });
    ASSERT_EQ(price(*con, 1), turn);
    kept.push_back(*get(*con, 1));
  }
  EXPECT_ERROR(kept.front().get("price"), invalid_handle);
  EXPECT_EQ(kept.back().get("price").as_int(), 1999);
}

}  // namespace
}  // namespace exdb
