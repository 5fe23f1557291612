// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/topology.hpp"

#include <pybind11/stl.h>

#include <span>

#include "bind.hpp"
#include "cluster.hpp"
#include "exdb/collective_gather.hpp"
#include "process.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

/// Of this process, as exdb/_topology.py takes it.
py::dict local() {
  const Topology& found = topology();
  py::dict result;
  result["units"] = found.allowed_pus;
  result["machine_units"] = found.machine_pus;
  result["machine_cores"] = found.cores;
  result["machine_numa_nodes"] = found.numa_nodes;
  result["bound"] = found.bound;
  result["numa_nodes"] = found.own_numa_nodes;
  result["memory_nodes"] = found.memory_nodes;
  result["placement"] = describe_placement();
  result["huge_pages"] = describe_huge_pages();
  return result;
}

/// Hosts of the ranks, leaders of the hosts, everybody's `mine`, and a line for people. COLLECTIVE.
py::tuple group_by_host(const std::shared_ptr<ClusterRequest>& request, const std::string& mine) {
  require_unforked();
  std::unique_ptr<HostGroups> groups;
  std::vector<std::vector<std::byte>> blocks;
  {
    const Released released;
    groups = make_host_groups(request->transport_request()).value();
    blocks = groups->gather()
                 .collective_gather(std::as_bytes(std::span(mine)), request->params.timeout)
                 .value();
    groups->close();
  }
  py::list told;
  for (const auto& block : blocks)
    told.append(py::bytes(reinterpret_cast<const char*>(block.data()), block.size()));
  return py::make_tuple(groups->hosts(), groups->leaders(), told, groups->describe());
}

}  // namespace

void bind_topology(py::module_& module) {
  module.def("topology", local);
  module.def("group_by_host", group_by_host, py::arg("request"), py::arg("mine"));
}

}  // namespace exdb::python
