// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where this process may run, and where its memory may lie: what decides whether a polling thread
// may spin, on which NUMA nodes the pages of a shared segment go, and what the doctor prints.
//
// Invariants
//   I1  1 <= allowed_pus; equal sets of processing units give equal `set_hash`.
// Threads: any.
// Failure: where hwloc cannot tell, the kernel's affinity mask alone is used: `cores` and
//   `numa_nodes` are 0, `own_numa_nodes` is empty. place_shared() says why memory stays where it is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb {

struct Topology {
  std::uint32_t allowed_pus =
      1;  ///< processing units this process may run on, a container's CPU quota counted in
  std::uint32_t machine_pus = 1;
  std::uint32_t cores = 0;                    ///< of the machine
  std::uint32_t numa_nodes = 0;               ///< of the machine
  std::vector<std::uint32_t> own_numa_nodes;  ///< those of the units it may run on
  std::vector<std::uint32_t> memory_nodes;    ///< NUMA nodes that it may have memory on
  bool bound = false;          ///< allowed on fewer processing units than the machine has
  std::uint64_t set_hash = 0;  ///< processes with the same hash compete for the same units
};

/// Looks once, when first called (some milliseconds), and remembers: call it after the launcher has
/// bound the process.
const Topology& topology();

/// Spreads the pages of `memory` evenly over topology().memory_nodes, where these are several: the
/// processes of a host read a shared segment from all of its NUMA nodes, and the one that happens to
/// write a page first is no reason to have it there. Under a launcher that gives a job a part of a
/// host these are the nodes of that part. For a shared mapping it holds for the file behind it,
/// whoever touches it; for pages that come later. Whole pages, and before their memory is allocated:
/// what is there stays where it is. Costs a system call.
///
/// Fails with `unsupported` where the system does not allow it (containers often do not): nothing is
/// lost then but speed.
Status place_shared(void* memory, std::size_t bytes);
/// What place_shared() does here: "1 NUMA node: nothing to place", "interleaved over NUMA nodes 0, 1".
std::string describe_placement();
/// Whether the kernel has huge pages for shared memory, for people.
std::string describe_huge_pages();

/// For people: "2 of 64 processing units (bound), 32 cores, 2 NUMA nodes".
std::string describe(const Topology& topology);

}  // namespace exdb
