// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <exdb/exdb.hpp>

int main() {
  const auto schema =
      exdb::Dictionary::parse("class A { int4 id; unique hash<id> by_id; };").value();
  const auto db = exdb::Database::open("embedded", schema, {});
  const auto con = db->connect();
  con->start();
  con->create(schema->classes()[0]).set("id", 7);
  con->commit().or_throw();
  con->start();
  const exdb::Value key[] = {7};
  return con->find(schema->indexes()[0], key) ? 0 : 1;
}
