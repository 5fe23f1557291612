// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a read by key cost a program, through a Connection: many in one transaction,
// each in a transaction of its own; and the same while another rank commits without a pause?
// Floor, in the same run: a private flat hash map of the same rows, read the same way.
// Goal: reads beside a writer within 1.5 × reads alone, where both have a processor (a writer's
// commits evict lines of the reader's caches, and nothing else: reads take no lock). Non-goal: how
// storage itself reads (storage_bench).
// Check: every row read carries its key, and a pair of fields that every commit changes together is
// never seen torn; replicas are equal.
// Use: mpiexec -n 2 reads_bench [--rows n] [--batches n] [--json file]. Rank 0 reads, rank 1 writes.
#include <random>

#include "common/ranks.hpp"
#include "common/report.hpp"
#include "storage/private_maps.hpp"

namespace exdb::bench {
namespace {

constexpr const char* schema_text =
    "class Row { int8 id; int8 a; int8 minus_a; int8 c; int8 d; int8 e; int8 f; int8 g;"
    " unique hash<id> by_id; };";
constexpr int batch = 1000;

struct Options {
  int rows = 100'000, batches = 200;
  std::string json;
};

class Reads {
 public:
  Reads(const Options& options, const Ranks& ranks)
      : options_(options),
        ranks_(ranks),
        schema_(Dictionary::parse(schema_text).value()),
        db_(open(schema_)),
        con_(db_->connect()),
        id_(type().field<std::int64_t>("id")),
        a_(type().field<std::int64_t>("a")),
        minus_a_(type().field<std::int64_t>("minus_a")) {}

  void run() {
    fill();
    const bool reads = ranks_.first();
    Summary floor, many, single;
    if (reads) {
      floor = read_private();
      many = measure([&] { read_in_one(); });
      single = measure([&] { read_one_by_one(); });
    }
    barrier();
    MPI_Request over = MPI_REQUEST_NULL;
    int stop = 1;
    // It ends for the others when rank 0 begins it too, after its reads.
    if (!reads) MPI_Ibcast(&stop, 1, MPI_INT, 0, MPI_COMM_WORLD, &over);
    Summary many_beside, single_beside;
    double commits = 0;
    if (reads) {
      const auto before = await_a_writer();
      const auto start = Clock::now();
      many_beside = measure([&] { read_in_one(); });
      single_beside = measure([&] { read_one_by_one(); });
      commits = double(db_->published().value - before) / (microseconds_since(start) / 1e6);
      MPI_Ibcast(&stop, 1, MPI_INT, 0, MPI_COMM_WORLD, &over);
    } else if (ranks_.rank == 1) {
      write_until(over);
    }
    MPI_Wait(&over, MPI_STATUS_IGNORE);
    settle(*db_);
    require_equal_replicas(*db_);
    if (reads) std::printf("%d rows, ns a read\n", options_.rows);
    Report("reads", reads)
        .number("ranks", ranks_.count)
        .number("processors", ranks_.processors)
        .number("rows", options_.rows)
        .summary("private_ns", floor, "private flat hash map")
        .summary("many_ns", many, "find, many in a transaction")
        .summary("single_ns", single, "a transaction each")
        .summary("many_beside_ns", many_beside, "find, beside a writer")
        .summary("single_beside_ns", single_beside, "a transaction each, beside a writer")
        .number("commits_per_s", commits, "commits/s meanwhile")
        .write(options_.json);
    con_->close();
    db_->close();
  }

 private:
  [[nodiscard]] const ClassDef& type() const { return schema_->classes()[0]; }
  void fill() {
    for (int id = 1; ranks_.first() && id <= options_.rows;) {
      con_->start();
      for (int most = std::min(options_.rows, id + 9999); id <= most; ++id)
        con_->create(type()).set(id_, id);
      con_->commit().or_throw();
    }
    settle(*db_);
  }
  std::int64_t any() {
    return std::uniform_int_distribution<std::int64_t>(1, options_.rows)(random_);
  }
  /// Nanoseconds a read; `read` makes `batch` of them, of keys that are drawn before.
  template <class Read>
  Summary measure(Read read) {
    std::vector<double> times;
    for (int i = 0; i < options_.batches + options_.batches / 10; ++i) {
      for (auto& key : keys_) key = any();
      const auto start = Clock::now();
      read();
      if (i >= options_.batches / 10) times.push_back(1000 * microseconds_since(start) / batch);
    }
    return summary(std::move(times));
  }
  Summary read_private() {
    PrivateMap map(static_cast<std::size_t>(options_.rows));
    for (std::int64_t id = 1; id <= options_.rows; ++id)
      std::memcpy(map.at(std::uint64_t(id)).data(), &id, sizeof id);
    return measure([&] {
      for (const auto key : keys_) {
        std::int64_t id = 0;
        std::memcpy(&id, map.at(std::uint64_t(key)).data(), sizeof id);
        if (id != key) throw std::runtime_error("the private map is wrong");
      }
    });
  }
  /// Returns when a first commit of the writer is here; the csn then.
  std::uint64_t await_a_writer() {
    const auto before = db_->published();
    while (ranks_.count > 1 && db_->published() == before) sched_yield();
    return db_->published().value;
  }
  void start_reading() {
    TransactionOptions reading;
    reading.type = TransactionType::read_only;
    con_->start(reading);
  }
  void read(std::int64_t key) {
    const Value wanted[] = {key};
    const auto row = con_->find(schema_->indexes()[0], wanted).value().row();
    if (row.get(id_) != key || row.get(a_) + row.get(minus_a_) != 0)
      throw std::runtime_error("a row was read torn, or another one");
  }
  void read_in_one() {
    start_reading();
    for (const auto key : keys_) read(key);
    con_->rollback();
  }
  void read_one_by_one() {
    for (const auto key : keys_) {
      start_reading();
      read(key);
      con_->rollback();
    }
  }
  void write_until(MPI_Request& over) {
    for (std::int64_t turn = 1, done = 0; done == 0; ++turn) {
      con_->start();
      const Value wanted[] = {any()};
      auto row = con_->find(schema_->indexes()[0], wanted).value();
      row.set(a_, turn);
      row.set(minus_a_, -turn);
      con_->commit().or_throw();
      int there = 0;
      if (turn % 16 == 0) MPI_Test(&over, &there, MPI_STATUS_IGNORE);
      done = there;
    }
  }

  const Options& options_;
  const Ranks& ranks_;
  std::shared_ptr<const Dictionary> schema_;
  std::unique_ptr<Database> db_;
  std::unique_ptr<Connection> con_;
  Field<std::int64_t> id_, a_, minus_a_;
  std::mt19937_64 random_{3};
  std::vector<std::int64_t> keys_ = std::vector<std::int64_t>(batch);
};

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  using namespace exdb::bench;
  Options options;
  CommandLine("reads_bench")
      .number("--rows", options.rows, 1)
      .number("--batches", options.batches, 1)
      .text("--json", options.json)
      .read(argc, argv);
  return on_ranks("reads_bench", [&](const Ranks& ranks) { Reads(options, ranks).run(); });
}
