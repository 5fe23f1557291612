// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does one exchange of everybody's 64 bytes cost, bare MPI against the Transport
// that the rounds ride on, and how
//   long does it take to wake a node that sleeps?
// Goal: the Transport's median within 1.5 × bare MPI's in the same run. Non-goal: bandwidth; many
// hosts. Use: mpiexec -n 2 exchange_bench [--rounds n] [--bytes n] [--json file]
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "exdb/mpi.hpp"

namespace {

using namespace exdb;
using bench::Clock;
using bench::cpu_seconds;
using bench::microseconds_since;

struct Measured {
  std::string name;
  double median_us = 0, p99_us = 0;
};

struct Run {
  int rank = 0, size = 1;
  bool crowded = false;
  std::size_t rounds = 20'000, bytes = 64;
  std::string json;
  std::vector<Measured> measured;
};

void give_way(const Run& run) {
  if (run.crowded) sched_yield();
}

void record(Run& run, const std::string& name, std::vector<double> times) {
  const auto all = bench::summary(std::move(times));
  run.measured.push_back({name, all.median, all.p99});
}

template <class Once>
void measure(Run& run, const std::string& name, Once once) {
  MPI_Barrier(MPI_COMM_WORLD);
  for (std::size_t round = 0; round < run.rounds / 10 + 1; ++round) once();
  std::vector<double> times;
  for (std::size_t round = 0; round < run.rounds; ++round) {
    const auto start = Clock::now();
    once();
    times.push_back(microseconds_since(start));
  }
  record(run, name, std::move(times));
}

/// Every byte that a rank sends.
std::byte mark_of(std::uint32_t rank) { return static_cast<std::byte>(rank + 1); }

void require_from(std::uint32_t rank, std::span<const std::byte> bytes, std::size_t wanted) {
  const bool good = bytes.size() == wanted &&
                    std::ranges::count(bytes, mark_of(rank)) == static_cast<std::ptrdiff_t>(wanted);
  if (good) return;
  std::fprintf(stderr, "exchange_bench: wrong bytes from rank %u\n", rank);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

struct Counting : FrameSink {
  explicit Counting(std::size_t bytes = 0) : wanted(bytes) {}
  std::size_t wanted;
  std::uint64_t frames = 0;
  void on_frame(std::uint32_t from, std::span<const std::byte> frame) override {
    ++frames;
    require_from(from, frame, wanted);
  }
  void on_gone(std::uint32_t) override {}
};

void require_from_all(const Run& run, std::span<const std::byte> in, bool own) {
  for (int rank = 0; rank < run.size; ++rank) {
    if (rank == run.rank && !own) continue;
    require_from(static_cast<std::uint32_t>(rank),
                 in.subspan(run.bytes * static_cast<std::size_t>(rank), run.bytes), run.bytes);
  }
}

void bare_point_to_point(Run& run, MPI_Comm communicator) {
  constexpr std::size_t slots = 2;
  const auto ranks = static_cast<std::size_t>(run.size);
  const auto mark = mark_of(static_cast<std::uint32_t>(run.rank));
  std::vector<std::byte> out(run.bytes, mark), in(run.bytes * ranks * slots);
  std::vector<MPI_Request> receives(ranks * slots, MPI_REQUEST_NULL),
      sends(ranks, MPI_REQUEST_NULL);
  for (int peer = 0; peer < run.size; ++peer) {
    if (peer == run.rank) continue;
    const auto at = static_cast<std::size_t>(peer);
    for (std::size_t slot = 0; slot < slots; ++slot) {
      auto& receive = receives[slot * ranks + at];
      MPI_Recv_init(in.data() + run.bytes * (slot * ranks + at), static_cast<int>(run.bytes),
                    MPI_BYTE, peer, 0, communicator, &receive);
      MPI_Start(&receive);
    }
    MPI_Send_init(out.data(), static_cast<int>(run.bytes), MPI_BYTE, peer, 0, communicator,
                  &sends[at]);
  }
  std::size_t slot = 0;
  measure(run, "bare MPI, persistent p2p", [&] {
    for (auto& send : sends) {
      if (send != MPI_REQUEST_NULL) MPI_Start(&send);
    }
    for (std::size_t peer = 0; peer < ranks; ++peer) {
      auto& receive = receives[slot * ranks + peer];
      for (int done = receive == MPI_REQUEST_NULL; done == 0;) {
        MPI_Test(&receive, &done, MPI_STATUS_IGNORE);
        if (done == 0) give_way(run);
      }
      if (receive != MPI_REQUEST_NULL) MPI_Start(&receive);
    }
    for (int done = 0; done == 0;) MPI_Testall(run.size, sends.data(), &done, MPI_STATUSES_IGNORE);
    slot = 1 - slot;
  });
  MPI_Barrier(MPI_COMM_WORLD);
  for (std::size_t of = 0; of < slots; ++of)
    require_from_all(run, std::span(in).subspan(run.bytes * ranks * of, run.bytes * ranks), false);
  for (auto& receive : receives) {
    if (receive == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&receive);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    MPI_Request_free(&receive);
  }
  for (auto& send : sends) {
    if (send != MPI_REQUEST_NULL) MPI_Request_free(&send);
  }
}

void bare_collective(Run& run, MPI_Comm communicator) {
  const auto mark = mark_of(static_cast<std::uint32_t>(run.rank));
  std::vector<std::byte> out(run.bytes, mark), in(run.bytes * static_cast<std::size_t>(run.size));
  const int bytes = static_cast<int>(run.bytes);
  measure(run, "bare MPI, Iallgather", [&] {
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallgather(out.data(), bytes, MPI_BYTE, in.data(), bytes, MPI_BYTE, communicator, &request);
    for (int done = 0; done == 0;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done == 0) give_way(run);
    }
  });
  require_from_all(run, in, true);
}

std::unique_ptr<Transport> open(mpi::Exchange exchange) {
  mpi::Options options;
  options.exchange = exchange;
  auto made = mpi::transport(MPI_COMM_WORLD, options);
  made.status().or_throw();
  return std::move(made).value();
}

Frame frame_of(const Run& run) {
  return std::make_shared<std::vector<std::byte>>(run.bytes,
                                                  mark_of(static_cast<std::uint32_t>(run.rank)));
}

void transport_exchange(Run& run, mpi::Exchange exchange, const std::string& name) {
  auto transport = open(exchange);
  Counting sink(run.bytes);
  std::uint64_t wanted = 0;
  measure(run, name, [&] {
    transport->broadcast(frame_of(run)).or_throw();
    wanted += transport->size() - 1;
    while (sink.frames < wanted) {
      bool any = false;
      transport->poll(sink, any).or_throw();
      if (!any) give_way(run);
    }
  });
  transport->close(true);
}

void sleep_until_a_frame(Transport& transport, Counting& sink) {
  const auto before = sink.frames;
  while (sink.frames == before) {
    transport.wait(std::chrono::seconds(10));
    bool any = false;
    transport.poll(sink, any).or_throw();
  }
}

/// Rank 0 sends to rank 1, which sleeps, and polls for its answer: one wake-up and two messages.
/// Other ranks sleep.
void doorbell(Run& run) {
  if (run.size < 2) return;
  auto transport = open(mpi::Exchange::p2p);
  Counting sink(run.bytes);
  const auto frame = frame_of(run);
  const std::size_t rounds = std::min<std::size_t>(run.rounds, 500);
  std::vector<double> times;
  for (std::size_t round = 0; round < rounds && run.rank <= 1; ++round) {
    if (run.rank == 1) {
      sleep_until_a_frame(*transport, sink);
      transport->send(0, frame).or_throw();
      continue;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const auto start = Clock::now();
    transport->send(1, frame).or_throw();
    for (bool any = false; !any;) transport->poll(sink, any).or_throw();
    times.push_back(microseconds_since(start));
  }
  if (run.rank == 0) {
    for (std::uint32_t other = 2; other < transport->size(); ++other)
      transport->send(other, frame).or_throw();
    record(run, "send to a sleeping node and answer", std::move(times));
  } else if (run.rank > 1) {
    sleep_until_a_frame(*transport, sink);
  }
  transport->close(true);
}

/// Percent of a core that a node costs which has nothing to do, by the cap of its sleeps.
double idle_percent(Transport& transport, std::chrono::microseconds cap,
                    std::chrono::milliseconds span) {
  Counting sink;
  const double before = cpu_seconds();
  const auto start = Clock::now();
  while (Clock::now() - start < span) {
    bool any = false;
    transport.poll(sink, any).or_throw();
    transport.wait(cap);
  }
  return 100 * (cpu_seconds() - before) * 1e6 / microseconds_since(start);
}

Run parse(int argc, char** argv) {
  Run run;
  bench::CommandLine("exchange_bench")
      .number("--rounds", run.rounds, std::size_t{1})
      .number("--bytes", run.bytes)
      .text("--json", run.json)
      .read(argc, argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &run.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &run.size);
  if (run.size > 2 && run.rounds > 3000) run.rounds = 3000;
  return run;
}

void print(const Run& run, const std::string& mpi, double idle_200us, double idle_1ms) {
  std::printf("%s, %zu bytes, %zu rounds%s\n", mpi.c_str(), run.bytes, run.rounds,
              run.crowded ? ", more ranks than processing units" : "");
  std::printf("%-38s %12s %12s\n", "", "median us", "p99 us");
  for (const auto& one : run.measured)
    std::printf("%-38s %12.2f %12.2f\n", one.name.c_str(), one.median_us, one.p99_us);
  std::printf("idle node: %.2f %% of a core with naps of 200 us, %.2f %% with 1 ms\n", idle_200us,
              idle_1ms);
  if (run.json.empty()) return;
  std::ofstream file(run.json);
  file << "{\"benchmark\": \"exchange\", \"mpi\": \"" << mpi << "\", \"compiler\": \""
       << __VERSION__ << "\", \"ranks\": " << run.size << ", \"bytes\": " << run.bytes
       << ", \"rounds\": " << run.rounds << ", \"crowded\": " << (run.crowded ? "true" : "false")
       << ", \"idle_percent_200us\": " << idle_200us << ", \"idle_percent_1ms\": " << idle_1ms
       << ", \"results\": [";
  const char* comma = "";
  for (const auto& one : run.measured) {
    file << comma << "\n  {\"name\": \"" << one.name << "\", \"median_us\": " << one.median_us
         << ", \"p99_us\": " << one.p99_us << "}";
    comma = ",";
  }
  file << "]}\n";
}

}  // namespace

int main(int argc, char** argv) {
  mpi::Environment environment;
  Run run = parse(argc, argv);
  auto transport = open(mpi::Exchange::p2p);
  run.crowded = transport->crowded();
  const std::string mpi = transport->describe();
  const auto span = std::chrono::milliseconds(run.rounds < 1000 ? 50 : 1000);
  const double idle_200us = idle_percent(*transport, std::chrono::microseconds(200), span);
  const double idle_1ms = idle_percent(*transport, std::chrono::milliseconds(1), span);
  transport->close(true);
  MPI_Comm communicator = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &communicator);
  bare_point_to_point(run, communicator);
  bare_collective(run, communicator);
  MPI_Comm_free(&communicator);
  transport_exchange(run, mpi::Exchange::p2p, "Transport, broadcast p2p");
  transport_exchange(run, mpi::Exchange::collective, "Transport, broadcast collective");
  doorbell(run);
  if (run.rank == 0) print(run, mpi, idle_200us, idle_1ms);
  return 0;
}
