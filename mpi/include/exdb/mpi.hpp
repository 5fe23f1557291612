// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The door of the MPI transport: a communicator of the program becomes a Transport whose nodes are
// its ranks, or the hosts on which they run.
//
// Invariants
//   I1  The program's communicator is used for three duplications and nothing else: its own
//       messages, tags and collectives are never touched, and it may be freed afterwards.
//   I2  transport() gives a Transport on every rank or the same failure on every rank; so does
//       host_groups().
//   I3  Nothing here calls MPI_Init or MPI_Finalize but Environment.
// Threads: transport() and host_groups() are COLLECTIVE over the communicator, in the same order as its other
//   collectives.
// Failure: below MPI_THREAD_MULTIPLE (unless cooperative), on an intercommunicator, with a wrong
//   launcher: a Status `launcher` that says what to do. A rank that never comes: a Status `timeout`
//   after the deadline, not a hang.
#pragma once
#include <mpi.h>

#include "exdb/cluster.hpp"

namespace exdb::mpi {

enum class Exchange : int {
  automatic,   ///< p2p for few nodes, collective for many: where measured lines cross
  p2p,         ///< every batch goes to every other rank as a message
  collective,  ///< one MPI_Iallgather a round
};

struct Options {
  Exchange exchange = Exchange::automatic;
  std::uint64_t send_buffer_bytes =
      0;  ///< a frame up to this goes as one message; 0 = 16 KiB (clusterSendBuf)
  std::uint64_t receive_buffer_bytes =
      0;  ///< of each receive kept ready; 0 = 16 KiB (clusterRecvBuf)
  /// Of what is on its way to one rank (Transport::send_bound_bytes); 0 = 16 MiB, or four send
  /// buffers when that is more.
  std::uint64_t send_bound_bytes = 0;
  Progress progress = Progress::adaptive;
  /// For opening; 0 = wait for ever.
  std::chrono::milliseconds deadline{60'000};
  /// How long a collective close waits for ranks that have not closed yet, if that is less than
  /// `deadline`; 0 = as that one. It then ends as a close of this rank alone. All have agreed to end
  /// before, so they come at once, or are busy with something else: possibly with closing another
  /// transport that waits in turn for this rank.
  std::chrono::milliseconds close_deadline{10'000};
  /// The cluster outlives its ranks: a Transport without collective calls and without a gather, so
  /// that a database over it has views (runtime/cluster). `exchange` means nothing then.
  bool resilient = false;
  /// With `resilient`: a rank of another host that was silent for so long is taken for dead when MPI
  /// ends; 0 = never.
  std::chrono::milliseconds keep_alive{10'000};
  /// With `resilient`: a hash of what has to be the same on all ranks.
  std::uint64_t agreement = 0;
  /// What the caller believes about its communicator: catches a handle that means another one here.
  std::optional<std::uint32_t> expected_rank, expected_size;
  /// A failure found by the caller before: then every rank gets it.
  Status local_failure;
};

/// COLLECTIVE, blocks until every rank of `communicator` has called it or the deadline passes.
Result<std::unique_ptr<Transport>> transport(MPI_Comm communicator, const Options& options = {});

/// COLLECTIVE as transport(), with the same checks, over all ranks: for databases of which each host
/// keeps one replica (exdb/host_groups.hpp). Its take_transport() gives what transport() gives, among
/// the leaders alone; the other ranks hold no MPI then, and may reach MPI_Finalize at any time.
/// Refuses Options::resilient (`unsupported`): the ranks of a host live and die with their leader.
///
/// The leader of a host is the rank whose set of processing units has most left when each rank that
/// runs on the same set has taken one; of several the lowest.
Result<std::unique_ptr<HostGroups>> host_groups(MPI_Comm communicator, const Options& options = {});

/// For C++ programs without an MPI_Init of their own: initialises MPI (MPI_THREAD_MULTIPLE) if
/// nobody has, and finalizes it at the end if it was the one. Leaving its scope by an exception
/// aborts the job, as the other ranks would wait.
class Environment {
 public:
  Environment();  ///< throws Error(launcher) when MPI cannot be initialised
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  [[nodiscard]] bool owner() const { return owner_; }

 private:
  bool owner_ = false;
  int exceptions_ = 0;
};

}  // namespace exdb::mpi
