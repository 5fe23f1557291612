// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a database needs to become a node of a cluster over MPI, as exdb/_cluster.py fills it in:
// the engine's ClusterParams with its defaults, the transport's options, and the callbacks.
//
// Threads: filled in under the GIL; the engine's part holds no Python object.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "callbacks.hpp"
#include "exdb/cluster.hpp"
#include "mpi_library.hpp"

namespace exdb::python {

struct ClusterRequest {
  ClusterParams params;
  TransportRequest transport;
  std::shared_ptr<Callbacks> callbacks = std::make_shared<Callbacks>();

  ClusterRequest(std::int32_t fortran_handle, std::uint32_t rank, std::uint32_t size);

  /// For Database::open; collective, without the GIL. To be used once.
  ClusterParams take();
};

void bind_cluster(pybind11::module_& module);

}  // namespace exdb::python
