// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What makes a database a node of a cluster: ClusterParams, argument by argument as in the Python
// API.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exdb/host_groups.hpp"
#include "exdb/transport.hpp"

namespace exdb {

struct ClusterNodeParams {
  std::string addr;         ///< TCP "host:port"; unused with MPI
  std::uint32_t qrank = 1;  ///< weight in the quorum
};

/// How local commits are grouped into one exchange; the bound that is reached first closes the
/// window. bsize and length both 0: nothing is held back, a batch leaves as soon as the exchange is
/// free.
struct ClusterWindow {
  std::uint64_t bsize_bytes = 0;
  std::uint64_t length_transactions = 0;
  std::uint64_t timeout_ms = 1;
};

enum class Notification : int { connect = 0, disconnect = 1 };

struct NodeInfo {
  std::string addr;
  std::uint32_t qrank = 1;
  std::uint32_t node_id = 0;
};

constexpr unsigned cluster_mode_debug_output = 1;
constexpr unsigned cluster_mode_early_data_send = 2;

/// Who drives the exchange when nobody waits for a commit.
enum class Progress {
  adaptive,     ///< the listener polls, then naps longer and longer
  spin,         ///< the listener never sleeps: for a core of its own
  cooperative,  ///< no listener: the program calls Database::progress(), and every exdb call helps
};

struct ClusterParams {
  std::optional<std::uint32_t> node_id;  ///< none: taken from the transport
  std::vector<ClusterNodeParams> nodes;  ///< empty: all nodes of the transport, qrank 1
  /// Made by exdb::mpi::transport(comm). Owned by the database from open on.
  std::unique_ptr<Transport> transport;
  /// Instead of a transport, with DatabaseOptions::shared: made by exdb::mpi::host_groups(comm).
  std::unique_ptr<HostGroups> hosts;
  ClusterWindow window;
  std::uint32_t conn_pool_factor =
      50;  ///< percent of max_connections that may be in the exchange at once
  std::uint64_t sync_msg_objects = 100;
  std::uint64_t sync_msg_bytes = 0;  ///< 0 = 1 MiB
  unsigned mode_mask = 0;
  Progress progress = Progress::adaptive;
  /// How long commit, stop and close wait for a silent node before they give up and name it. 0 =
  /// for ever.
  std::chrono::milliseconds timeout{60'000};
  /// Called by the thread of the database's own notifier, without engine locks. Exceptions are
  /// logged.
  std::function<void(Notification, const NodeInfo&)> notify;
  /// Asked, with the reachable neighbours, when the reachable qrank does not exceed half of the
  /// configured total: may this node write all the same (runtime/cluster/README.md)?
  std::function<bool(const std::vector<std::uint32_t>&)> quorum;
  // --- where nodes come and go: a transport without a collective gather. Who goes on without a
  // --- majority is followed by who did not; of two that did, one gives its history up.
  /// How long open waits until this node is a member and has the state. After that the database is
  /// there all the same: it reads, and writes fail with cluster_no_quorum until it is one.
  std::chrono::milliseconds connect_timeout{5000};
  std::uint64_t cluster_id = 0;  ///< the same everywhere, and of no other cluster
  /// A node says so often that it lives, and is gone when it has been silent `keep_alive_probes`
  /// times as long.
  std::chrono::milliseconds keep_alive_time{1000};
  std::uint32_t keep_alive_probes = 10;
  /// Set to true by another thread: open gives up waiting, soon, and throws interrupted.
  std::shared_ptr<const std::atomic<bool>> cancelled;

  /// A failure found by the caller before it could open: open then fails with it on EVERY node
  /// alike.
  Status local_failure;
};

}  // namespace exdb
