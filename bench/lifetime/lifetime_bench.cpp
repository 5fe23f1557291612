// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: how long do opening and closing a database take, by the number of ranks?
// Floor, in the same run: what MPI needs for it, three duplications of the communicator, a barrier,
// and freeing them. Goal: none. Non-goal: bringing rows to a node that comes late (cluster_bench).
// Check: each time every rank sees all nodes, and the row that rank 0 has committed.
// Use: mpiexec -n 4 lifetime_bench [--turns n] [--json file]
#include "common/ranks.hpp"
#include "common/report.hpp"

namespace exdb::bench {
namespace {

struct Options {
  int turns = 50;
  std::string json;
};

void run(const Options& options, const Ranks& ranks) {
  const auto schema = Dictionary::parse("class Row { int8 id; unique hash<id> by_id; };").value();
  std::vector<double> opening, closing, duplicating, freeing;
  for (int turn = 0; turn < options.turns; ++turn) {
    MPI_Comm made[3];
    barrier();
    auto start = Clock::now();
    for (auto& communicator : made) MPI_Comm_dup(MPI_COMM_WORLD, &communicator);
    duplicating.push_back(microseconds_since(start));
    start = Clock::now();
    MPI_Barrier(made[0]);
    for (auto& communicator : made) MPI_Comm_free(&communicator);
    freeing.push_back(microseconds_since(start));

    barrier();
    start = Clock::now();
    const auto db = open(schema);
    opening.push_back(microseconds_since(start));
    {
      const auto con = db->connect();
      if (ranks.first()) {
        con->start();
        con->create(schema->classes()[0]).set("id", turn);
        con->commit().or_throw();
      }
      settle(*db);
      con->start();
      const Value wanted[] = {turn};
      const bool found = con->find(schema->indexes()[0], wanted).has_value();
      con->rollback();
      require(found && db->nodes() == std::uint32_t(ranks.count),
              "a row or a node is not seen after opening");
    }
    require_equal_replicas(*db);
    start = Clock::now();
    db->close();
    closing.push_back(microseconds_since(start));
  }
  if (ranks.first()) std::printf("%d ranks\n", ranks.count);
  Report("lifetime", ranks.first())
      .number("ranks", ranks.count)
      .number("processors", ranks.processors)
      .summary("duplicate_us", summary(duplicating), "three MPI_Comm_dup, us")
      .summary("open_us", summary(opening), "open, us")
      .summary("free_us", summary(freeing), "barrier, three MPI_Comm_free, us")
      .summary("close_us", summary(closing), "close, us")
      .write(options.json);
}

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  using namespace exdb::bench;
  Options options;
  CommandLine("lifetime_bench")
      .number("--turns", options.turns, 1)
      .text("--json", options.json)
      .read(argc, argv);
  return on_ranks("lifetime_bench", [&](const Ranks& ranks) { run(options, ranks); });
}
