// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The collective opening: checks, three duplications of the communicator, agreement, freeing of what
// the same ranks have left behind (left_sessions.hpp), and the doorbell page.
//
// Invariants
//   I1  A failure that any rank finds is known to all before any leaves: each rank first duplicates
//       once, then the lowest failing rank tells its reason to everybody.
//   I2  Every step is nonblocking with one common deadline.
// Threads: COLLECTIVE.
// Failure: no communicator is left behind, unless the deadline has passed (then what is half made
//   cannot be freed).
#pragma once
#include <mpi.h>

#include <memory>
#include <vector>

#include "calls.hpp"
#include "exdb/host.hpp"
#include "exdb/mpi.hpp"

namespace exdb::mpi {

/// What every rank tells every other.
struct NodeCard {
  HostCard host;
  std::uint64_t send_buffer_bytes = 0, receive_buffer_bytes = 0;
  std::uint32_t exchange = 0;
  std::uint32_t resilient = 0;
  std::uint32_t by_host = 0;
  std::uint32_t unused = 0;
  std::uint64_t agreement = 0;
};

struct Opened {
  MPI_Comm control = MPI_COMM_NULL;     ///< short messages, and the closing barrier
  MPI_Comm data = MPI_COMM_NULL;        ///< payloads of long frames, and collective_gather
  MPI_Comm collective = MPI_COMM_NULL;  ///< collective exchanges only: one thread owns their order
  std::uint32_t rank = 0, size = 1;
  std::uint64_t id = 0;  ///< the same on all ranks, and of this opening alone; 0 = no randomness
  std::vector<NodeCard> cards;
  bool crowded = false;          ///< more ranks than processing units on this machine
  const char* members = "rank";  ///< for people: what `size` counts
  std::unique_ptr<Doorbell> doorbell;
};

/// `by_host`: for host_groups(); it is the same on all ranks, or all fail.
Result<Opened> collective_open(MPI_Comm communicator, const Options& options, bool by_host = false);
/// Frees what was left behind, and makes `data` and `collective`, when `control` is there.
Status collective_complete(Opened& opened, const Deadline& deadline);
/// The failure of the lowest rank that has one, on every rank, by `control`.
Status collective_agree(const Opened& opened, const Status& mine, const Deadline& deadline);
void free_communicators(Opened& opened);
/// Ranks of the machine of `rank` that run on the same set of processing units, itself counted.
/// Pretended hosts share the machine all the same.
std::uint32_t ranks_on_the_units_of(std::uint32_t rank, const std::vector<NodeCard>& cards);

}  // namespace exdb::mpi
