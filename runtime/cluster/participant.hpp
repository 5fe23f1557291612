// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a database asks of its part in a cluster, beside the way of its transactions: a node that
// takes part in the rounds itself, the leader of a host, or a process whose leader does (host/).
//
// Threads: all functions from any thread.
// Failure: once failed, every later call returns the same Status.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "exdb/cluster_info.hpp"
#include "exdb/errors.hpp"
#include "exdb/transport.hpp"

namespace exdb {

/// What still works at a node, and why not more.
struct NodeState {
  enum class Phase { open, stopping, stopped, left, failed };
  Phase phase = Phase::open;
  bool writes = true;       ///< commits are accepted (or the quorumCallback decides)
  bool fresh_reads = true;  ///< so are transactions that must see every commit that returned
  std::string text;         ///< for people: why; empty when all works
};

struct NodeStatistics {
  std::uint64_t rounds = 0, rounds_empty = 0;  ///< empty: nobody sent a transaction
  std::uint64_t items_sent = 0, items_received = 0;
  std::uint64_t exchange_ns_total = 0;  ///< from posting to completion, summed over rounds
  std::uint64_t exchange_ns_median = 0, exchange_ns_p99 = 0;
  std::uint64_t apply_ns_total = 0;
  std::uint64_t views = 0, states_taken = 0;  ///< where nodes come and go
};

class Participant {
 public:
  virtual ~Participant() = default;

  /// Drives in this thread until the cluster stops (the listener of the program's own). Returns ok
  /// then, or the failure.
  virtual Status listen() = 0;
  /// Some polls; true when something happened. For cooperative programs.
  virtual bool progress() = 0;
  /// This thread uses the database: so it is the one that is going to stop it (closing.hpp). submit,
  /// the waits and stop say so themselves.
  virtual void used() = 0;

  /// Says that this node wants to end, and returns after ALL nodes have said so or left. Waits for
  /// nodes that live as long as it takes, with a warning that names them after 10 s, 20 s, 40 s …;
  /// for a silent one no longer than the timeout. Past `deadline` it gives up with timeout, naming
  /// the nodes that have not stopped; where databases are being closed in opposite order, with
  /// cluster; when another thread lets this node leave or closes it, with interrupted. After these
  /// three the node has left.
  virtual Status stop(std::optional<std::chrono::milliseconds> deadline) = 0;
  /// Goes away without waiting for the others' stop: takes part in at most the round under way and
  /// one more, at most `cap`.
  virtual void leave(std::chrono::milliseconds cap) = 0;
  /// After stop or leave: ends threads; `collective` as Transport::close, and only where all nodes
  /// have stopped together.
  virtual void close(bool collective) = 0;

  virtual void set_window(const ClusterWindow& window) = 0;
  [[nodiscard]] virtual ClusterWindow window() const = 0;
  [[nodiscard]] virtual Status failure() const = 0;
  [[nodiscard]] virtual NodeState state() const = 0;
  [[nodiscard]] virtual NodeStatistics statistics() const = 0;
  [[nodiscard]] virtual TransportStatistics transport_statistics() const = 0;
  /// What a node knows of the cluster; the rest of it is the database's. O(nodes); waits for the
  /// drive lock, which is held for a few rounds at most.
  [[nodiscard]] virtual ClusterInfo cluster_info() const = 0;
};

/// Told by a node what processes beside it have to know, under the drive lock. What it calls may not
/// wait for anything.
class NodeObserver {
 public:
  virtual ~NodeObserver() = default;
  /// Before the node's batch of `round` is handed to the transport.
  virtual void posting(Round round) = 0;
  /// After `round` is published.
  virtual void applied(Round round) = 0;
  virtual void lost(MemberId member) = 0;
  /// In a round: `origin`, for which `member` has sent, has ended. After its last item was applied.
  virtual void origin_gone(MemberId member, NodeId origin) = 0;
  /// Nothing more comes; every item is answered.
  virtual void finished() = 0;
};

}  // namespace exdb
