// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "database_fixture.hpp"

namespace exdb {
namespace {

class RangeTest : public DatabaseTest {
 protected:
  std::unique_ptr<Connection> con = db->connect();

  static std::vector<int> ids_of(Cursor cursor, bool back = false) {
    std::vector<int> ids;
    for (auto row = back ? cursor.last() : cursor.next(); row;
         row = back ? cursor.prev() : cursor.next())
      ids.push_back(static_cast<int>(row->get("id").as_int()));
    return ids;
  }
  std::vector<int> ranged(const IndexDef& index, const std::vector<Value>& low,
                          const std::vector<Value>& high) {
    auto ids = ids_of(con->range(index, low, high));
    auto back = ids_of(con->range(index, low, high), true);
    std::reverse(back.begin(), back.end());
    EXPECT_EQ(ids, back);
    EXPECT_EQ(con->count(index, low, high), ids.size());
    return ids;
  }
  /// By (name, price descending): 1, 2 of "a"; 3, 4, 5 of "b"; 6 of "c".
  void fill() {
    store(2, 10, "a");
    store(1, 30, "a");
    store(5, 10, "b");
    store(4, 20, "b");
    store(3, 30, "b");
    store(6, 20, "c");
    con->start();
  }
};

using Ids = std::vector<int>;

TEST_F(RangeTest, both_ends_are_included_and_an_empty_one_is_no_bound) {
  for (int id = 1; id <= 5; ++id) store(id, id * 10);
  con->start();
  EXPECT_EQ(ranged(by_price, key(20), key(40)), (Ids{2, 3, 4}));
  EXPECT_EQ(ranged(by_price, key(21), key(39)), (Ids{3}));
  EXPECT_EQ(ranged(by_price, key(40), {}), (Ids{4, 5}));
  EXPECT_EQ(ranged(by_price, {}, key(20)), (Ids{1, 2}));
  EXPECT_EQ(ranged(by_price, {}, {}), (Ids{1, 2, 3, 4, 5}));
  EXPECT_EQ(ranged(by_price, key(30), key(30)), (Ids{3}));
  EXPECT_EQ(ranged(by_price, key(40), key(20)), (Ids{}));
}

TEST_F(RangeTest, leading_parts_include_all_that_begin_so) {
  fill();
  EXPECT_EQ(ranged(by_name, key("a"), key("b")), (Ids{1, 2, 3, 4, 5}));
  EXPECT_EQ(ranged(by_name, key("b"), key("b")), (Ids{3, 4, 5}));
  EXPECT_EQ(ranged(by_name, key("b"), {}), (Ids{3, 4, 5, 6}));
}

TEST_F(RangeTest, a_part_that_descends_runs_from_high_to_low) {
  fill();
  EXPECT_EQ(ranged(by_name, key("b", 10), key("b", 20)), (Ids{4, 5}));
  EXPECT_EQ(ranged(by_name, key("b", 20), key("b", 10)), (Ids{}));
  EXPECT_EQ(ranged(by_name, key("b"), key("b", 20)), (Ids{4, 5}));
  EXPECT_EQ(ranged(by_name, key("b", 20), key("b")), (Ids{3, 4}));
  // The names differ, and ascend: from (a, 10) to (b, 20) as the index runs.
  EXPECT_EQ(ranged(by_name, key("a", 10), key("b", 20)), (Ids{2, 3, 4}));
}

TEST_F(RangeTest, a_limit_counts_what_next_gives_and_first_begins_anew) {
  for (int id = 1; id <= 9; ++id) store(id, id);
  con->start();
  auto cursor = con->range(by_price, key(3), key(8), 2);
  EXPECT_EQ(cursor.next()->get("id").as_int(), 3);
  EXPECT_EQ(cursor.next()->get("id").as_int(), 4);
  EXPECT_FALSE(cursor.next());
  EXPECT_EQ(cursor.current()->get("id").as_int(), 4);
  EXPECT_EQ(cursor.prev()->get("id").as_int(), 3);
  EXPECT_FALSE(cursor.next());
  EXPECT_FALSE(cursor.prev());
  EXPECT_EQ(cursor.first()->get("id").as_int(), 3);
  EXPECT_TRUE(cursor.next());
  EXPECT_FALSE(cursor.next());
  EXPECT_EQ(cursor.last()->get("id").as_int(), 8);
  EXPECT_EQ(cursor.prev()->get("id").as_int(), 7);
  EXPECT_FALSE(con->range(by_price, {}, {}, 0).next());
}

TEST_F(RangeTest, searches_of_its_cursor_stay_within_the_range) {
  for (int id = 1; id <= 9; ++id) store(id, id);
  con->start();
  auto cursor = con->range(by_price, key(3), key(6));
  ASSERT_TRUE(cursor.search(Operation::greater_than, key(4)));
  EXPECT_EQ(cursor.next()->get("id").as_int(), 5);
  EXPECT_EQ(cursor.next()->get("id").as_int(), 6);
  EXPECT_FALSE(cursor.next());
  EXPECT_FALSE(cursor.search(Operation::equals, key(7)));
  EXPECT_FALSE(cursor.search(Operation::less_than, key(3)));
  EXPECT_EQ(cursor.first()->get("id").as_int(), 3);
}

TEST_F(RangeTest, what_an_index_cannot_do_is_refused_with_its_name) {
  con->start();
  const auto& all = *schema->find_index(item.id, "all");
  EXPECT_ERROR(con->range(by_id, key(1), key(2)), unsupported);
  EXPECT_ERROR(con->count(of_name, key("a"), key("b")), unsupported);
  EXPECT_ERROR(con->range(all, {}, {}), unsupported);
  EXPECT_ERROR(con->range(by_price, key(1, 2), {}), conversion);
  EXPECT_ERROR(con->range(by_price, key("text"), {}), conversion);
  EXPECT_ERROR(con->find(all, key(1)), unsupported);
  EXPECT_ERROR(con->find(by_id, key(1, 2)), conversion);
  EXPECT_ERROR(con->find(by_id, {}), conversion);
  try {
    con->range(by_id, key(1), key(2));
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("by_id"), std::string::npos) << error.what();
  }
  con->commit();
  EXPECT_ERROR(con->range(by_price, {}, {}), transaction_not_active);
  EXPECT_ERROR(con->count(by_price, {}, {}), transaction_not_active);
}

TEST_F(RangeTest, find_takes_the_leading_parts_of_a_tree_s_key) {
  fill();
  EXPECT_EQ(con->find(by_name, key("b"))->get("id").as_int(), 3);
  EXPECT_EQ(con->find(by_name, key("b", 20))->get("id").as_int(), 4);
  EXPECT_FALSE(con->find(by_name, key("d")));
  put(*con, 7, 40, "b");
  EXPECT_EQ(con->find(by_name, key("b"))->get("id").as_int(), 7);
  get(*con, 7)->remove();
  get(*con, 3)->set("name", "d");
  EXPECT_EQ(con->find(by_name, key("b"))->get("id").as_int(), 4);
  EXPECT_EQ(con->find(by_name, key("d"))->get("id").as_int(), 3);
  const auto found = con->find_many(by_name, std::vector{key("a"), key("z"), key("b", 10)});
  EXPECT_EQ(found[0]->get("id").as_int(), 1);
  EXPECT_FALSE(found[1]);
  EXPECT_EQ(found[2]->get("id").as_int(), 5);
}

TEST_F(RangeTest, random_ranges_and_counts_agree_with_a_model) {
  std::mt19937 random(11);
  const auto below = [&](int bound) { return static_cast<int>(random() % unsigned(bound)); };
  std::map<int, std::pair<std::string, int>> model;
  for (int transaction = 0; transaction < 60; ++transaction) {
    con->start();
    for (int action = 0; action < 30; ++action) {
      const int id = below(50), price = below(20);
      const auto name = std::string(1, static_cast<char>('a' + below(4)));
      if (auto row = get(*con, id); row && below(3) == 0) {
        row->remove();
        model.erase(id);
      } else {
        auto kept = row ? *row : put(*con, id, price);
        kept.set("price", price);
        kept.set("name", name);
        model[id] = {name, price};
      }
      const int low = below(22) - 1, high = below(22) - 1;
      const auto to = std::string(1, static_cast<char>('a' + below(4)));
      std::set<int> by_price_ids, in_name, of_names;
      for (const auto& [each, row] : model) {
        if (row.second >= low && row.second <= high) by_price_ids.insert(each);
        if (row.first == name && row.second >= low && row.second <= high) in_name.insert(each);
        if (row.first >= name && row.first <= to) of_names.insert(each);
      }
      const auto as_set = [](const Ids& ids) { return std::set(ids.begin(), ids.end()); };
      ASSERT_EQ(as_set(ranged(by_price, key(low), key(high))), by_price_ids);
      ASSERT_EQ(as_set(ranged(by_name, key(name, low), key(name, high))), in_name);
      ASSERT_EQ(as_set(ranged(by_name, key(name), key(to))), of_names);
      const auto first = con->find(by_name, key(name));
      int greatest = -1;
      for (const auto& [each, row] : model)
        if (row.first == name) greatest = std::max(greatest, row.second);
      ASSERT_EQ(first.has_value(), greatest >= 0);
      if (first) {
        ASSERT_EQ(first->get("price").as_int(), greatest);
      }
    }
    ASSERT_TRUE(con->commit());
  }
}

/// What a range, a count and a find with leading parts have read, and what not.
class SerializableRange : public DatabaseTest {
 protected:
  int stored = 100;
  void SetUp() override {
    for (int id = 1; id <= 5; ++id) store(id, id * 10, id < 4 ? "a" : "b");
  }
  ErrorCode end_of(const std::function<void(Connection&)>& read, int price,
                   const std::string& name = "z") {
    auto con = db->connect();
    con->start(with(Isolation::serializable));
    read(*con);
    store(++stored, price, name);
    put(*con, ++stored, 1000);
    return con->commit().code;
  }
};

TEST_F(SerializableRange, a_range_walked_to_its_end_was_read_and_nothing_beside_it) {
  const auto walk = [&](Connection& con) {
    auto cursor = con.range(by_price, key(20), key(40));
    while (cursor.next()) continue;
  };
  EXPECT_EQ(end_of(walk, 41), ErrorCode::ok);
  EXPECT_EQ(end_of(walk, 19), ErrorCode::ok);
  EXPECT_EQ(end_of(walk, 40), ErrorCode::conflict);
  EXPECT_EQ(end_of(walk, 20), ErrorCode::conflict);
}

TEST_F(SerializableRange, a_limit_ends_what_was_read) {
  const auto walk = [&](Connection& con) {
    auto cursor = con.range(by_price, key(15), key(45), 2);
    while (cursor.next()) continue;  // 20 and 30
  };
  EXPECT_EQ(end_of(walk, 31), ErrorCode::ok);
  EXPECT_EQ(end_of(walk, 25), ErrorCode::conflict);
  EXPECT_EQ(end_of([&](Connection& con) { (void)con.range(by_price, {}, {}); }, 15), ErrorCode::ok);
}

TEST_F(SerializableRange, a_count_has_read_its_range_also_where_it_is_empty) {
  const auto count = [&](int low, int high) {
    return [this, low, high](Connection& con) { (void)con.count(by_price, key(low), key(high)); };
  };
  EXPECT_EQ(end_of(count(11, 19), 20), ErrorCode::ok);
  EXPECT_EQ(end_of(count(11, 19), 15), ErrorCode::conflict);
  EXPECT_EQ(end_of(count(19, 11), 16), ErrorCode::ok);
  EXPECT_EQ(end_of([&](Connection& con) { (void)con.count(by_price, {}, {}); }, 1),
            ErrorCode::conflict);
}

TEST_F(SerializableRange, a_find_with_leading_parts_has_read_up_to_its_match) {
  const auto find = [&](Connection& con) { (void)con.find(by_name, key("a")); };  // price 30
  EXPECT_EQ(end_of(find, 29, "a"), ErrorCode::ok);
  EXPECT_EQ(end_of(find, 31, "a"), ErrorCode::conflict);
  const auto none = [&](Connection& con) { (void)con.find(by_name, key("c")); };
  EXPECT_EQ(end_of(none, 1, "d"), ErrorCode::ok);
  EXPECT_EQ(end_of(none, 1, "c"), ErrorCode::conflict);
}

}  // namespace
}  // namespace exdb
