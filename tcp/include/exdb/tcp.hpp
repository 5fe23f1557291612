// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The door of the TCP transport: addresses become a Transport, a full mesh of links between nodes
// that are started in any order and may come and go.
//
// Invariants
//   I1  transport() waits for nobody. The first poll tells that all other nodes are gone; each is
//       told to be up when its link stands.
//   I2  A link that breaks is made again, and goes on exactly where it was, for keep_alive_time ×
//       keep_alive_probes; only after that the node is gone.
// Threads: transport() any; what it makes as exdb::Transport says.
// Failure: a value that cannot be is a Status `cluster_invalid_parameter` that names the key as the
//   Python API has it, and the remedy; an address that cannot be listened on is a Status `cluster`.
//   A Transport fails when a newer process with its node number is in the cluster
//   (`cluster_duplicate_node`).
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "exdb/transport.hpp"

namespace exdb::tcp {

struct TcpParams {
  /// All nodes, in the order of their numbers: "host:port", "[IPv6]:port"; the same everywhere.
  std::vector<std::string> nodes;
  std::uint32_t self = 0;  ///< listens on nodes[self]

  // nwparams
  std::int64_t connect_timeout_ms = 5000;  ///< connectTimeout: of one attempt, hello included
  std::int64_t connect_interval_ms = 200;  ///< connectInterval: between two attempts
  std::int64_t socket_send_buf_bytes = 0;  ///< socketSendBuf; 0 = the system's
  std::int64_t socket_recv_buf_bytes = 0;  ///< socketRecvBuf; 0 = the system's
  int socket_domain = 0;                   ///< socketDomain: AF_INET, AF_INET6; 0 = both
  std::int64_t keep_alive_time_ms = 1000;  ///< keepAliveTime
  std::int64_t keep_alive_probes = 10;     ///< keepAliveProbes
  /// ssl_params, as the user wrote them; present, even empty: TLS is on.
  std::optional<std::map<std::string, std::variant<std::int64_t, std::string>>> ssl_params;
  std::string cluster_secret_file;  ///< empty: none
  bool insecure_network = false;    ///< plaintext beyond the loopback, and anybody may join

  // What nodes must agree on to be let in.
  std::uint64_t cluster_id = 0;
  std::array<std::byte, 32> schema_hash{};

  std::uint64_t receive_buffer_bytes = 0;  ///< of each link (clusterRecvBuf); 0 = 64 KiB
  /// Of what is on its way to one node (Transport::send_bound_bytes; clusterSendBuf × 4 when that
  /// is more); 0 = 16 MiB.
  std::uint64_t send_bound_bytes = 0;
  /// A bound socket to listen on instead of binding nodes[self]; it is duplicated. -1: none.
  int listener = -1;
  /// Gets one line for each event worth one, without a newline; none: stderr. Called by the thread
  /// that polls, sends or closes.
  std::function<void(const std::string&)> log;
};

/// The transport of one node. Blocks only to read the files that params name, and to resolve the
/// name in nodes[self], if it is one.
Result<std::unique_ptr<Transport>> transport(const TcpParams& params);

}  // namespace exdb::tcp
