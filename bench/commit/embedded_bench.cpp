// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a one-row commit cost when no network does, and what does a row cost in memory
// while its transaction is open? Alone (no cluster), and as two nodes in one thread over the
// in-process transport: so an instruction counter (valgrind --tool=callgrind) sees a whole exchange.
// Floor: the same row put into storage and published, in the same run.
// Goal: alone 460 ns from start to commit; half of the 600 bytes that an open row cost.
// Non-goal: throughput of many connections, which is commit_bench's.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "cluster/local_transport.hpp"
#include "common/bench.hpp"
#include "exdb/exdb.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

namespace {

using namespace exdb;
using bench::Clock;

constexpr const char* schema_text =
    "class Row { int8 id; int8 a; int8 b; int8 c; int8 d; int8 e; int8 f; int8 g;"
    " unique hash<id> by_id; };";

struct Options {
  int commits = 20'000;  ///< a run
  int runs = 15;         ///< of which the best and the median are told
  int rows = 4096;
  int open_rows = 100'000;
  std::string only;  ///< floor, alone, two, open
  std::string json;
};

Options parse(int argc, char** argv) {
  Options options;
  bench::CommandLine("embedded_bench")
      .number("--commits", options.commits, 1)
      .number("--runs", options.runs, 1)
      .number("--open-rows", options.open_rows, 1)
      .text("--only", options.only, "floor|alone|two|open")
      .text("--json", options.json)
      .read(argc, argv);
  return options;
}

struct Figure {
  double best_ns = 0, median_ns = 0;
};

/// Of `runs` runs of `commits` calls each: nanoseconds a call.
template <class Call>
Figure measure(const Options& options, Call&& call) {
  std::vector<double> times;
  int number = 0;
  for (int run = 0; run < options.runs; ++run) {
    const auto start = Clock::now();
    for (int i = 0; i < options.commits; ++i) call(number++);
    times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count() /
                    options.commits);
  }
  const auto all = bench::summary(std::move(times));
  return {all.least, all.median};
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        schema_(Dictionary::parse(schema_text).value()),
        type_(schema_->classes()[0]),
        by_id_(schema_->indexes()[0]),
        a_(type_.field<std::int64_t>("a")) {}

  /// One row into storage, published.
  Figure floor() {
    auto storage = Storage::create(schema_, {}).value();
    std::vector<std::byte> row(type_.record.size);
    Csn csn;
    const auto write = [&](int i, auto&& how) {
      csn = csn.next();
      std::memcpy(row.data() + a_.place().offset, &i, sizeof i);
      how();
      storage->publish(csn);
    };
    const auto id_at = type_.field<std::int64_t>("id").place().offset;
    for (std::int64_t i = 0; i < options_.rows; ++i) {
      std::memcpy(row.data() + id_at, &i, sizeof i);
      write(0, [&] { storage->insert(type_.id, row, csn); });
    }
    return measure(options_, [&](int i) {
      const std::int64_t id = i % options_.rows;
      std::memcpy(row.data() + id_at, &id, sizeof id);
      write(i, [&] { storage->update(type_.id, SlotId{std::uint64_t(id)}, row, csn); });
    });
  }

  Figure alone() {
    auto db = Database::open("bench", schema_, {});
    auto con = db->connect();
    fill(*con, 0);
    return measure(options_, [&](int i) {
      change(*con, i % options_.rows, i);
      con->commit().or_throw();
    });
  }

  /// A commit of each node, both in one round. Figures are of one node's.
  Figure two() {
    LocalNetwork network({.nodes = 2});
    std::vector<std::future<std::unique_ptr<Database>>> opening;
    for (std::uint32_t node = 0; node < 2; ++node)
      opening.push_back(std::async(std::launch::async, [&, node] {
        ClusterParams params;
        params.transport = network.endpoint(node);
        params.progress = Progress::cooperative;
        return Database::open("bench", schema_, {}, std::move(params));
      }));
    std::vector<std::unique_ptr<Database>> db;
    std::vector<std::unique_ptr<Connection>> con;
    for (auto& each : opening) db.push_back(each.get());
    for (auto& each : db) con.push_back(each->connect());
    con[0]->start();
    for (int i = 0; i < 2 * options_.rows; ++i) con[0]->create(type_).set("id", std::int64_t{i});
    con[0]->commit_later();
    while (db[1]->published() == Csn{}) (void)(db[0]->progress() | db[1]->progress());
    con[0]->wait().or_throw();
    auto figure = measure(options_, [&](int i) {
      for (int node = 0; node < 2; ++node)
        change(*con[node], node * options_.rows + i % options_.rows, i);
      for (auto& each : con) each->commit_later();
      db[1]->progress();
      for (auto& each : con) each->wait().or_throw();
    });
    const bool equal = db[0]->digest() == db[1]->digest();
    for (auto& each : db) each->abandon();
    if (!equal) {
      std::fprintf(stderr, "embedded_bench: the replicas differ\n");
      std::exit(1);
    }
    return {figure.best_ns / 2, figure.median_ns / 2};
  }

  /// Bytes of the heap a row of a transaction that creates many and is open.
  double open_bytes() {
    auto db = Database::open("bench", schema_, {});
    auto con = db->connect();
    con->start();
    const auto before = mallinfo2();
    for (int i = 0; i < options_.open_rows; ++i) con->create(type_).set("id", std::int64_t{i});
    const auto after = mallinfo2();
    con->rollback();
    return static_cast<double>(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
           options_.open_rows;
  }

 private:
  void fill(Connection& con, int from) {
    con.start();
    for (int i = 0; i < options_.rows; ++i) con.create(type_).set("id", std::int64_t{from + i});
    con.commit().or_throw();
  }
  void change(Connection& con, int id, int to) {
    con.start();
    const Value wanted[] = {std::int64_t{id}};
    con.find(by_id_, wanted)->set(a_, std::int64_t{to});
  }

  const Options& options_;
  std::shared_ptr<const Dictionary> schema_;
  const ClassDef& type_;
  const IndexDef& by_id_;
  Field<std::int64_t> a_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  Bench bench(options);
  const auto wanted = [&](const char* what) {
    return options.only.empty() || options.only == what;
  };
  Figure floor, alone, two;
  double open = 0;
  if (wanted("floor")) floor = bench.floor();
  if (wanted("alone")) alone = bench.alone();
  if (wanted("two")) two = bench.two();
  if (wanted("open")) open = bench.open_bytes();
  std::printf("%-52s %8s %8s\n", "", "best ns", "median");
  std::printf("%-52s %8.0f %8.0f\n", "one row into storage, published", floor.best_ns,
              floor.median_ns);
  std::printf("%-52s %8.0f %8.0f  (goal: 460)\n", "start, find, set, commit of one row, alone",
              alone.best_ns, alone.median_ns);
  std::printf("%-52s %8.0f %8.0f\n", "the same in a round of two nodes in one thread, each",
              two.best_ns, two.median_ns);
  std::printf("%-52s %8.0f  (goal: 300)\n",
              "heap bytes a row of 72 bytes, created and not committed", open);
  if (!options.json.empty()) {
    std::ofstream(options.json) << "{\"benchmark\": \"embedded\", \"floor_ns\": " << floor.best_ns
                                << ", \"alone_ns\": " << alone.best_ns
                                << ", \"two_ns\": " << two.best_ns
                                << ", \"open_row_bytes\": " << open << "}\n";
  }
  return 0;
}
