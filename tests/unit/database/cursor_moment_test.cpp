// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// C1 to C5 of Cursor: walks of all kinds, forth and back, with own writes between the steps, against
// the list of rows that were there when the walk began.
#include <algorithm>
#include <map>
#include <random>

#include "database_fixture.hpp"

namespace exdb {
namespace {

class CursorMoment : public DatabaseTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  static constexpr int ids = 40, prices = 15;
  std::mt19937 random{GetParam()};
  std::unique_ptr<Connection> con = db->connect();
  std::map<int, std::pair<int, std::string>> model;  // id -> price, name

  int below(int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); }
  std::string any_name() { return std::string(1, static_cast<char>('a' + below(3))); }

  void write() {
    const int id = below(ids);
    const auto here = get(*con, id);
    ASSERT_EQ(here.has_value(), model.contains(id));
    const int wanted = below(prices);
    const auto name = any_name();
    if (!here) {
      put(*con, id, wanted, name);
    } else if (below(3) == 0) {
      con->remove(*here);
      model.erase(id);
      return;
    } else if (below(3) == 0) {
      Object(*here).set("price", wanted);
      model[id].first = wanted;
      return;
    } else {
      Object(*here).set("price", wanted);
      Object(*here).set("name", name);
    }
    model[id] = {wanted, name};
  }

  struct Walk {
    Cursor cursor;
    bool downward = false;
    std::vector<int> rows;    // ids, upward
    int place = -1;           // rows.size(): behind the last
    std::map<int, int> made;  // id -> how often the id had been made when it began
  };
  std::map<int, int> made;  // ids that are removed come back as other rows

  /// A walk of any kind, and by an equal one, taken at once, what it has to give.
  Walk begin() {
    const int kind = below(7), bound = below(prices), width = below(prices);
    const auto name = any_name();
    const auto open = [&] {
      Walk walk;
      if (kind == 0) walk.cursor = con->cursor(item);
      if (kind == 1 || kind == 3 || kind == 4) walk.cursor = con->cursor(item, &by_price);
      if (kind == 2) walk.cursor = con->cursor(item, &of_name);
      if (kind == 5) walk.cursor = con->range(by_price, key(bound), key(bound + width));
      if (kind == 6) walk.cursor = con->range(by_name, key("b"), key(name));
      if (kind == 2) walk.cursor.search(Operation::equals, key(name));
      if (kind == 3) walk.cursor.search(Operation::greater_or_equals, key(bound));
      if (kind == 4) {
        walk.downward = true;
        walk.cursor.search(Operation::less_or_equals, key(bound));
      }
      return walk;
    };
    auto walk = open(), whole = open();
    while (const auto row = whole.cursor.next())
      walk.rows.push_back(static_cast<int>(row->get("id").as_int()));
    std::size_t expected = 0;
    for (const auto& [id, row] : model) {
      expected += kind <= 1   ? 1
                  : kind == 2 ? row.second == name
                  : kind == 3 ? row.first >= bound
                  : kind == 4 ? row.first <= bound
                  : kind == 5 ? row.first >= bound && row.first <= bound + width
                              : row.second >= "b" && row.second <= name;
    }
    EXPECT_EQ(walk.rows.size(), expected) << "kind " << kind;
    if (walk.downward) {
      std::reverse(walk.rows.begin(), walk.rows.end());
      walk.place = static_cast<int>(walk.rows.size());
    }
    walk.made = made;
    return walk;
  }

  bool there(const Walk& walk, int place) {
    const int id = walk.rows[static_cast<std::size_t>(place)];
    return model.contains(id) && made_by(walk.made, id) == made_by(made, id);
  }
  static int made_by(const std::map<int, int>& counts, int id) {
    const auto found = counts.find(id);
    return found == counts.end() ? 0 : found->second;
  }

  void step(Walk& walk) {
    const bool forward = below(3) != 0, up = forward != walk.downward;
    const int size = static_cast<int>(walk.rows.size());
    do {
      walk.place += up ? 1 : -1;
    } while (walk.place >= 0 && walk.place < size && !there(walk, walk.place));
    walk.place = std::clamp(walk.place, -1, size);
    const auto row = forward ? walk.cursor.next() : walk.cursor.prev();
    ASSERT_EQ(row.has_value(), walk.place >= 0 && walk.place < size);
    if (!row) return;
    const int id = walk.rows[static_cast<std::size_t>(walk.place)];
    ASSERT_EQ(row->get("id").as_int(), id);
    ASSERT_EQ(row->get("price").as_int(), model.at(id).first);
    ASSERT_EQ(row->get("name").as_text(), model.at(id).second);
    ASSERT_EQ(walk.cursor.current()->get("id").as_int(), id);
  }
};

TEST_P(CursorMoment, walks_give_the_rows_that_were_there_with_what_they_have_now) {
  for (int transaction = 0; transaction < 60; ++transaction) {
    con->start();
    const auto before = model;
    std::vector<Walk> walks;
    for (int action = 0; action < 250; ++action) {
      const int what = below(12);
      if (what < 3) {
        const auto had = model;
        ASSERT_NO_FATAL_FAILURE(write());
        for (const auto& [id, row] : model)
          if (!had.contains(id)) ++made[id];
      } else if (what == 3 && walks.size() < 6) {
        walks.push_back(begin());
      } else if (what == 4 && !walks.empty() && below(3) == 0) {
        walks.erase(walks.begin() + below(static_cast<int>(walks.size())));
      } else if (!walks.empty()) {
        auto& walk = walks[random() % walks.size()];
        ASSERT_NO_FATAL_FAILURE(step(walk)) << "transaction " << transaction << " " << action;
      }
    }
    if (below(3) == 0) {
      con->rollback();
      model = before;
    } else {
      ASSERT_TRUE(con->commit());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CursorMoment, ::testing::Range(1u, 9u));

class CursorRule : public DatabaseTest {
 protected:
  std::unique_ptr<Connection> con = db->connect();
};

TEST_F(CursorRule, a_loop_that_moves_rows_ahead_of_its_cursor_ends) {
  for (int id = 0; id < 20; ++id) store(id, id);
  con->start();
  for (int pass = 0; pass < 3; ++pass) {
    int given = 0;
    auto cursor = con->cursor(item, &by_price);
    while (auto row = cursor.next()) {
      row->set("price", row->get("price").as_int() + 1);
      ASSERT_LE(++given, 20);
    }
    EXPECT_EQ(given, 20);
    // Each by one: the rows lie as they did.
    EXPECT_EQ(con->cursor(item, &by_price).last()->get("price").as_int(), 20 + pass);
  }
}

TEST_F(CursorRule, rows_made_while_a_cursor_is_open_are_for_the_next_walk) {
  store(1, 10);
  con->start();
  for (const auto* index : {&by_price, static_cast<const IndexDef*>(nullptr)}) {
    auto cursor = con->cursor(item, index);
    const auto had = con->count(item);
    std::uint64_t given = 0;
    while (cursor.next()) {
      ASSERT_LE(++given, had);
      put(*con, 100 + static_cast<int>(con->count(item)), 20);
    }
    EXPECT_EQ(given, had);
    EXPECT_EQ(con->count(item), 2 * had);
    EXPECT_TRUE(cursor.first());
    for (given = 1; cursor.next();) ++given;
    EXPECT_EQ(given, 2 * had);
  }
}

TEST_F(CursorRule, a_removed_row_is_passed_over_and_is_no_current_one) {
  for (int id = 1; id <= 4; ++id) store(id, id * 10);
  con->start();
  for (const auto* index : {&by_price, static_cast<const IndexDef*>(nullptr)}) {
    auto cursor = con->cursor(item, index);
    cursor.next();
    auto second = *cursor.next();
    second.remove();
    EXPECT_FALSE(cursor.current());
    get(*con, 3)->remove();
    EXPECT_EQ(cursor.next()->get("id").as_int(), 4);
    EXPECT_EQ(cursor.prev()->get("id").as_int(), 1);
    con->rollback();
    con->start();
  }
}

TEST_F(CursorRule, a_cursor_may_be_left_behind_by_its_transaction) {
  store(1, 10);
  auto cursor = Cursor();
  {
    auto other = db->connect();
    other->start();
    put(*other, 2, 20);
    cursor = other->cursor(item, &by_price);
    ASSERT_TRUE(cursor.next());
    other->rollback();
    EXPECT_FALSE(cursor.is_open());
    other->start();
    put(*other, 3, 30);
    EXPECT_EQ(other->count(by_price, {}, {}), 2u);
    EXPECT_ERROR(cursor.next(), cursor_closed);
    cursor.close();
  }
}

}  // namespace
}  // namespace exdb
