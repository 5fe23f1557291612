// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where this process may run: what decides whether a polling thread may spin, and what the doctor
// prints.
//
// Invariants
//   I1  1 <= allowed_pus; equal sets of processing units give equal `set_hash`.
// Threads: any.
// Failure: none; where hwloc cannot tell, the kernel's affinity mask alone is used and `cores`,
//   `numa_nodes` are 0.
#pragma once
#include <cstdint>
#include <string>

namespace exdb {

struct Topology {
  std::uint32_t allowed_pus =
      1;  ///< processing units this process may run on, a container's CPU quota counted in
  std::uint32_t machine_pus = 1;
  std::uint32_t cores = 0;       ///< of the machine
  std::uint32_t numa_nodes = 0;  ///< of the machine
  bool bound = false;            ///< allowed on fewer processing units than the machine has
  std::uint64_t set_hash = 0;    ///< processes with the same hash compete for the same units
};

/// Looks once, when first called (some milliseconds), and remembers: call it after the launcher has
/// bound the process.
const Topology& topology();

/// For people: "2 of 64 processing units (bound), 32 cores, 2 NUMA nodes".
std::string describe(const Topology& topology);

}  // namespace exdb
