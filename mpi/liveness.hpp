// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Which processes on this host have ended: a descriptor of each (pidfd), asked by one poll(). A zombie
// counts as ended, and a number that was given to another process does not deceive. Where the kernel
// has no such descriptors, or may not give one, kill(pid, 0) is asked instead, which sees neither.
//
// Rejected: SIGUSR1, which hydra sends to the survivors. Other launchers do not, it names nobody, and
// it belongs to MPI.
//
// Invariants
//   I1  A node is told once.
//
//   I2  Of nodes on other hosts, or in another pid namespace, nothing is said.
// Threads: one at a time.
// Failure: none; what cannot be watched is not told.
#pragma once
#include <vector>

#include "exdb/host.hpp"

namespace exdb::mpi {

class Liveness {
 public:
  Liveness() = default;
  ~Liveness();
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  /// REQUIRES: all processes of the cards live until this has returned everywhere.
  void watch(const std::vector<HostCard>& cards, std::uint32_t self);
  /// Whether an end of `node` would be seen here.
  [[nodiscard]] bool watches(std::uint32_t node) const;
  /// Nodes that have ended since the last call. One system call; with kill() one a node.
  std::vector<std::uint32_t> ended();

 private:
  struct Watched {
    std::uint32_t node;
    std::int32_t pid;
    int descriptor;  ///< -1: there is none
  };
  std::vector<Watched> watched_;
};

}  // namespace exdb::mpi
