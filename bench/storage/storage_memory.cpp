// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a row cost in memory beside its own bytes, and where do they go?
// Each class is measured by itself; the difference to the one without an index is the index's.
//   used      what the allocator has given out and not got back: slots, versions, cells of hash
//             tables, nodes of trees, directories
//   resident  growth of the process while the rows were loaded: with the writer's books and what
//             malloc keeps of a round
// Goal: used - row's own bytes <= 95 for five integers of 8 bytes, with any one index.
// Not a goal: what a transaction takes while it is open (its own writes, its record).
// Usage: storage_memory [--rows N]
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "common/bench.hpp"
#include "schema/row.hpp"
#include "storage/storage.hpp"

namespace exdb::bench {
namespace {

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct Subject {
  const char* what;
  std::string fields, index;
  bool in_key_order = true;
};

void measure(const Subject& subject, std::uint64_t rows) {
  const auto dictionary = Dictionary::parse("declare database memory; class R { signed<8> id; " +
                                            subject.fields + subject.index + " };")
                              .value();
  const auto& type = dictionary->classes().front();
  std::vector<std::uint64_t> ids(rows);
  std::iota(ids.begin(), ids.end(), 0);
  if (!subject.in_key_order) std::ranges::shuffle(ids, std::mt19937_64(1));
  RowBuilder row(type);

  const auto before = resident_bytes();
  const auto storage = Storage::create(dictionary, {}).value();
  const auto empty = storage->statistics().bytes_used;
  Csn csn;
  std::size_t row_bytes = 0;
  for (const auto id : ids) {
    row.set("id", static_cast<std::int64_t>(id));
    if (dictionary->find_class("R")->record.has_references) row.set("name", std::to_string(id));
    const auto bytes = row.finish();
    row_bytes = bytes.size();
    storage->insert(type.id, bytes, csn = csn.next());
    if (csn.value % 256 == 0) storage->publish();
  }
  for (int i = 0; i < 100; ++i) storage->publish();
  const auto a_row = [&](std::size_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(rows);
  };
  const auto statistics = storage->statistics();
  std::printf("%-40s %6zu %10.1f %10.1f %10.1f %12.0f\n", subject.what, row_bytes,
              a_row(statistics.bytes_used - empty),
              a_row(statistics.bytes_used - empty) - static_cast<double>(row_bytes),
              a_row(resident_bytes() - before),
              static_cast<double>(statistics.bytes_reserved) / (1 << 20));
}

void run(std::uint64_t rows) {
  std::printf("%llu rows, bytes a row\n%-40s %6s %10s %10s %10s %12s\n",
              static_cast<unsigned long long>(rows), "", "row", "used", "beside it", "resident",
              "reserved MiB");
  const std::string five = "signed<8> a; signed<8> b; signed<8> c; signed<8> d; ";
  measure({"five integers, no index", five, "list;"}, rows);
  measure({"  unique hash", five, "unique hash<id> h;"}, rows);
  measure({"  unique tree, keys ascending", five, "unique tree<id> t;"}, rows);
  measure({"  unique tree, keys in no order", five, "unique tree<id> t;", false}, rows);
  measure({"  unique hash and tree", five, "unique hash<id> h; tree<id, a> t;"}, rows);
  measure({"eight integers, unique hash", five + "signed<8> e; signed<8> f; signed<8> g; ",
           "unique hash<id> h;"},
          rows);
  measure({"a string of 6, unique hash", "string name; ", "unique hash<id> h;"}, rows);
}

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  try {
    std::uint64_t rows = 100'000;
    exdb::bench::CommandLine("storage_memory").number("--rows", rows).read(argc, argv);
    exdb::bench::run(rows);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "storage_memory: %s\n", error.what());
    return 1;
  }
}
