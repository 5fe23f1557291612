// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a database on disk cost beside one in memory, and beside the device; how fast
// is it there again; how fast is a checkpoint, and what do commits feel of it?
// Goals: on a file system in memory half of the commits/s that a database in memory has, many under
// way; on a disk within 1.5 x of window / fsync (said besides: of that or of the database in memory,
// whichever is slower), and of one fsync for one commit; 1 M rows/s of recovery, from the log and from
// a checkpoint; checkpoints of 500 MB/s into memory, commits meanwhile 10 % slower at most.
// Of clusters: grid_durability_bench.
// Floors, in the same run: the database in memory; write and fdatasync of as many bytes into a
// preallocated file; reading the files; writing a file of as many bytes.
// Checks: after each step the database is opened again, and has the digest and csn that it had.
// Use: durability_bench [--memory FOLDER] [--disk FOLDER] [--commits n] ...
#include <algorithm>
#include <atomic>
#include <thread>

#include "durability/floors.hpp"
#include "durability/rows.hpp"

namespace {

using namespace exdb;
using namespace exdb::bench;

struct Options {
  int commits = 200'000;     ///< of a run in memory, many under way
  int slow_commits = 5'000;  ///< of a run on the disk
  int depth = 256;           ///< under way at once
  int runs = 5;
  int syncs = 200;
  int rows = 300'000;  ///< of recovery and checkpoint
  std::string memory = "/dev/shm", disk = "/var/tmp";
  std::string json;
};

Options parse(int argc, char** argv) {
  Options options;
  CommandLine("durability_bench")
      .number("--commits", options.commits, 1)
      .number("--slow-commits", options.slow_commits, 1)
      .number("--depth", options.depth, 1)
      .number("--runs", options.runs, 1)
      .number("--syncs", options.syncs, 1)
      .number("--rows", options.rows, hot_rows)
      .text("--memory", options.memory, "folder of a file system in memory")
      .text("--disk", options.disk, "folder on a disk")
      .text("--json", options.json)
      .read(argc, argv);
  return options;
}

class Bench {
 public:
  Bench(const Options& options, Report& report) : options_(options), report_(report) {}

  /// Alternately, so that what else runs on the machine meets both.
  void windowed_in_memory() {
    std::vector<double> floor, floor_cpu, disk, disk_cpu;
    for (int run = 0; run < options_.runs; ++run) {
      {
        auto db = open("");
        fill(*db, hot_rows);
        floor.push_back(windowed(*db, options_.commits, &floor_cpu));
        db->close();
      }
      const Place place(options_.memory);
      auto db = open(place.database());
      fill(*db, hot_rows);
      disk.push_back(windowed(*db, options_.commits, &disk_cpu));
      close_and_open_again(db, place);
    }
    report_.number("memory_windowed_per_s", median(floor), "commits/s, many under way, in memory")
        .number("windowed_per_s", median(disk), "the same on a disk in memory")
        .number("windowed_share", median(disk) / median(floor), "  of that (goal: 0.5)")
        .number("memory_windowed_cpu_us", median(floor_cpu), "own time a commit, us, in memory")
        .number("windowed_cpu_us", median(disk_cpu), "own time a commit, us, on disk, all threads");
  }

  void on_disk() {
    const Place place(options_.disk);
    report_.number("disk_is_memory", in_memory(options_.disk) ? 1 : 0);
    auto db = open(place.database());
    fill(*db, hot_rows);
    BesideMemory beside;
    std::vector<double> syncs, times, one_sync, group_sync, filled_sync;
    std::size_t bytes = 4096;
    for (int run = 0; run < options_.runs; ++run) {
      const double memory = in_memory_beside();
      const auto at = db->statistics();
      beside.add(memory, windowed(*db, options_.slow_commits, nullptr));
      const auto now = db->statistics();
      syncs.push_back(double(now.at("log_groups") - at.at("log_groups")) * options_.depth /
                      double(now.at("commits") - at.at("commits")));
      // Of a whole window, however many rounds that was.
      bytes = (now.at("log_bytes") - at.at("log_bytes")) * std::size_t(options_.depth) /
              (now.at("commits") - at.at("commits"));
      const auto some = std::max(1, options_.syncs / options_.runs);
      append(group_sync, bare_syncs(place.file(), bytes, some));
      append(filled_sync, bare_syncs(place.file(), bytes, some, true));
      append(times, closed_loop(*db, some));
      append(one_sync, bare_syncs(place.file(), 300, some));
    }
    const auto at = db->statistics();
    in_threads(*db, std::max(1, options_.syncs / 2));
    const auto now = db->statistics();
    const double together =
        double(now.at("commits") - at.at("commits")) / double(now.at("rounds") - at.at("rounds"));
    close_and_open_again(db, place);
    const auto group = summary(std::move(group_sync));
    const auto filled = summary(std::move(filled_sync));
    const auto one = summary(std::move(one_sync));
    const auto commit = summary(std::move(times));
    const double possible = options_.depth / group.median * 1e6;
    report_.summary("fsync_us", one, "write and fdatasync of 300 bytes, us")
        .summary("commit_us", commit, "one commit on the disk, us")
        .number("commit_ratio", commit.median / one.median, "  of an fsync (goal: 1.5)")
        .summary("group_fsync_us", group, "write and fdatasync of a group, us")
        .number("group_bytes", double(bytes), "bytes of a group")
        .number("possible_per_s", possible, "window / fsync");
    beside.report(report_, possible);
    report_.number("disk_syncs_a_window", median(syncs), "syncs of the log for a window")
        .summary("filled_fsync_us", filled, "fdatasync of a group into a file that is full, us")
        .number("disk_windowed_filled_ratio",
                options_.depth / filled.median * 1e6 / beside.disk_per_s(),
                "  x slower than window / that")
        .number("commits_a_sync", together, "commits of 8 threads that share an fsync");
  }

  void recovery_and_checkpoint() {
    const Place place(options_.memory);
    auto db = open(place.database());
    fill(*db, options_.rows);
    recover(db, place, "log", options_.rows);
    std::vector<double> rates, own, floor;
    for (int run = 0; run < options_.runs; ++run) {
      change_one(*db);
      const double cpu = cpu_seconds();  // of the thread that writes as well
      const auto took = taken_by([&] { db->checkpoint(); });
      const double own_us = (cpu_seconds() - cpu) * 1e6;
      const auto bytes = db->statistics().at("checkpoint_bytes");
      rates.push_back(double(bytes) / took.us);
      own.push_back(double(bytes) / own_us);
      floor.push_back(bare_write(place.file(), bytes));
    }
    report_.number("checkpoint_mb_per_s", median(rates), "checkpoint, MB/s (goal: 500)")
        .number("checkpoint_mb_per_own_s", median(own), "  by own time")
        .number("write_mb_per_s", median(floor), "a file of as many bytes, MB/s");
    recover(db, place, "checkpoint", options_.rows);
    beside_checkpoints(*db);
    close_and_open_again(db, place);

    // What many small commits leave.
    const Place small(options_.memory);
    db = open(small.database());
    fill(*db, hot_rows);
    windowed(*db, options_.commits, nullptr);
    recover(db, small, "small", options_.commits);
  }

 private:
  double in_memory_beside() {
    auto db = open("");
    fill(*db, hot_rows);
    const double rate = windowed(*db, options_.commits, nullptr);
    db->close();
    return rate;
  }

  std::unique_ptr<Database> open(const std::string& path) {
    DatabaseOptions made;
    made.max_connections = std::uint32_t(options_.depth) + 8;
    if (!path.empty()) made.disk = DiskOptions{path, true, 0};
    return Database::open("bench", rows_.schema, made);
  }

  /// How long it took, and its own time: what else runs on the machine adds to the first only.
  struct Took {
    double us = 0, cpu_us = 0;
  };
  template <class Work>
  static Took taken_by(Work&& work) {
    const double cpu = thread_cpu_seconds();
    const auto start = Clock::now();
    work();
    return {microseconds_since(start), (thread_cpu_seconds() - cpu) * 1e6};
  }

  Took close_and_open_again(std::unique_ptr<Database>& db, const Place& place) {
    const auto digest = db->digest();
    const auto published = db->published();
    db->close();
    const auto took = taken_by([&] { db = open(place.database()); });
    must(db->digest() == digest && db->published() == published,
         "what was recovered is not what was there: " + db->recovered());
    return took;
  }

  void recover(std::unique_ptr<Database>& db, const Place& place, const std::string& from,
               int rows) {
    std::vector<double> rates, own, floor;
    for (int run = 0; run < options_.runs; ++run) {
      const auto took = close_and_open_again(db, place);
      rates.push_back(rows / took.us * 1e6);
      own.push_back(rows / took.cpu_us * 1e6);
      floor.push_back(rows / taken_by([&] { read_files(place.database()); }).us * 1e6);
    }
    report_
        .number("recover_" + from + "_rows_per_s", median(rates),
                ("rows/s recovered, " + from + " (goal: 1 M)").c_str())
        .number("recover_" + from + "_rows_per_own_s", median(own), "  by own time")
        .number("read_" + from + "_rows_per_s", median(floor), "  reading the files alone, rows/s");
  }

  /// One thread commits in a closed loop, another makes one checkpoint after the other.
  void beside_checkpoints(Database& db) {
    std::vector<double> alone, alone_cpu, beside, beside_cpu, times;
    const int commits = std::max(1, options_.commits / 2);
    for (int run = 0; run < options_.runs; ++run) {
      (void)timed_loop(db, commits, alone, alone_cpu);
      std::atomic<bool> over = false;
      std::atomic<int> made = 0;
      std::thread writer([&] {
        while (!over) {
          db.checkpoint();
          ++made;
        }
      });
      while (made == 0 && options_.commits > 1000) std::this_thread::yield();
      append(times, timed_loop(db, commits, beside, beside_cpu));
      over = true;
      writer.join();
    }
    const auto slower = [](const std::vector<double>& with, const std::vector<double>& without) {
      return 100 * (median(with) / median(without) - 1);
    };
    report_
        .number("beside_checkpoint_percent", slower(beside, alone),
                "commits beside checkpoints, % slower (goal: 10)")
        .number("beside_checkpoint_cpu_percent", slower(beside_cpu, alone_cpu),
                "  own time of the committing thread, % more")
        .summary("beside_checkpoint_commit_us", summary(std::move(times)),
                 "a commit beside checkpoints, us");
  }

  std::vector<double> timed_loop(Database& db, int commits, std::vector<double>& us,
                                 std::vector<double>& cpu_us) {
    const double cpu = thread_cpu_seconds();
    const auto start = Clock::now();
    auto times = closed_loop(db, commits);
    us.push_back(microseconds_since(start) / commits);
    cpu_us.push_back((thread_cpu_seconds() - cpu) * 1e6 / commits);
    return times;
  }

  void fill(Database& db, int rows) {
    constexpr int at_once = 1000;
    auto con = db.connect();
    for (int i = 0; i < rows;) {
      con->start();
      for (int end = std::min(rows, i + at_once); i < end; ++i) rows_.create(*con, i);
      con->commit().or_throw();
    }
  }

  void change(Connection& con, int id, int to) {
    con.start();
    rows_.change(con, id, to);
  }
  void change_one(Database& db) {
    auto con = db.connect();
    change(*con, 0, ++turn_);
    con->commit().or_throw();
  }

  /// One connection; microseconds of each.
  std::vector<double> closed_loop(Database& db, int commits) {
    auto con = db.connect();
    std::vector<double> times;
    times.reserve(std::size_t(commits));
    for (int i = 0; i < commits; ++i) {
      change(*con, i % hot_rows, ++turn_);
      const auto start = Clock::now();
      con->commit().or_throw();
      times.push_back(microseconds_since(start));
    }
    return times;
  }

  /// Commits/s of one thread with `depth` under way, as commit_bench has them.
  double windowed(Database& db, int commits, std::vector<double>* cpu_us) {
    std::vector<std::unique_ptr<Connection>> connections;
    for (int i = 0; i < options_.depth; ++i) connections.push_back(db.connect());
    const double cpu = cpu_seconds();
    const auto start = Clock::now();
    int done = 0;
    for (int turn = 0; done < commits; ++turn) {
      for (int i = 0; i < options_.depth; ++i) {
        if (turn > 0) connections[std::size_t(i)]->wait().or_throw();
        change(*connections[std::size_t(i)], i, ++turn_);
        connections[std::size_t(i)]->commit_later();
        ++done;
      }
    }
    for (auto& con : connections) con->wait().or_throw();
    const double us = microseconds_since(start);
    if (cpu_us) cpu_us->push_back((cpu_seconds() - cpu) * 1e6 / done);
    return done / us * 1e6;
  }

  /// Each thread commits rows of its own in a closed loop.
  void in_threads(Database& db, int commits) {
    std::vector<std::thread> threads;
    for (int worker = 0; worker < 8; ++worker)
      threads.emplace_back([this, &db, worker, commits] {
        auto con = db.connect();
        for (int i = 0; i < commits; ++i) {
          change(*con, worker, i);
          con->commit().or_throw();
        }
      });
    for (auto& thread : threads) thread.join();
  }

  const Options& options_;
  Report& report_;
  const Rows rows_;
  std::int64_t turn_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  try {
    must(in_memory(options.memory), options.memory + " is not a file system in memory");
    Report report("durability", true);
    report.number("depth", options.depth).number("rows", options.rows);
    Bench bench(options, report);
    bench.windowed_in_memory();
    bench.on_disk();
    bench.recovery_and_checkpoint();
    report.write(options.json);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "durability_bench: %s\n", error.what());
    return 1;
  }
}
