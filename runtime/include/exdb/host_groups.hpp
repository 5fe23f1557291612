// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The processes of a job by the hosts they run on, for databases of which each host keeps one
// replica (DatabaseOptions::shared). One process of a host, its leader, is the member of the
// cluster; the others have no part in its messages.
//
// Terms: a *node* is a process, numbered as the job numbers it (NodeId, the rank). A *host* is a
// group of nodes, numbered by its lowest node. The members of the rounds are the hosts: member h is
// the leader of host h.
//
// Invariants
//   I1  hosts() and leaders() are the same on all nodes, and do not change.
//   I2  hosts()[leaders()[h]] == h.
//   I3  Nodes of one host can map each other's memory by /proc/<pid>/fd (HostCard::same_host).
// Threads: gather(), take_transport() and close() one at a time, in the same order on all nodes.
// Failure: a Status, the same on all nodes, unless the deadline of the transport has passed.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "exdb/collective_gather.hpp"
#include "exdb/transport.hpp"

namespace exdb {

class HostGroups {
 public:
  /// Local: what was not closed is left behind, as after a failure.
  virtual ~HostGroups() = default;

  [[nodiscard]] virtual std::uint32_t self() const = 0;  ///< this node
  /// The host of each node.
  [[nodiscard]] virtual const std::vector<std::uint32_t>& hosts() const = 0;
  /// The leader of each host.
  [[nodiscard]] virtual const std::vector<std::uint32_t>& leaders() const = 0;
  [[nodiscard]] virtual std::string describe() const = 0;

  /// Over all nodes.
  [[nodiscard]] virtual CollectiveGather& gather() = 0;
  /// COLLECTIVE over all nodes, once, after the last gather. On a leader a transport among the
  /// leaders, in which node h is the leader of host h; null on the others. Frees what the grouping
  /// took of the network: from here on only leaders hold any of it.
  virtual Result<std::unique_ptr<Transport>> take_transport() = 0;
  /// COLLECTIVE over all nodes, instead of take_transport(): all of them have failed.
  virtual void close() = 0;

  [[nodiscard]] std::uint32_t host() const { return hosts()[self()]; }
  [[nodiscard]] std::uint32_t leader() const { return leaders()[host()]; }
  [[nodiscard]] bool leads() const { return leader() == self(); }
  [[nodiscard]] std::uint32_t nodes() const { return static_cast<std::uint32_t>(hosts().size()); }
};

}  // namespace exdb
