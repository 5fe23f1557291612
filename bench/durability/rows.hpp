// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows that both benchmarks of durability write: 64 bytes and a unique key.
#pragma once
#include <memory>
#include <vector>

#include "common/bench.hpp"
#include "exdb/exdb.hpp"

namespace exdb::bench {

constexpr int hot_rows = 4096;  ///< that commits change

struct Rows {
  const std::shared_ptr<const Dictionary> schema =
      Dictionary::parse(
          "class Row { int8 id; int8 a; int8 b; int8 c; int8 d; int8 e; int8 f; int8 g;"
          " unique hash<id> by_id; };")
          .value();
  const ClassDef& type = schema->classes()[0];
  const IndexDef& by_id = schema->indexes()[0];
  const Field<std::int64_t> id = type.field<std::int64_t>("id"), a = type.field<std::int64_t>("a");

  void create(Connection& con, std::int64_t key) const { con.create(type).set(id, key); }
  /// In a transaction that is open.
  void change(Connection& con, std::int64_t key, std::int64_t to) const {
    const Value wanted[] = {key};
    con.find(by_id, wanted)->set(a, to);
  }
};

inline double median(std::vector<double> values) { return summary(std::move(values)).median; }

}  // namespace exdb::bench
