// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/stl.h>

#include "bind.hpp"
#include "exdb/cluster_info.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

py::tuple to_python(const ClusterTraffic& traffic) {
  return py::make_tuple(traffic.frames_sent, traffic.frames_received, traffic.bytes_sent,
                        traffic.bytes_received);
}

py::dict to_python(const ClusterNodeInfo& node) {
  py::dict result;
  result["node"] = py::make_tuple(node.node.addr, node.node.qrank, node.node.node_id);
  result["self"] = node.self;
  result["active"] = node.active;
  result["reached"] = node.reached;
  result["traffic"] = to_python(node.traffic);
  result["rounds_behind"] = node.rounds_behind;
  return result;
}

}  // namespace

py::dict cluster_info(const std::shared_ptr<DatabaseHandle>& self) {
  Database& database = self->use();
  ClusterInfo seen;
  {
    const Released released;
    seen = database.cluster_info();
  }
  py::list nodes;
  for (const auto& node : seen.nodes) nodes.append(to_python(node));
  py::dict result;
  result["node_id"] = seen.self;
  result["transport"] = seen.transport;
  result["nodes"] = nodes;
  result["quorum"] = seen.quorum;
  result["members_change"] = seen.members_change;
  result["view"] = seen.view;
  result["view_by"] = seen.view_by;
  result["views"] = seen.views;
  result["states_taken"] = seen.states_taken;
  result["traffic"] = to_python(seen.traffic);
  result["rounds"] = seen.rounds;
  result["rounds_empty"] = seen.rounds_empty;
  result["round"] = seen.round;
  result["remote_commits"] = seen.remote_commits;
  result["remote_aborts"] = seen.remote_aborts;
  result["slowest"] = seen.slowest;
  result["slowest_rounds_behind"] = seen.slowest_rounds_behind;
  result["published"] = seen.published.value;
  result["oldest_snapshot"] = seen.oldest_snapshot.value;
  result["oldest_snapshot_age"] = seen.oldest_snapshot_age;
  result["snapshots"] = seen.snapshots;
  result["versions_pinned"] = seen.versions_pinned;
  return result;
}

}  // namespace exdb::python
