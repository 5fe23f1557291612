// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// libexdb_mpi.so, loaded when a cluster over MPI is first opened: the package is used without any
// MPI otherwise.
//
// Precondition: mpi4py.MPI was imported, so that the library is bound to the MPI which that chose.
// Threads: all functions need the GIL, except make_transport and make_host_groups, which are
//   collective and must not have it.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "exdb/cluster.hpp"
#include "exdb/mpi_loader.hpp"

namespace exdb::python {

/// Throws Error launcher when there is no such library, or it does not load: names the path.
void load_mpi_library(const std::string& path);

/// What the library sees, for the checks in exdb/_mpi.py.
pybind11::dict describe_mpi();

struct TransportRequest {
  std::int32_t fortran_handle = 0;
  std::uint32_t size = 0, rank = 0;
  exdb_mpi_options options{};
  Status failure;
};

/// COLLECTIVE, blocks. A failure is the same one on every rank.
Result<std::unique_ptr<Transport>> make_transport(const TransportRequest& request);
/// As make_transport().
Result<std::unique_ptr<HostGroups>> make_host_groups(const TransportRequest& request);

}  // namespace exdb::python
