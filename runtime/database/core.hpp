// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a Database and its connections share.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/participant.hpp"
#include "database/commit_route.hpp"
#include "database/exclusive_turn.hpp"
#include "database/restore.hpp"
#include "exdb/database.hpp"
#include "replica/replica_state.hpp"

namespace exdb {

class Checkpoint;
class LeaderRoute;

struct DatabaseCore {
  std::string name;
  std::shared_ptr<const Dictionary> dictionary;
  DatabaseOptions options;
  std::string description = "embedded";
  /// Why nothing is written here; empty: it may be.
  std::string read_only;
  unsigned mode_mask = 0;
  std::uint64_t sync_msg_objects = 0, sync_msg_bytes = 0;

  StorageOptions storage;
  std::unique_ptr<Replica> replica;
  /// Where nodes come and go: how it is given and taken; the node refers to it.
  std::unique_ptr<ReplicaState> replica_state;
  /// What this process has of the replica's readers in others; the replica refers to it.
  std::unique_ptr<ReplicaReaders> readers;
  /// The part in the cluster; null without one. It refers to the replica and goes first.
  std::unique_ptr<Participant> node;
  /// The way of transactions into the order; it refers to both of the above.
  std::unique_ptr<CommitRoute> route;
  LeaderRoute* leader = nullptr;     ///< the route, of a process whose host has a leader
  std::unique_ptr<Durable> durable;  ///< null in memory; it refers to all of these and goes first
  std::optional<Restored> restored;  ///< of a node on disk, or one whose leader is
  NodeId self;
  std::uint32_t nodes = 1;

  std::mutex commit_lock;            ///< without a cluster: one commit at a time
  std::mutex* drive_lock = nullptr;  ///< of the node, where this process has one
  ExclusiveTurn exclusive_turn;
  std::atomic<bool> open{true};
  std::atomic<std::uint32_t> connections{0};
  std::atomic<std::uint64_t> next_autoid{1};
  std::atomic<bool> autoids_settled{true};  ///< autoids.hpp, U2

  /// Snapshots of files that somebody reads, each a database of its own.
  std::mutex named_lock;
  std::map<std::string, std::weak_ptr<DatabaseCore>> named;
  /// Likewise those that the leader of this host keeps pinned.
  std::map<std::string, std::weak_ptr<Snapshots>> named_beside;

  /// Those that are written while the program goes on.
  std::mutex checkpoints_lock;
  std::vector<std::pair<std::shared_ptr<Checkpoint>, std::jthread>> checkpoints;

  struct Counters {
    std::atomic<std::uint64_t> committed{0}, aborted{0}, conflicts{0}, rolled_back{0}, read_only{0};
  } counters;

  /// The lock under which the replica changes.
  std::mutex& lock() { return drive_lock != nullptr ? *drive_lock : commit_lock; }
  void require_open() const {
    if (!open.load(std::memory_order_acquire)) {
      throw Error(ErrorCode::invalid_handle, "database '" + name + "' is closed: open it again");
    }
  }
  Participant& require_cluster(const char* what) const {
    if (!node) {
      throw Error(ErrorCode::cluster_not_initialized,
                  std::string(what) + ": database '" + name +
                      "' was opened without a cluster; pass clusterParams or comm to open");
    }
    return *node;
  }
};

/// One connection more. Throws no_memory, naming max_connections.
void count_connection(DatabaseCore& core);
/// A database over what is filled in already.
std::unique_ptr<Database> open_on(std::shared_ptr<DatabaseCore> core);

}  // namespace exdb
