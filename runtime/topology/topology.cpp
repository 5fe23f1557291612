// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/topology.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include "topology/placement.hpp"

#ifdef EXDB_HWLOC
#include <hwloc.h>
#endif

namespace exdb {
namespace {

/// Of the mask: sched_getaffinity fails when the kernel's is larger, and says nothing of how large.
constexpr std::size_t units_max = 16384;

/// The kernel's affinity mask; empty when it cannot be read.
std::vector<std::uint32_t> allowed_units() {
  std::vector<std::uint32_t> units;
  cpu_set_t* set = CPU_ALLOC(units_max);
  const std::size_t bytes = CPU_ALLOC_SIZE(units_max);
  if (set == nullptr) return units;
  CPU_ZERO_S(bytes, set);
  if (sched_getaffinity(0, bytes, set) == 0) {
    for (std::size_t unit = 0; unit < units_max; ++unit) {
      if (CPU_ISSET_S(unit, bytes, set)) units.push_back(static_cast<std::uint32_t>(unit));
    }
  }
  CPU_FREE(set);
  return units;
}

std::uint64_t hash_of(const std::vector<std::uint32_t>& units) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a: a handful of numbers, not worth more
  for (std::uint32_t unit : units) hash = (hash ^ unit) * 1099511628211ULL;
  return hash;
}

/// A container limited to two CPUs on a large machine still sees all of them in its mask. 0 = no
/// quota.
std::uint32_t quota_units() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  const double units = std::ceil(std::strtod(quota.c_str(), nullptr) / period);
  return units >= 1 && units < units_max ? static_cast<std::uint32_t>(units) : 0;
}

#ifdef EXDB_HWLOC
std::vector<std::uint32_t> numa_nodes_of(hwloc_topology_t machine,
                                         const std::vector<std::uint32_t>& units) {
  std::vector<std::uint32_t> nodes;
  hwloc_bitmap_t set = hwloc_bitmap_alloc();
  for (const std::uint32_t unit : units) hwloc_bitmap_set(set, unit);
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    if (hwloc_bitmap_intersects(node->cpuset, set)) nodes.push_back(node->os_index);
  }
  hwloc_bitmap_free(set);
  return nodes;
}

void ask_hwloc(Topology& found, const std::vector<std::uint32_t>& allowed) {
  hwloc_topology_t machine = nullptr;
  if (hwloc_topology_init(&machine) != 0) return;
  // No devices: looking for GPUs and disks takes longer than all the rest.
  hwloc_topology_set_io_types_filter(machine, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_icache_types_filter(machine, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_flags(machine, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (hwloc_topology_load(machine) == 0) {
    const int units = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_PU);
    const int cores = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE);
    const int nodes = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_NUMANODE);
    // 0 and negative: the level is not there (or several), so what the kernel said stays.
    if (units > 0) found.machine_pus = static_cast<std::uint32_t>(units);
    if (cores > 0) found.cores = static_cast<std::uint32_t>(cores);
    if (nodes > 0) found.numa_nodes = static_cast<std::uint32_t>(nodes);
    found.own_numa_nodes = numa_nodes_of(machine, allowed);
  }
  hwloc_topology_destroy(machine);
}
#endif

Topology look() {
  Topology found;
  const auto units = allowed_units();
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  found.machine_pus = online > 0 ? static_cast<std::uint32_t>(online) : 1;
  found.allowed_pus = units.empty() ? found.machine_pus : static_cast<std::uint32_t>(units.size());
  // Ranks that may run on the same units compare this: two that are bound to one core each and two
  // that share both have equal counts.
  found.set_hash = hash_of(units);
  found.memory_nodes = memory_nodes_of_kernel();
#ifdef EXDB_HWLOC
  ask_hwloc(found, units);
#endif
  // By the mask alone: a quota limits time, and binds to nothing.
  found.bound = found.allowed_pus < found.machine_pus;
  if (const std::uint32_t quota = quota_units())
    found.allowed_pus = std::min(found.allowed_pus, quota);
  return found;
}

std::string counted(std::uint32_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

const Topology& topology() {
  static const Topology found = look();
  return found;
}

std::string describe(const Topology& found) {
  std::string text = std::to_string(found.allowed_pus) + " of " +
                     counted(found.machine_pus, "processing unit") +
                     (found.bound ? " (bound)" : "");
  if (found.cores != 0) text += ", " + counted(found.cores, "core");
  if (found.numa_nodes != 0) text += ", " + counted(found.numa_nodes, "NUMA node");
  return text;
}

}  // namespace exdb
