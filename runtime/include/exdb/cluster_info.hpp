// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A cluster as one of its nodes sees it at one moment: for people, monitors and tests. Nothing is
// asked of the others, so what it says of them is what this node knows.
//
// Threads: plain values.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exdb/cluster.hpp"
#include "exdb/types.hpp"

namespace exdb {

/// Frames are what nodes hand to their transports; counted before encryption, without what the
/// network adds.
struct ClusterTraffic {
  std::uint64_t frames_sent = 0, frames_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
};

struct ClusterNodeInfo {
  NodeInfo node;
  bool self = false;
  /// Takes part in the rounds as of now. All are false while this node itself does not.
  bool active = false;
  bool reached = false;    ///< is heard, whether it is a member or not
  /// Has called stop() or close(), and commits nothing more; said where membership is fixed.
  bool stopped = false;
  ClusterTraffic traffic;  ///< between it and this node; of self nothing
  /// Newest round that is complete here minus the newest that it has applied, by its own last word.
  /// Where membership is fixed: 1 while its batch of the round under way is missing here, else 0.
  std::uint64_t rounds_behind = 0;
};

struct ClusterInfo {
  std::uint32_t self = 0;
  std::string transport;               ///< for people: "TCP (3 nodes, TLS)"
  std::vector<ClusterNodeInfo> nodes;  ///< by number
  bool quorum = false;                 ///< the active nodes that are reached may write

  // --- who takes part ---
  bool members_change = false;  ///< nodes come and go; false: who is gone stays away
  /// The newest view that this node was a member of; 0 before the first, and where membership is
  /// fixed.
  std::uint64_t view = 0;
  std::uint32_t view_by = 0;  ///< the node that formed it
  std::uint64_t views = 0;    ///< installed here since this node was opened
  std::uint64_t states_taken = 0;

  // --- what was done since this node was opened ---
  ClusterTraffic traffic;  ///< sum over the nodes
  std::uint64_t rounds = 0, rounds_empty = 0;
  std::uint64_t round = 0;  ///< number of the newest one applied here
  /// Transactions of other nodes, as they ended here.
  std::uint64_t remote_commits = 0, remote_aborts = 0;

  /// The active node that is furthest behind; none when all have what is complete here.
  std::optional<std::uint32_t> slowest;
  std::uint64_t slowest_rounds_behind = 0;

  // --- what is kept ---
  Csn published;
  Csn oldest_snapshot;  ///< the oldest one that is held here; `published` when none is
  std::uint64_t oldest_snapshot_age = 0;  ///< published - oldest_snapshot, in commits
  std::uint64_t snapshots = 0;            ///< different csns that are held
  /// Versions, nodes and entries that can go only when snapshots do.
  std::uint64_t versions_pinned = 0;

  [[nodiscard]] std::size_t active_nodes() const {
    std::size_t count = 0;
    for (const auto& each : nodes) count += each.active ? 1 : 0;
    return count;
  }
};

}  // namespace exdb
