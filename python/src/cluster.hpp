// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ClusterParams from Python: plain values, the callbacks, and what is needed for the transport.
//
// Invariants
//   I1  A callback asks for the GIL only in the notifier's thread (notify) or in the thread that
//       commits (quorum), and never after the interpreter began to end.
//   I2  An exception in a callback is printed and goes no further.
// Threads: parse_cluster needs the GIL.
#pragma once
#include <pybind11/pybind11.h>

#include <optional>

#include "exdb/cluster.hpp"
#include "mpi_library.hpp"

namespace exdb::python {

struct ClusterRequest {
  ClusterParams params;
  TransportRequest transport;
};

/// From the dict that exdb/_cluster.py makes of validated arguments.
ClusterRequest parse_cluster(const pybind11::dict& values);

}  // namespace exdb::python
