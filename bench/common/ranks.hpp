// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the benchmarks on several ranks share: who this is, sums over all, a database over all, and
// the checks that end the job when a result is wrong.
//
// Threads: the functions are COLLECTIVE over MPI_COMM_WORLD.
// Failure: what is wrong on any rank is an exception on every rank, with the reason.
#pragma once
#include <mpi.h>
#include <sched.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "exdb/exdb.hpp"
#include "exdb/mpi.hpp"

namespace exdb::bench {

struct Ranks {
  int rank = 0, count = 1, processors = 1;
  bool crowded = false;

  Ranks() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof(cpus), &cpus);
    processors = CPU_COUNT(&cpus);
    crowded = count > processors;
  }
  [[nodiscard]] bool first() const { return rank == 0; }
};

inline void barrier() { MPI_Barrier(MPI_COMM_WORLD); }

inline double sum(double mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return mine;
}
inline std::uint64_t sum(std::uint64_t mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  return mine;
}
inline double largest(double mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return mine;
}

/// True on all ranks or an exception on all.
inline void require(bool good, const std::string& what) {
  int all = good ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (all == 0) throw std::runtime_error(what + (good ? " (on another rank)" : ""));
}

inline void require_equal_replicas(const Database& db) {
  const std::uint64_t mine = db.digest();
  std::uint64_t first = mine;
  MPI_Bcast(&first, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  require(first == mine, "the replicas differ");
}

inline std::unique_ptr<Database> open(std::shared_ptr<const Dictionary> schema,
                                      std::uint32_t connections = 100) {
  DatabaseOptions options;
  options.max_connections = connections;
  ClusterParams cluster;
  cluster.conn_pool_factor = 100;
  cluster.transport = mpi::transport(MPI_COMM_WORLD).value();
  return Database::open("bench", std::move(schema), options, std::move(cluster));
}

/// A barrier that leaves the processor to others while it waits, up to 0.1 ms too long: MPI's own
/// spins.
inline void patient_barrier() {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

/// Everybody has committed, and this rank has all of it.
inline void settle(Database& db) {
  patient_barrier();
  std::uint64_t newest = db.published().value;
  MPI_Allreduce(MPI_IN_PLACE, &newest, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
  const auto con = db.connect();
  TransactionOptions wanted;
  wanted.type = TransactionType::read_only;
  wanted.at_least = Csn{newest};
  con->start(wanted);
  con->rollback();
  barrier();
}

/// main() of such a program: an error on one rank ends the job.
template <class Run>
int on_ranks(const char* program, Run run) {
  mpi::Environment environment;
  try {
    run(Ranks());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
    std::fflush(nullptr);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  return 1;
}

}  // namespace exdb::bench
