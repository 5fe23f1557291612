// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "database_fixture.hpp"

namespace exdb {
namespace {

class CursorTest : public DatabaseTest {
 protected:
  std::unique_ptr<Connection> con;

  std::vector<int> walk(Cursor& cursor, bool back = false) {
    std::vector<int> ids;
    while (const auto next = back ? cursor.prev() : cursor.next())
      ids.push_back(static_cast<int>(next->get("id").as_int()));
    return ids;
  }
  std::vector<int> found(const IndexDef& index, Operation operation, std::vector<Value> wanted) {
    auto cursor = con->cursor(item, &index);
    cursor.search(operation, wanted);
    return walk(cursor);
  }
};

TEST_F(CursorTest, every_operation_gives_its_match_first_and_stays_within_what_matches) {
  for (int id = 1; id <= 6; ++id) store(id, id * 10);
  con = db->connect();
  con->start();
  EXPECT_EQ(found(by_price, Operation::equals, key(30)), (std::vector{3}));
  EXPECT_EQ(found(by_price, Operation::greater_or_equals, key(40)), (std::vector{4, 5, 6}));
  EXPECT_EQ(found(by_price, Operation::greater_than, key(40)), (std::vector{5, 6}));
  EXPECT_EQ(found(by_price, Operation::less_than, key(30)), (std::vector{2, 1}));
  EXPECT_EQ(found(by_price, Operation::less_or_equals, key(30)), (std::vector{3, 2, 1}));
  EXPECT_EQ(found(by_price, Operation::greater_than, key(60)), (std::vector<int>{}));
  EXPECT_EQ(found(by_price, Operation::less_than, key(10)), (std::vector<int>{}));
  EXPECT_EQ(found(by_id, Operation::equals, key(4)), (std::vector{4}));
}

TEST_F(CursorTest, a_prefix_of_the_parts_and_a_prefix_of_a_text_find_their_rows) {
  store(1, 10, "apple");
  store(2, 30, "apple");
  store(3, 20, "apply");
  store(4, 20, "banana");
  con = db->connect();
  con->start();
  EXPECT_EQ(found(by_name, Operation::equals, key("apple")),
            (std::vector{2, 1}));  // price descends
  EXPECT_EQ(found(by_name, Operation::equals, key("apple", 10)), (std::vector{1}));
  EXPECT_EQ(found(by_name, Operation::prefix_match, key("app")), (std::vector{2, 1, 3}));
  EXPECT_EQ(found(by_name, Operation::greater_than, key("apple")), (std::vector{3, 4}));
  EXPECT_EQ(found(of_name, Operation::equals, key("apple")), (std::vector{1, 2}));
}

TEST_F(CursorTest, searches_that_an_index_cannot_do_are_refused) {
  con = db->connect();
  con->start();
  auto hash = con->cursor(item, &by_id);
  EXPECT_ERROR(hash.search(Operation::less_than, key(3)), unsupported);
  EXPECT_ERROR(hash.search(Operation::equals, key(3, 4)), conversion);
  auto plain = con->cursor(item);
  EXPECT_ERROR(plain.search(Operation::equals, key(3)), unsupported);
  con->commit();
  EXPECT_ERROR(plain.next(), cursor_closed);
}

TEST_F(CursorTest, first_last_next_prev_and_current_move_as_they_say) {
  for (int id = 1; id <= 3; ++id) store(id, id);
  con = db->connect();
  con->start();
  auto cursor = con->cursor(item, &by_price);
  EXPECT_FALSE(cursor.current());
  EXPECT_EQ(cursor.last()->get("id").as_int(), 3);
  EXPECT_EQ(cursor.prev()->get("id").as_int(), 2);
  EXPECT_EQ(cursor.current()->get("id").as_int(), 2);
  EXPECT_EQ(cursor.next()->get("id").as_int(), 3);
  EXPECT_FALSE(cursor.next());
  EXPECT_EQ(cursor.prev()->get("id").as_int(), 3);
  EXPECT_EQ(cursor.first()->get("id").as_int(), 1);
  EXPECT_FALSE(cursor.prev());
  EXPECT_EQ(cursor.next()->get("id").as_int(), 1);
  cursor.close();
  EXPECT_ERROR(cursor.next(), cursor_closed);
}

/// Own inserts, changes and removals between the steps of a walk, against a plain model, over tree
/// and storage order.
TEST_F(CursorTest, walks_agree_with_a_model_while_the_transaction_writes) {
  std::mt19937 random(7);
  std::map<int, int> committed;  // id -> price
  for (int id = 0; id < 60; ++id) {
    committed[id] = static_cast<int>(random() % 20);
    store(id, committed[id]);
  }
  for (int run = 0; run < 200; ++run) {
    con = db->connect();
    con->start();
    auto model = committed;
    for (int write = 0; write < 15; ++write) {
      const int id = static_cast<int>(random() % 90);
      const auto here = get(*con, id);
      ASSERT_EQ(here.has_value(), model.contains(id));
      if (here && random() % 3 == 0) {
        con->remove(*here);
        model.erase(id);
      } else {
        const int wanted = static_cast<int>(random() % 20);
        if (here) {
          Object(*here).set("price", wanted);
        } else {
          put(*con, id, wanted);
        }
        model[id] = wanted;
      }
    }
    // In the order of prices.
    std::vector<std::pair<int, int>> expected;
    for (const auto& [id, item_price] : model) expected.emplace_back(item_price, id);
    std::sort(expected.begin(), expected.end());
    std::vector<std::pair<int, int>> up, down;
    auto cursor = con->cursor(item, &by_price);
    for (auto row = cursor.first(); row; row = cursor.next())
      up.emplace_back(row->get("price").as_int(), row->get("id").as_int());
    for (auto row = cursor.last(); row; row = cursor.prev())
      down.emplace_back(row->get("price").as_int(), row->get("id").as_int());
    std::reverse(down.begin(), down.end());
    EXPECT_EQ(up, down);
    std::sort(up.begin(), up.end());
    EXPECT_EQ(up, expected);
    const int from = static_cast<int>(random() % 20);
    std::size_t above = 0;
    for (const auto& row : expected) above += row.first >= from;
    EXPECT_EQ(found(by_price, Operation::greater_or_equals, key(from)).size(), above);
    EXPECT_EQ(found(by_price, Operation::less_than, key(from)).size(), expected.size() - above);
    // In storage order.
    auto plain = con->cursor(item);
    const auto forward = walk(plain);
    auto backward = walk(plain, true);
    std::reverse(backward.begin(), backward.end());
    EXPECT_EQ(forward, backward);
    EXPECT_EQ(forward.size(), model.size());
    if (run % 2) {
      con->rollback();
    } else {
      ASSERT_TRUE(con->commit());
      committed = model;
    }
    con.reset();
  }
}

TEST_F(CursorTest, a_walk_that_changes_the_row_it_stands_on_goes_on_behind_it) {
  for (int id = 0; id < 50; ++id) store(id, id);
  con = db->connect();
  con->start();
  auto cursor = con->cursor(item, &by_price);
  int steps = 0;
  for (auto row = cursor.first(); row; row = cursor.next(), ++steps) {
    if (steps % 3 == 0) row->remove();
    if (steps % 3 == 1) row->set("name", "touched");
  }
  EXPECT_EQ(steps, 50);
  EXPECT_EQ(con->count(item), 33u);
}

TEST_F(CursorTest, a_search_above_the_greatest_key_of_all_finds_nothing) {
  const int greatest = std::numeric_limits<int>::max();
  store(1, greatest);
  store(2, 5);
  con = db->connect();
  con->start();
  EXPECT_EQ(found(by_price, Operation::greater_than, key(greatest)), (std::vector<int>{}));
  EXPECT_EQ(found(by_price, Operation::equals, key(greatest)), (std::vector{1}));
  EXPECT_EQ(found(by_price, Operation::less_or_equals, key(greatest)), (std::vector{1, 2}));
  EXPECT_EQ(found(by_price, Operation::less_than, key(std::numeric_limits<int>::min())),
            (std::vector<int>{}));
}

TEST_F(CursorTest, a_search_in_a_hash_gives_what_was_there_when_it_began) {
  for (int id = 1; id <= 4; ++id) store(id, id, "same");
  con = db->connect();
  con->start();
  auto cursor = con->cursor(item, &of_name);
  ASSERT_TRUE(cursor.search(Operation::equals, key("same")));
  EXPECT_EQ(cursor.next()->get("id").as_int(), 1);
  get(*con, 2)->set("name", "other");  // carries the key no longer
  get(*con, 3)->set("price", 33);
  put(*con, 9, 9, "same");
  get(*con, 4)->remove();
  EXPECT_EQ(walk(cursor), (std::vector{2, 3}));
  EXPECT_EQ(walk(cursor, true), (std::vector{3, 2, 1}));
  EXPECT_EQ(walk(cursor), (std::vector{1, 2, 3}));
  EXPECT_EQ(found(of_name, Operation::equals, key("same")), (std::vector{1, 3, 9}));
}

TEST_F(CursorTest, a_key_that_is_too_long_leaves_no_other_key_of_its_row_behind) {
  con = db->connect();
  con->start();
  auto row = put(*con, 1, 10);
  row.set("name", std::string(2000, 'x'));
  EXPECT_ERROR(con->cursor(item, &by_price).first(), key_too_long);
  row.set("name", "short");
  row.set("price", 20);
  EXPECT_EQ(found(by_price, Operation::greater_or_equals, key(0)), (std::vector{1}));
  EXPECT_EQ(found(by_price, Operation::equals, key(10)), (std::vector<int>{}));
  EXPECT_TRUE(con->commit());
}

}  // namespace
}  // namespace exdb
