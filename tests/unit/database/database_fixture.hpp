// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// An embedded database of two classes, and short words for tests.
#pragma once
#include <gtest/gtest.h>

#include "exdb/exdb.hpp"
#include "schema/row.hpp"

namespace exdb {

inline constexpr const char* test_schema = R"(
  declare database test;
  class Item {
    int4 id; int4 price; string name; vector<double> samples;
    unique hash<id> by_id;
    tree<price> by_price;
    tree<name, price desc> by_name;
    nonunique hash<name> of_name;
    list all;
  };
  class Ticket { string text; autoid; };
  local class Scratch { int4 id; int4 v; unique tree<id> by_id; };
)";

class DatabaseTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  std::unique_ptr<Database> db = Database::open("test", schema, options());
  const ClassDef& item = *schema->find_class("Item");
  const IndexDef& by_id = *schema->find_index(item.id, "by_id");
  const IndexDef& by_price = *schema->find_index(item.id, "by_price");
  const IndexDef& by_name = *schema->find_index(item.id, "by_name");
  const IndexDef& of_name = *schema->find_index(item.id, "of_name");

  static DatabaseOptions options() {
    DatabaseOptions made;
    made.segment_bytes = std::size_t{4} << 20;
    return made;
  }
  static std::vector<Value> key(auto... parts) { return {Value(parts)...}; }

  Object put(Connection& con, int id, int price, const std::string& name = "x") {
    auto object = con.create(item);
    object.set("id", id);
    object.set("price", price);
    object.set("name", name);
    return object;
  }
  std::optional<Object> get(Connection& con, int id) { return con.find(by_id, key(id)); }
  int price(Connection& con, int id) {
    const auto found = get(con, id);
    return found ? static_cast<int>(found->get("price").as_int()) : -1;
  }
  /// Commits one item with a transaction of its own.
  void store(int id, int item_price, const std::string& name = "x") {
    auto con = db->connect();
    con->start();
    put(*con, id, item_price, name);
    con->commit().or_throw();
  }
  static TransactionOptions with(Isolation isolation,
                                 TransactionType type = TransactionType::read_write) {
    TransactionOptions made;
    made.isolation = isolation;
    made.type = type;
    return made;
  }
};

#define EXPECT_ERROR(statement, wanted)                                 \
  try {                                                                 \
    static_cast<void>(statement);                                       \
    ADD_FAILURE() << #statement " threw nothing";                       \
  } catch (const ::exdb::Error& error) {                                \
    EXPECT_EQ(error.code(), ::exdb::ErrorCode::wanted) << error.what(); \
  }

}  // namespace exdb
