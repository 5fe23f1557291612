// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes and members where hosts take part in the rounds: member h is host h, whose leader speaks for
// all nodes of the host. What the rounds tell of members is told to programs of nodes.
//
// Invariants
//   I1  As HostGroups; `qranks` has one of each node.
// Threads: plain values.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cluster/quorum_count.hpp"
#include "exdb/cluster_info.hpp"

namespace exdb {

struct HostMap {
  std::uint32_t self = 0;
  std::vector<std::uint32_t> hosts;    ///< of each node
  std::vector<std::uint32_t> leaders;  ///< of each host
  std::vector<ClusterNodeParams> nodes;

  [[nodiscard]] std::uint32_t host() const { return hosts[self]; }
  [[nodiscard]] std::uint32_t leader() const { return leaders[host()]; }
  [[nodiscard]] bool leads() const { return leader() == self; }
  /// For texts of the rounds, which number members: which nodes these are. Empty for a single host.
  [[nodiscard]] std::string explain() const;
  /// Ascending.
  [[nodiscard]] std::vector<std::uint32_t> nodes_of(std::uint32_t host) const;
  /// Those of this host but its leader.
  [[nodiscard]] std::vector<std::uint32_t> followers() const;
  [[nodiscard]] NodeInfo info(std::uint32_t node) const;
  /// One a host: the sum of its nodes' qranks.
  [[nodiscard]] std::vector<ClusterNodeParams> members() const;
  /// Whose qranks count: each node for itself, with its host as the member.
  [[nodiscard]] Voters voters() const;
  /// What is known of members, as what is known of nodes; `there`: those that have not left. What was
  /// sent and received is the leader's.
  [[nodiscard]] ClusterInfo of_nodes(ClusterInfo of_members,
                                     const std::function<bool(std::uint32_t)>& there) const;
};

}  // namespace exdb
