// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a database needs to become a node of a cluster, as exdb/_cluster.py fills it in: the engine's
// ClusterParams with its defaults, what the transport over MPI or TCP needs, and the callbacks.
//
// Threads: filled in under the GIL; the engine's part holds no Python object.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "callbacks.hpp"
#include "exdb/cluster.hpp"
#include "exdb/schema.hpp"
#include "mpi_library.hpp"
#include "tcp_library.hpp"

namespace exdb::python {

struct ClusterRequest {
  ClusterParams params;
  TransportRequest transport;         ///< over MPI
  std::optional<tcp::TcpParams> tcp;  ///< over TCP, where they are given
  bool shared = false;                ///< one replica a host; only over MPI
  std::shared_ptr<Callbacks> callbacks = std::make_shared<Callbacks>();

  /// Set when the program gives up waiting for open; only where nodes come and go.
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);

  ClusterRequest() { tcp.emplace(); }
  ClusterRequest(std::int32_t fortran_handle, std::uint32_t rank, std::uint32_t size);

  /// For Database::open; with MPI collective; without the GIL. To be used once. Over TCP it throws
  /// what is wrong with the parameters.
  ClusterParams take(const Dictionary& dictionary);
  /// What TransportRequest takes of `params`.
  TransportRequest& transport_request();

 private:
  void agree(const Dictionary& dictionary);
  std::unique_ptr<Transport> tcp_transport(const Dictionary& dictionary);
};

void bind_cluster(pybind11::module_& module);

}  // namespace exdb::python
