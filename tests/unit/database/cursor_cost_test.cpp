// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What cursors, finds and counts cost among the transaction's own writes, in entries walked.
#include "database_fixture.hpp"

namespace exdb {
namespace {

class CursorCost : public DatabaseTest {
 protected:
  static constexpr int rows = 1000;
  std::unique_ptr<Connection> con = db->connect();

  /// Commits rows with ids and prices 0, 1, 2, …, and begins a transaction.
  void fill(int count, const std::string& name = "x") {
    con->start();
    for (int id = 0; id < count; ++id) put(*con, id, id, name);
    con->commit().or_throw();
    con->start();
  }
  std::uint64_t walked() const { return con->statistics().entries_walked; }
  template <class Body>
  std::uint64_t cost(Body&& body) {
    const auto before = walked();
    body();
    return walked() - before;
  }
  static int pass(Cursor& cursor, bool up = true) {
    int given = 0;
    for (auto row = up ? cursor.first() : cursor.last(); row;
         row = up ? cursor.next() : cursor.prev())
      ++given;
    return given;
  }
};

TEST_F(CursorCost, a_pass_over_changed_rows_walks_each_a_few_times) {
  fill(rows);
  for (int id = 0; id < rows; ++id) get(*con, id)->set("price", id + 1);
  auto tree = con->cursor(item, &by_price), plain = con->cursor(item);
  for (const bool up : {true, false}) {
    EXPECT_LE(cost([&] { EXPECT_EQ(pass(tree, up), rows); }), 3u * rows) << up;
    EXPECT_LE(cost([&] { EXPECT_EQ(pass(plain, up), rows); }), 3u * rows) << up;
  }
}

TEST_F(CursorCost, every_second_row_changed_costs_no_more) {
  fill(rows);
  for (int id = 0; id < rows; id += 2) get(*con, id)->set("price", 2 * rows + id);
  auto tree = con->cursor(item, &by_price);
  EXPECT_LE(cost([&] { EXPECT_EQ(pass(tree), rows); }), 3u * rows);
  EXPECT_LE(cost([&] { EXPECT_EQ(pass(tree, false), rows); }), 3u * rows);
}

TEST_F(CursorCost, removing_the_first_or_the_last_row_again_and_again_is_constant_a_turn) {
  for (const bool up : {true, false}) {
    for (const auto* index : {&by_price, static_cast<const IndexDef*>(nullptr)}) {
      fill(rows);
      auto cursor = con->cursor(item, index);
      int removed = 0;
      const auto steps = cost([&] {
        while (auto row = up ? cursor.first() : cursor.last()) {
          row->remove();
          ++removed;
        }
      });
      EXPECT_EQ(removed, rows);
      EXPECT_LE(steps, 8u * rows) << up << (index ? " tree" : " storage");
      con->rollback();
      con->start();
      con->delete_all(item);
      con->commit().or_throw();
    }
  }
}

TEST_F(CursorCost, removing_own_rows_from_the_front_is_constant_a_turn) {
  con->start();
  for (const auto* index : {&by_price, static_cast<const IndexDef*>(nullptr)}) {
    for (int id = 0; id < rows; ++id) put(*con, id, id);
    auto forgotten = con->cursor(item, index);
    ASSERT_TRUE(forgotten.next());
    auto cursor = con->cursor(item, index);
    const auto steps = cost([&] {
      while (auto row = cursor.first()) row->remove();
    });
    EXPECT_LE(steps, 8u * rows) << (index ? "tree" : "storage");
    EXPECT_FALSE(forgotten.next());
  }
}

TEST_F(CursorCost, a_queue_in_one_transaction_takes_its_next_row_at_once) {
  fill(rows, "waiting");
  for (const auto* index : {&of_name, &by_name}) {
    int taken = 0;
    const auto steps = cost([&] {
      while (auto row = con->find(*index, key("waiting"))) {
        row->set("name", "done");
        ++taken;
      }
    });
    EXPECT_EQ(taken, rows);
    EXPECT_LE(steps, 10u * rows) << index->name;
    con->rollback();
    con->start();
  }
}

TEST_F(CursorCost, a_walk_over_one_key_of_a_hash_passes_changed_rows_once) {
  fill(rows, "same");
  for (int id = 0; id < rows; ++id) get(*con, id)->set("price", id + 1);
  auto cursor = con->cursor(item, &of_name);
  int given = 0;
  const auto steps = cost([&] {
    ASSERT_TRUE(cursor.search(Operation::equals, key("same")));
    while (cursor.next()) ++given;
  });
  EXPECT_EQ(given, rows);
  EXPECT_LE(steps, 3u * rows);
}

TEST_F(CursorCost, the_first_of_ten_thousand_duplicates_is_found_in_a_few_steps) {
  fill(10'000, "same");
  auto cursor = con->cursor(item, &of_name);
  EXPECT_LE(cost([&] { EXPECT_TRUE(cursor.find(key("same"))); }), 4u);
  EXPECT_LE(cost([&] { EXPECT_TRUE(cursor.search(Operation::equals, key("same"))); }), 4u);
  put(*con, -1, -1, "other");  // the class is written now
  for (const auto* index : {&of_name, &by_name})
    EXPECT_LE(cost([&] { EXPECT_TRUE(con->find(*index, key("same"))); }), 4u) << index->name;
  EXPECT_LE(cost([&] { EXPECT_TRUE(cursor.find(key("same"))); }), 4u);
}

TEST_F(CursorCost, a_count_of_a_range_walks_what_it_counts) {
  fill(rows);
  const auto counted = [&](int low, int high) { return con->count(by_price, key(low), key(high)); };
  EXPECT_LE(cost([&] { EXPECT_EQ(counted(100, 109), 10u); }), 12u);
  for (int id = 100; id < 110; ++id) get(*con, id)->set("price", 105);
  EXPECT_LE(cost([&] { EXPECT_EQ(counted(100, 109), 10u); }), 25u);
  EXPECT_LE(cost([&] { EXPECT_EQ(counted(500, 500), 1u); }), 3u);
}

TEST_F(CursorCost, a_loop_that_moves_rows_ahead_of_its_cursor_passes_each_once) {
  fill(rows);
  for (int pass = 0; pass < 2; ++pass) {  // rows of the snapshot, then own ones
    auto cursor = con->cursor(item, &by_price);
    int given = 0;
    const auto steps = cost([&] {
      while (auto row = cursor.next()) {
        row->set("price", row->get("price").as_int() + rows);
        ASSERT_TRUE(get(*con, given));  // which enters the new key in order
        ++given;
      }
    });
    EXPECT_EQ(given, rows);
    EXPECT_LE(steps, 6u * rows);
  }
}

TEST_F(CursorCost, rows_that_all_changed_after_the_cursor_began_are_passed_once) {
  con->start();
  for (int id = 0; id < rows; ++id) put(*con, id, 2 * id);
  auto cursor = con->cursor(item, &by_price);
  for (int id = 0; id < rows; ++id) get(*con, id)->set("price", 2 * id + 1);
  ASSERT_EQ(con->count(by_price, {}, {}), std::uint64_t{rows});
  int given = 0;
  const auto steps = cost([&] {
    while (cursor.next()) ++given;
  });
  EXPECT_EQ(given, rows);
  EXPECT_LE(steps, 3u * rows);
}

}  // namespace
}  // namespace exdb
