// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: YCSB's workloads A (half reads, half updates), B (5 % updates), C (reads) and F (half
// reads, half read-modify-write), keys by a zipfian law: operations a second of all ranks, and what
// part of the commits conflicts, by contention (--theta) and by how many each rank has under way.
// Goal: none; the figures say what optimism costs where rows are hot. Non-goal: scans (E), inserts
// (D).
// Check: each update adds one to a counter of its row, so the sum over all rows is the number of
// commits that succeeded, on every rank: an update that is lost or doubled shows. An update that
// conflicts is tried again until it succeeds.
// Use: mpiexec -n 2 ycsb_bench [--mix A|B|C|F] [--rows n] [--operations n] [--theta x] [--depth n]
//        [--json file]; --operations of each rank; --depth: transactions under way at once.
#include "common/ranks.hpp"
#include "common/report.hpp"
#include "workload/zipfian.hpp"

namespace exdb::bench {
namespace {

// YCSB's row: ten fields of 100 bytes.
constexpr const char* schema_text =
    "class Row { int8 id; int8 updates; int8 value; char<100> f0; char<100> f1; char<100> f2;"
    " char<100> f3; char<100> f4; char<100> f5; char<100> f6; char<100> f7; char<100> f8;"
    " char<100> f9; unique hash<id> by_id; };";

struct Options {
  std::string mix = "A", json;
  int rows = 10'000, operations = 20'000, depth = 1;
  double theta = 0.99;
};

double share_of_updates(const std::string& mix) {
  if (mix == "A" || mix == "F") return 0.5;
  if (mix == "B") return 0.05;
  if (mix == "C") return 0;
  throw std::runtime_error("--mix " + mix + ": A, B, C or F");
}

class Ycsb {
 public:
  Ycsb(const Options& options, const Ranks& ranks)
      : options_(options),
        ranks_(ranks),
        schema_(Dictionary::parse(schema_text).value()),
        db_(open(schema_, static_cast<std::uint32_t>(options.depth) + 8)),
        keys_(static_cast<std::size_t>(options.rows), options.theta),
        random_(100 + static_cast<std::uint64_t>(ranks.rank)),
        updates_(type().field<std::int64_t>("updates")),
        value_(type().field<std::int64_t>("value")),
        field_(type().field<std::string_view>("f0")) {}

  void run() {
    keys_.require_proportions(20'000);
    fill();
    std::vector<Slot> slots(static_cast<std::size_t>(options_.depth));
    for (auto& slot : slots) slot.con = db_->connect();
    barrier();
    const auto start = Clock::now();
    for (int done = 0; done < options_.operations; ++done) {
      auto& slot = slots[static_cast<std::size_t>(done) % slots.size()];
      finish(slot);
      operate(slot);
    }
    for (auto& slot : slots) finish(slot);
    const double seconds = microseconds_since(start) / 1e6;
    settle(*db_);
    tell(seconds);
    db_->close();
  }

 private:
  /// A connection, and the key of the update that it has under way.
  struct Slot {
    std::unique_ptr<Connection> con;
    std::int64_t key = -1;
    Clock::time_point began;
  };

  [[nodiscard]] const ClassDef& type() const { return schema_->classes()[0]; }
  Object row(Connection& con, std::int64_t key) {
    const Value wanted[] = {key};
    return con.find(schema_->indexes()[0], wanted).value();
  }
  void fill() {
    const std::string text(100, 'x');
    const auto con = db_->connect();
    for (int id = ranks_.rank; id < options_.rows;) {
      con->start();
      for (int i = 0; i < 1000 && id < options_.rows; ++i, id += ranks_.count) {
        auto made = con->create(type());
        made.set("id", id);
        for (int f = 0; f < 10; ++f) made.set("f" + std::to_string(f), text);
      }
      con->commit().or_throw();
    }
    settle(*db_);
  }
  void operate(Slot& slot) {
    const auto key = keys_(random_);
    const bool updates =
        std::uniform_real_distribution<>(0, 1)(random_) < share_of_updates(options_.mix);
    if (updates) {
      slot.key = key;
      slot.began = Clock::now();
      return begin_update(slot);
    }
    const auto start = Clock::now();
    TransactionOptions reading;
    reading.type = TransactionType::read_only;
    slot.con->start(reading);
    read_ += row(*slot.con, key).get(field_).size();
    slot.con->rollback();
    read_us_.push_back(microseconds_since(start));
  }
  void begin_update(Slot& slot) {
    slot.con->start();
    auto found = row(*slot.con, slot.key);
    if (options_.mix == "F") found.set(value_, found.get(value_) + 7);
    found.set(field_, std::string_view("written by YCSB"));
    found.set(updates_, found.get(updates_) + 1);
    slot.con->commit_later();
  }
  void finish(Slot& slot) {
    while (slot.key >= 0) {
      const auto result = slot.con->wait();
      if (result.committed()) {
        ++updated_;
        update_us_.push_back(microseconds_since(slot.began));
        slot.key = -1;
      } else if (result.code == ErrorCode::conflict) {
        ++conflicts_;
        begin_update(slot);
      } else {
        result.or_throw();
      }
    }
  }
  void check(std::uint64_t updated) {
    std::uint64_t sum_updates = 0, sum_values = 0, rows = 0;
    const auto con = db_->connect();
    con->start();
    auto cursor = con->cursor(type());
    while (const auto found = cursor.next()) {
      ++rows;
      sum_updates += static_cast<std::uint64_t>(found->get(updates_));
      sum_values += static_cast<std::uint64_t>(found->get(value_));
    }
    con->rollback();
    require(rows == static_cast<std::uint64_t>(options_.rows), "rows are missing");
    require(sum_updates == updated,
            "updates were lost: " + std::to_string(sum_updates) + " of " + std::to_string(updated));
    require(sum_values == (options_.mix == "F" ? 7 * updated : 0), "read-modify-writes were lost");
    require_equal_replicas(*db_);
  }
  void tell(double seconds) {
    const double all = sum(double(options_.operations)) / largest(seconds);
    const auto updated = sum(updated_), conflicts = sum(conflicts_);
    check(updated);
    require(read_us_.empty() || read_ > 0, "reads gave nothing");
    if (ranks_.first()) {
      std::printf("YCSB %s, %d ranks, %d rows, theta %.2f, %d under way a rank\n",
                  options_.mix.c_str(), ranks_.count, options_.rows, options_.theta,
                  options_.depth);
    }
    Report("ycsb", ranks_.first())
        .text("mix", options_.mix)
        .number("ranks", ranks_.count)
        .number("processors", ranks_.processors)
        .number("rows", options_.rows)
        .number("theta", options_.theta)
        .number("depth", options_.depth)
        .number("operations_per_s", all, "operations/s of all ranks")
        .number("conflict_percent",
                updated == 0 ? 0 : 100 * double(conflicts) / double(conflicts + updated),
                "percent of commits that conflicted")
        .number("updates", double(updated))
        .summary("read_us", summary(read_us_), "read of one row, us")
        .summary("update_us", summary(update_us_), "update until it is in, us")
        .write(options_.json);
  }

  const Options& options_;
  const Ranks& ranks_;
  std::shared_ptr<const Dictionary> schema_;
  std::unique_ptr<Database> db_;
  Zipfian keys_;
  std::mt19937_64 random_;
  Field<std::int64_t> updates_, value_;
  Field<std::string_view> field_;
  std::uint64_t updated_ = 0, conflicts_ = 0, read_ = 0;
  std::vector<double> read_us_, update_us_;
};

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  using namespace exdb::bench;
  Options options;
  CommandLine("ycsb_bench")
      .text("--mix", options.mix, "A|B|C|F")
      .number("--rows", options.rows, 1)
      .number("--operations", options.operations, 1)
      .number("--theta", options.theta)
      .number("--depth", options.depth, 1)
      .text("--json", options.json)
      .read(argc, argv);
  return on_ranks("ycsb_bench", [&](const Ranks& ranks) { Ycsb(options, ranks).run(); });
}
