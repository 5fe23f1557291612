// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a commit of one row cost beside the bare MPI exchange that it needs, how many
// commits a second come out when many are under way at once, and what does the first commit cost
// after a while in which nobody did anything?
// Goal: a median within 3.5 × the bare exchange of the same bytes between the same ranks (2 ranks,
// both committing in a closed loop); 300,000 commits/s with the window; the first commit after
// 0.1 s of idle within 100 µs, at no more than 1 % of a core while idle.
// Non-goal: conflicts (each rank writes rows of its own), several hosts.
// Floors, in the same run: the bare exchange; for the commit after idle a message to a node that
// sleeps, and its answer, over the bare Transport (one futex wake-up and two messages).
// Use: mpiexec -n 2 commit_bench [--commits n] [--depth n] [--idle-ms n] [--idle-turns n]
//        [--json file]
//   --depth 0 leaves the window out, --idle-ms 0 (the default) the idle commits.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>

#include "common/bench.hpp"
#include "exdb/exdb.hpp"
#include "exdb/mpi.hpp"

namespace {

using namespace exdb;
using bench::Clock;
using bench::cpu_seconds;
using bench::microseconds_since;

constexpr const char* schema_text =
    "class Row { int8 id; int8 a; int8 b; int8 c; int8 d; int8 e; int8 f; int8 g;"
    " unique hash<id> by_id; };";

struct Options {
  int commits = 20'000;
  int depth = 256;  ///< commits under way at once on each rank
  int rows = 4096;  ///< of each rank
  int idle_ms = 0;
  int idle_turns = 200;
  std::string json;
};

Options parse(int argc, char** argv) {
  Options options;
  bench::CommandLine("commit_bench")
      .number("--commits", options.commits)
      .number("--depth", options.depth)
      .number("--idle-ms", options.idle_ms)
      .number("--idle-turns", options.idle_turns, 1)
      .text("--json", options.json)
      .read(argc, argv);
  return options;
}

struct Figure {
  double median_us = 0, p99_us = 0;
};

Figure summary(std::vector<double> times) {
  const auto all = bench::summary(std::move(times));
  return {all.median, all.p99};
}

/// The floor: every rank sends `bytes` to every other and has theirs, with persistent requests,
/// polled.
Figure bare_exchange(int rank, int ranks, std::size_t bytes, int rounds, bool crowded) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  std::vector<std::byte> out(bytes), in(bytes * ranks);
  std::vector<MPI_Request> requests;
  for (int peer = 0; peer < ranks; ++peer) {
    if (peer == rank) continue;
    requests.emplace_back();
    MPI_Recv_init(in.data() + bytes * peer, static_cast<int>(bytes), MPI_BYTE, peer, 0, comm,
                  &requests.back());
    requests.emplace_back();
    MPI_Send_init(out.data(), static_cast<int>(bytes), MPI_BYTE, peer, 0, comm, &requests.back());
  }
  std::vector<double> times;
  for (int round = 0; round < rounds + rounds / 10; ++round) {
    const auto start = Clock::now();
    if (!requests.empty()) MPI_Startall(static_cast<int>(requests.size()), requests.data());
    for (int done = requests.empty(); !done;) {
      MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
      if (!done && crowded) sched_yield();
    }
    if (round >= rounds / 10) times.push_back(microseconds_since(start));
  }
  for (auto& request : requests) MPI_Request_free(&request);
  MPI_Comm_free(&comm);
  return summary(std::move(times));
}

/// The floor of a commit after idle: rank 0 sends to a rank that has slept as long, and polls for
/// the answer. The others sleep until it comes.
Figure wake_and_answer(int rank, const Options& options, std::size_t bytes) {
  struct Counting : FrameSink {
    int frames = 0;
    void on_frame(std::uint32_t, std::span<const std::byte>) override { ++frames; }
    void on_gone(std::uint32_t) override {}
  } sink;
  auto transport = mpi::transport(MPI_COMM_WORLD).value();
  const auto frame = std::make_shared<std::vector<std::byte>>(bytes);
  const int others = static_cast<int>(transport->size()) - 1;
  std::vector<double> times;
  for (int turn = 1; turn <= options.idle_turns && others > 0; ++turn) {
    bool any = false;
    if (rank != 0) {
      while (sink.frames < turn) {
        transport->wait(std::chrono::seconds(10));
        transport->poll(sink, any).or_throw();
      }
      transport->send(0, frame).or_throw();
      continue;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(options.idle_ms));
    const auto start = Clock::now();
    transport->broadcast(frame).or_throw();
    while (sink.frames < turn * others) transport->poll(sink, any).or_throw();
    times.push_back(microseconds_since(start));
  }
  transport->close(true);
  return summary(std::move(times));
}

class Bench {
 public:
  Bench(const Options& options, int rank, Database& db, const Dictionary& schema)
      : options_(options),
        rank_(rank),
        db_(db),
        type_(schema.classes()[0]),
        by_id_(schema.indexes()[0]),
        id_(type_.field<std::int64_t>("id")),
        a_(type_.field<std::int64_t>("a")) {}

  void fill() {
    auto con = db_.connect();
    con->start();
    for (int i = 0; i < options_.rows; ++i) con->create(type_).set("id", key(i));
    con->commit().or_throw();
  }

  /// One connection, one row a commit, each waited for. `per_second` is of this rank.
  Figure closed_loop(int commits, double& per_second) {
    auto con = db_.connect();
    std::vector<double> times;
    const auto began = Clock::now();
    for (int i = 0; i < commits + commits / 10; ++i) {
      change(*con, i);
      const auto start = Clock::now();
      con->commit().or_throw();
      if (i >= commits / 10) times.push_back(microseconds_since(start));
    }
    per_second = (commits + commits / 10) / (microseconds_since(began) / 1e6);
    return summary(std::move(times));
  }

  /// Commits a second of this rank with `depth` under way.
  double windowed(int commits, int depth) {
    std::vector<std::unique_ptr<Connection>> connections;
    for (int i = 0; i < depth; ++i) connections.push_back(db_.connect());
    const auto start = Clock::now();
    int done = 0;
    for (int turn = 0; done < commits; ++turn) {
      for (int i = 0; i < depth; ++i) {
        if (turn > 0) connections[i]->wait().or_throw();
        change(*connections[i], i);
        connections[i]->commit_later();
        ++done;
      }
    }
    for (auto& con : connections) con->wait().or_throw();
    return done / (microseconds_since(start) / 1e6);
  }

  /// Rank 0 commits one row after each pause; the others do nothing but look now and then whether
  /// it is over. `idle_percent`: of a core, over everything that this process does meanwhile.
  Figure after_idle(double& idle_percent) {
    auto con = db_.connect();
    std::vector<double> times;
    const double cpu = cpu_seconds();
    const auto began = Clock::now();
    const std::int64_t over = -1;
    if (rank_ != 0) {
      const Value wanted[] = {std::int64_t{0}};
      for (bool seen = false; !seen;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        TransactionOptions reading;
        reading.type = TransactionType::read_only;
        con->start(reading);
        seen = con->find(by_id_, wanted)->get(a_) == over;
        con->rollback();
      }
    } else {
      for (int turn = 0; turn <= options_.idle_turns; ++turn) {
        std::this_thread::sleep_for(std::chrono::milliseconds(options_.idle_ms));
        con->start();
        const Value wanted[] = {std::int64_t{0}};
        con->find(by_id_, wanted)->set("a", turn == options_.idle_turns ? over : turn);
        const auto start = Clock::now();
        con->commit().or_throw();
        times.push_back(microseconds_since(start));
      }
    }
    idle_percent = 100 * (cpu_seconds() - cpu) * 1e6 / microseconds_since(began);
    return summary(std::move(times));
  }

 private:
  [[nodiscard]] std::int64_t key(int i) const { return std::int64_t{rank_} * 1'000'000 + i; }
  void change(Connection& con, int i) {
    con.start();
    const Value wanted[] = {key(i % options_.rows)};
    con.find(by_id_, wanted)->set("a", std::int64_t{i});
  }

  const Options& options_;
  const int rank_;
  Database& db_;
  const ClassDef& type_;
  const IndexDef& by_id_;
  Field<std::int64_t> id_, a_;
};

int run(const Options& options) {
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof(cpus), &cpus);
  const bool crowded = ranks > CPU_COUNT(&cpus);

  const auto schema = Dictionary::parse(schema_text).value();
  DatabaseOptions database;
  database.max_connections = static_cast<std::uint32_t>(options.depth) + 8;
  ClusterParams cluster;
  cluster.conn_pool_factor = 100;
  cluster.transport = mpi::transport(MPI_COMM_WORLD).value();
  auto db = Database::open("bench", schema, database, std::move(cluster));
  Bench bench(options, rank, *db, *schema);
  bench.fill();
  MPI_Barrier(MPI_COMM_WORLD);

  const auto before = db->statistics();
  MPI_Barrier(MPI_COMM_WORLD);
  double mine_closed = 0, closed = 0;
  const auto commit = bench.closed_loop(options.commits, mine_closed);
  const auto after = db->statistics();
  MPI_Barrier(MPI_COMM_WORLD);
  const double frames = static_cast<double>(after.at("frames_sent") - before.at("frames_sent"));
  const double bytes = static_cast<double>(after.at("bytes_sent") - before.at("bytes_sent"));
  auto frame_bytes = static_cast<std::uint64_t>(frames > 0 ? bytes / frames : 64);
  MPI_Allreduce(MPI_IN_PLACE, &frame_bytes, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
  const double mine = options.depth > 0 ? bench.windowed(options.commits * 10, options.depth) : 0;
  double all = 0;
  MPI_Allreduce(&mine_closed, &closed, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  std::uint64_t least = 0, most = 0;
  MPI_Barrier(MPI_COMM_WORLD);
  Figure idle, wake;
  double idle_percent = 0;
  if (options.idle_ms > 0) idle = bench.after_idle(idle_percent);
  MPI_Allreduce(MPI_IN_PLACE, &idle_percent, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  db->close();
  if (options.idle_ms > 0) wake = wake_and_answer(rank, options, frame_bytes);
  const auto bare = bare_exchange(rank, ranks, frame_bytes, options.commits, crowded);
  const auto at_end = db->digest();
  MPI_Allreduce(&at_end, &least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&at_end, &most, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
  if (least != most) {
    std::fprintf(stderr, "commit_bench: the replicas differ\n");
    return 1;
  }
  if (rank == 0) {
    std::printf("%d ranks on %d processors%s, %llu bytes a frame, rank 0's figures\n", ranks,
                CPU_COUNT(&cpus), crowded ? " (crowded)" : "",
                static_cast<unsigned long long>(frame_bytes));
    std::printf("%-44s %10s %10s\n", "", "median us", "p99 us");
    std::printf("%-44s %10.2f %10.2f\n", "bare exchange, persistent point to point", bare.median_us,
                bare.p99_us);
    std::printf("%-44s %10.2f %10.2f\n", "commit of one row, closed loop", commit.median_us,
                commit.p99_us);
    std::printf("%-44s %10.2f\n", "ratio of medians (goal at 2 ranks: 3.5)",
                commit.median_us / bare.median_us);
    std::printf("%-44s %10.0f\n", "commits/s of all ranks, closed loop", closed);
    std::printf("%-44s %10.0f  (%d under way a rank)\n", "commits/s of all ranks, windowed", all,
                options.depth);
    if (options.idle_ms > 0) {
      const auto ms = std::to_string(options.idle_ms);
      std::printf("%-44s %10.2f %10.2f\n", ("wake and answer after " + ms + " ms").c_str(),
                  wake.median_us, wake.p99_us);
      std::printf("%-44s %10.2f %10.2f  (goal: 100)\n",
                  ("first commit after " + ms + " ms of idle").c_str(), idle.median_us,
                  idle.p99_us);
      std::printf("%-44s %10.2f  (goal: 1)\n", "percent of a core meanwhile, worst rank",
                  idle_percent);
    }
    if (!options.json.empty()) {
      std::ofstream(options.json) << "{\"benchmark\": \"commit\", \"ranks\": " << ranks
                                  << ", \"processors\": " << CPU_COUNT(&cpus)
                                  << ", \"frame_bytes\": " << frame_bytes
                                  << ", \"bare_median_us\": " << bare.median_us
                                  << ", \"bare_p99_us\": " << bare.p99_us
                                  << ", \"commit_median_us\": " << commit.median_us
                                  << ", \"commit_p99_us\": " << commit.p99_us
                                  << ", \"windowed_commits_per_s\": " << all
                                  << ", \"depth\": " << options.depth
                                  << ", \"idle_ms\": " << options.idle_ms
                                  << ", \"wake_median_us\": " << wake.median_us
                                  << ", \"wake_p99_us\": " << wake.p99_us
                                  << ", \"idle_commit_median_us\": " << idle.median_us
                                  << ", \"idle_commit_p99_us\": " << idle.p99_us
                                  << ", \"idle_percent\": " << idle_percent << "}\n";
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  mpi::Environment environment;
  return run(options);
}
