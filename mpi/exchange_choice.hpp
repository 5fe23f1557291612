// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Which exchange 'auto' is: point-to-point for few ranks, one collective call for many. The limits
// are where the measured lines cross (README.md, "Point-to-point or collective"): the work of
// point-to-point grows with the square of the ranks, that of a collective with n log n, and a
// message through memory costs so little that it takes many to matter.
//
// Invariants
//   I1  A function of what all ranks told each other: the same on every rank.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>

#include "exdb/host.hpp"
#include "exdb/mpi.hpp"

namespace exdb::mpi {

/// Where all ranks share memory: p2p won with 32 ranks, the collective with 40.
constexpr std::size_t p2p_ranks_max_one_host = 32;
/// Where some do not. Over TCP, all processes on two processors, the collective won from 3 or 4
/// ranks on, and with 8 by 1.5 to 1.9; through memory p2p won with 8 by 2.5. Hosts of their own, with
/// a faster network than TCP, lie between: not measured.
constexpr std::size_t p2p_ranks_max_several_hosts = 8;

inline bool share_one_host(std::span<const HostCard> hosts) {
  return std::ranges::all_of(hosts,
                             [&](const HostCard& other) { return other.same_host(hosts.front()); });
}

/// `hosts`: one card a rank. O(ranks).
inline bool is_collective(Exchange wanted, std::span<const HostCard> hosts) {
  if (hosts.size() < 2 || wanted == Exchange::p2p) return false;
  if (wanted == Exchange::collective) return true;
  return hosts.size() >
         (share_one_host(hosts) ? p2p_ranks_max_one_host : p2p_ranks_max_several_hosts);
}

}  // namespace exdb::mpi
