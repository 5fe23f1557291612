// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a grid over MPI that is on disk cost beside the same grid in memory, and beside
// the exchange and the device together; how fast is it there again; how fast is a checkpoint, and
// what do commits feel of it?
// Goals: on a file system in memory half of the commits/s that the grid in memory has, many under
// way; on a disk within 1.5 x of (window / exchange and fsync) (said besides: of that or of the grid in
// memory, whichever is slower), and of both for one commit; 1 M rows/s of recovery; checkpoints of
// 500 MB/s into memory, commits meanwhile 10 % slower at most.
// Non-goal: several devices: the folders of all ranks are on one, which their fsyncs share.
// Floors, in the same run: the grid in memory; all ranks at once exchanging as many bytes and then
// writing and syncing as many into a preallocated file; reading the files; writing a file.
// Checks: the replicas are equal, and after each opening what they were.
// Use: mpiexec -n 2 grid_durability_bench [--shm 1] [--memory FOLDER] [--disk FOLDER] [--commits n] ...
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "durability/grid_floors.hpp"
#include "durability/grid_load.hpp"

namespace {

using namespace exdb;
using namespace exdb::bench;

struct Options {
  int commits = 50'000;      ///< of each rank in a run in memory, many under way
  int slow_commits = 5'000;  ///< of a run on the disk
  int depth = 256;           ///< under way at once on each rank
  int runs = 5;
  int syncs = 100;
  int rows = 300'000;  ///< of recovery and checkpoint
  int shm = 0;         ///< 1: the ranks of a host share a replica, and so a log
  std::string memory = "/dev/shm", disk = "/var/tmp";
  std::string json;
  std::string only;  ///< one part: memory, disk or checkpoints
};

Options parse(int argc, char** argv) {
  Options options;
  CommandLine("grid_durability_bench")
      .number("--commits", options.commits, 1)
      .number("--slow-commits", options.slow_commits, 1)
      .number("--depth", options.depth, 1)
      .number("--runs", options.runs, 1)
      .number("--syncs", options.syncs, 1)
      .number("--rows", options.rows, 1)
      .number("--shm", options.shm)
      .text("--memory", options.memory, "folder of a file system in memory")
      .text("--disk", options.disk, "folder on a disk")
      .text("--only", options.only, "one part: memory, disk or checkpoints")
      .text("--json", options.json)
      .read(argc, argv);
  return options;
}

class Bench {
 public:
  Bench(const Options& options, const Ranks& ranks, Report& report)
      : options_(options), ranks_(ranks), report_(report) {}

  [[nodiscard]] bool all() const { return options_.only.empty(); }
  [[nodiscard]] bool wanted(const std::string& part) const {
    return all() || options_.only == part;
  }

  /// Alternately, so that what else runs on the machine meets both.
  void windowed_in_memory() {
    std::vector<double> floor, disk;
    for (int run = 0; run < options_.runs; ++run) {
      {
        auto db = open("");
        load_.fill_hot(*db);
        floor.push_back(load_.windowed(*db, options_.commits));
        db->close();
      }
      const SharedPlace place(ranks_, options_.memory);
      auto db = open(place.database());
      load_.fill_hot(*db);
      disk.push_back(load_.windowed(*db, options_.commits));
      close_and_open_again(db, place);
      db->close();
    }
    report_.number("memory_windowed_per_s", median(floor), "commits/s, many under way, in memory")
        .number("windowed_per_s", median(disk), "the same on a disk in memory")
        .number("windowed_share", median(disk) / median(floor), "  of that (goal: 0.5)");
  }

  void on_disk() {
    const SharedPlace place(ranks_, options_.disk);
    report_.number("disk_is_memory", in_memory(options_.disk) ? 1 : 0);
    auto db = open(place.database());
    load_.fill_hot(*db);
    BesideMemory beside;
    std::vector<double> syncs, times, one, group;
    std::size_t group_bytes = 0;
    for (int run = 0; run < options_.runs; ++run) {
      const int some = std::max(1, options_.syncs / options_.runs);
      const double memory = in_memory_beside();
      const auto large = sized(*db, options_.depth, options_.slow_commits, [&] {
        beside.add(memory, load_.windowed(*db, options_.slow_commits));
      });
      syncs.push_back(large.syncs);
      const auto small = sized(*db, 1, some, [&] { append(times, load_.closed_loop(*db, some)); });
      append(one, bare_rounds(ranks_, place, small.sent, small.written, some));
      append(group, bare_rounds(ranks_, place, large.sent, large.written, some));
      group_bytes = large.written;
      barrier();
    }
    close_and_open_again(db, place);
    db->close();
    const auto both = summary(std::move(one)), commit = summary(std::move(times));
    const double possible = options_.depth * ranks_.count / median(group) * 1e6;
    report_.summary("floor_us", both, "exchange, then write and fdatasync, us")
        .summary("commit_us", commit, "one commit on the disk, us")
        .number("commit_ratio", commit.median / both.median, "  x that (goal: 1.5)")
        .number("commit_p99_ratio", commit.p99 / both.p99, "  x its p99")
        .number("group_bytes", double(group_bytes), "bytes of all windows in the log")
        .number("possible_per_s", possible, "windows / exchange and fdatasync of them");
    beside.report(report_, possible);
    report_.number("disk_syncs_a_window", median(syncs),
                   "syncs of a log for a window of each rank");
  }

  void recovery_and_checkpoint() {
    const SharedPlace place(ranks_, options_.memory);
    auto db = open(place.database());
    load_.fill(*db, options_.rows);
    if (all()) recover(db, place, "log");
    std::vector<double> rates, floor;
    for (int run = 0; run < options_.runs; ++run) {
      load_.change_one(*db);
      patient_barrier();
      const auto start = Clock::now();
      if (ranks_.first()) db->checkpoint();
      patient_barrier();  // who waits in MPI's own takes a processor from the writing
      const double us = largest(microseconds_since(start));
      const auto bytes = std::size_t(db->statistics()["checkpoint_bytes"]);
      rates.push_back(sum(double(bytes)) / us);
      floor.push_back(sum(bytes == 0 ? 0 : bare_write(place.file(), bytes)));
    }
    report_
        .number("checkpoint_mb_per_s", median(rates),
                "checkpoints of all nodes together, MB/s (goal: 500)")
        .number("write_mb_per_s", median(floor), "files of as many bytes, MB/s");
    if (all()) recover(db, place, "checkpoint");
    beside_checkpoints(*db);
    close_and_open_again(db, place);
    db->close();
  }

 private:
  struct Size {
    std::size_t sent, written;
    double syncs;
  };
  /// What a node sends to each other and writes, and how often it syncs, while each rank makes `some`
  /// of the `commits` that `work` makes.
  Size sized(Database& db, int some, int commits, const std::function<void()>& work) {
    auto at = db.statistics();
    work();
    settle(db);
    auto now = db.statistics();
    const auto each = [&](const char* what) {
      return largest(double(now[what] - at[what]) / commits * some);
    };
    const auto sent = std::size_t(each("bytes_sent")) / std::size_t(std::max(1, ranks_.count - 1));
    const auto written = std::size_t(each("log_bytes"));
    const double syncs = each("log_groups");
    const bool writes = now["log_bytes"] != at["log_bytes"];
    return {std::max<std::size_t>(64, sent), writes ? std::max<std::size_t>(64, written) : 0,
            syncs};
  }

  double in_memory_beside() {
    auto db = open("");
    load_.fill_hot(*db);
    const double rate = load_.windowed(*db, options_.commits);
    db->close();
    return rate;
  }

  std::unique_ptr<Database> open(const std::string& path) {
    DatabaseOptions made;
    made.max_connections = std::uint32_t(options_.depth) + 8;
    made.shared = options_.shm != 0;
    if (!path.empty()) made.disk = DiskOptions{path, true, 0};
    ClusterParams cluster;
    cluster.conn_pool_factor = 100;
    if (made.shared)
      cluster.hosts = mpi::host_groups(MPI_COMM_WORLD).value();
    else
      cluster.transport = mpi::transport(MPI_COMM_WORLD).value();
    return Database::open(path.empty() ? "memory" : "bench", load_.schema(), made,
                          std::move(cluster));
  }

  /// How long the slowest rank took.
  template <class Work>
  double slowest(Work&& work) {
    barrier();
    const auto start = Clock::now();
    work();
    return largest(microseconds_since(start));
  }

  double close_and_open_again(std::unique_ptr<Database>& db, const SharedPlace& place) {
    settle(*db);
    require_equal_replicas(*db);
    const auto digest = db->digest();
    db->close();
    const double us = slowest([&] { db = open(place.database()); });
    require(db->digest() == digest, "what was recovered is not what was there");
    return us;
  }

  void recover(std::unique_ptr<Database>& db, const SharedPlace& place, const std::string& from) {
    std::vector<double> rates, floor;
    for (int run = 0; run < options_.runs; ++run) {
      rates.push_back(options_.rows / close_and_open_again(db, place) * 1e6);
      const auto own = place.database() + "/node-" + std::to_string(ranks_.rank);
      floor.push_back(options_.rows / slowest([&] {
                        if (fs::exists(own)) read_files(own);
                      }) *
                      1e6);
    }
    report_
        .number("recover_" + from + "_rows_per_s", median(rates),
                ("rows/s recovered, " + from + " (goal: 1 M)").c_str())
        .number("read_" + from + "_rows_per_s", median(floor), "  reading the files alone, rows/s");
  }

  /// All ranks commit in a closed loop; one makes one checkpoint after the other.
  void beside_checkpoints(Database& db) {
    std::vector<double> alone, beside, times, times_alone, rates;
    const int commits = std::max(1, options_.commits / 2);
    for (int run = 0; run < options_.runs; ++run) {
      alone.push_back(looped(db, commits, times_alone));
      std::atomic<bool> over = false;
      double made = 0;
      const auto start = Clock::now();
      std::thread writer([&] {
        for (; ranks_.first() && !over; ++made) db.checkpoint();
        made /= microseconds_since(start);
      });
      beside.push_back(looped(db, commits, times));
      over = true;
      writer.join();
      rates.push_back(sum(made) * sum(double(db.statistics()["checkpoint_bytes"])));
    }
    report_.number("beside_checkpoint_alone_us", median(alone), "a commit without them, us")
        .number("beside_checkpoint_percent", 100 * (median(beside) / median(alone) - 1),
                "commits beside checkpoints, % slower (goal: 10)")
        .number("beside_checkpoint_mb_per_s", median(rates), "  checkpoints meanwhile, MB/s")
        .summary("beside_checkpoint_commit_us", summary(std::move(times)),
                 "a commit beside checkpoints, us");
  }

  /// Microseconds a commit of the slowest rank. Who is ready first leaves its processor to its
  /// listener, which the others need.
  double looped(Database& db, int commits, std::vector<double>& times) {
    barrier();
    const auto start = Clock::now();
    append(times, load_.closed_loop(db, commits));
    const double us = microseconds_since(start);
    patient_barrier();
    return largest(us) / commits;
  }

  const Options& options_;
  const Ranks& ranks_;
  Report& report_;
  GridLoad load_{ranks_, options_.depth};
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  return on_ranks("grid_durability_bench", [&](const Ranks& ranks) {
    require(in_memory(options.memory), options.memory + " is not a file system in memory");
    Report report("grid_durability", ranks.first());
    report.number("ranks", ranks.count).number("processors", ranks.processors);
    report.number("depth", options.depth).number("rows", options.rows).number("shm", options.shm);
    const auto& only = options.only;
    require(only.empty() || only == "memory" || only == "disk" || only == "checkpoints",
            "--only: there is no part '" + only + "'; it is memory, disk or checkpoints");
    Bench bench(options, ranks, report);
    if (bench.wanted("memory")) bench.windowed_in_memory();
    if (bench.wanted("disk")) bench.on_disk();
    if (bench.wanted("checkpoints")) bench.recovery_and_checkpoint();
    report.write(options.json);
  });
}
