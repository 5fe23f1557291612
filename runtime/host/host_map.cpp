// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_map.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace exdb {

std::vector<std::uint32_t> HostMap::nodes_of(std::uint32_t host) const {
  std::vector<std::uint32_t> found;
  for (std::uint32_t node = 0; node < hosts.size(); ++node)
    if (hosts[node] == host) found.push_back(node);
  return found;
}

std::string HostMap::explain() const {
  if (leaders.size() == 1) return {};
  std::string text;
  for (std::uint32_t host = 0; host < leaders.size(); ++host) {
    text += (text.empty() ? " (by hosts: " : "; ") + std::to_string(host) + " is that of nodes";
    for (const auto node : nodes_of(host)) text += " " + std::to_string(node);
  }
  return text + ")";
}

std::vector<std::uint32_t> HostMap::followers() const {
  auto found = nodes_of(host());
  std::erase(found, leader());
  return found;
}

NodeInfo HostMap::info(std::uint32_t node) const {
  return {nodes[node].addr, nodes[node].qrank, node};
}

std::vector<ClusterNodeParams> HostMap::members() const {
  std::vector<ClusterNodeParams> made;
  for (std::uint32_t host = 0; host < leaders.size(); ++host) {
    std::uint64_t sum = 0;
    for (const auto node : nodes_of(host)) sum += nodes[node].qrank;
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    made.push_back({nodes[leaders[host]].addr, static_cast<std::uint32_t>(std::min(sum, most))});
  }
  return made;
}

Voters HostMap::voters() const {
  Voters made{NodeId{self}, {}, {}};
  for (std::uint32_t node = 0; node < hosts.size(); ++node) {
    made.qranks.push_back(nodes[node].qrank);
    made.speakers.push_back(MemberId{hosts[node]});
  }
  return made;
}

ClusterInfo HostMap::of_nodes(ClusterInfo of_members,
                              const std::function<bool(std::uint32_t)>& there) const {
  auto made = std::move(of_members);
  const auto members = std::exchange(made.nodes, {});
  made.self = self;
  made.view_by = leaders[made.view_by];
  if (made.slowest) made.slowest = leaders[*made.slowest];
  for (std::uint32_t node = 0; node < hosts.size(); ++node) {
    const auto& member = members[hosts[node]];
    ClusterNodeInfo each;
    const bool here = node == self || there(node);
    each.node = info(node);
    each.self = node == self;
    each.active = member.active && here;
    each.reached = member.reached && here;
    each.stopped = member.stopped;
    each.rounds_behind = member.rounds_behind;
    if (node == leaders[hosts[node]]) each.traffic = member.traffic;
    made.nodes.push_back(std::move(each));
  }
  return made;
}

}  // namespace exdb
