// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the ranks of a grid commit: each changes rows of its own.
//
// Threads: of one; fill_hot(), fill() and windowed() are COLLECTIVE over MPI_COMM_WORLD.
// Failure: as the database's.
#pragma once
#include <algorithm>

#include "common/ranks.hpp"
#include "durability/rows.hpp"

namespace exdb::bench {

class GridLoad {
 public:
  /// `depth`: commits under way at once on each rank.
  GridLoad(const Ranks& ranks, int depth) : ranks_(ranks), depth_(depth) {}

  [[nodiscard]] const std::shared_ptr<const Dictionary>& schema() const { return rows_.schema; }

  /// The rows that are changed.
  void fill_hot(Database& db) {
    put(*db.connect(), key(0), hot_rows);
    settle(db);
  }
  /// Those, and as many more from rank 0 that there are `rows` of all.
  void fill(Database& db, int rows) {
    constexpr int at_once = 1000;
    fill_hot(db);
    const auto con = db.connect();
    for (int i = hot_rows * ranks_.count; ranks_.first() && i < rows; i += at_once)
      put(*con, key(i), std::min(at_once, rows - i));
    settle(db);
  }

  void change_one(Database& db) {
    const auto con = db.connect();
    change(*con, 0, ++turn_);
    con->commit().or_throw();
  }
  /// One connection on each rank; microseconds of each commit here.
  std::vector<double> closed_loop(Database& db, int commits) {
    const auto con = db.connect();
    std::vector<double> times;
    for (int i = 0; i < commits; ++i) {
      change(*con, i % hot_rows, ++turn_);
      const auto start = Clock::now();
      con->commit().or_throw();
      times.push_back(microseconds_since(start));
    }
    return times;
  }
  /// Commits/s of all ranks, each with `depth` under way, as commit_bench has them.
  double windowed(Database& db, int commits) {
    std::vector<std::unique_ptr<Connection>> connections;
    for (int i = 0; i < depth_; ++i) connections.push_back(db.connect());
    barrier();
    const auto start = Clock::now();
    int done = 0;
    for (int turn = 0; done < commits; ++turn) {
      for (int i = 0; i < depth_; ++i) {
        auto& con = *connections[std::size_t(i)];
        if (turn > 0) con.wait().or_throw();
        change(con, i, ++turn_);
        con.commit_later();
        ++done;
      }
    }
    for (auto& con : connections) con->wait().or_throw();
    return sum(done / microseconds_since(start) * 1e6);
  }

 private:
  [[nodiscard]] std::int64_t key(int i) const { return std::int64_t{ranks_.rank} << 32 | i; }
  void put(Connection& con, std::int64_t first, int count) {
    con.start();
    for (int i = 0; i < count; ++i) rows_.create(con, first + i);
    con.commit().or_throw();
  }
  void change(Connection& con, int id, int to) {
    con.start();
    rows_.change(con, key(id), to);
  }

  const Ranks& ranks_;
  const int depth_;
  const Rows rows_;
  int turn_ = 0;
};

}  // namespace exdb::bench
