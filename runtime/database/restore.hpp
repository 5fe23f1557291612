// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening a database of a cluster that is on disk: all nodes look at the copies that they can see,
// agree on the furthest, and those that have less are given the rest of it, over the gather that
// opens a cluster; so it makes no difference whose disk it is on, or how many nodes there were.
//
// Invariants
//   O1  All nodes come through the same gathers, whatever is wrong on one, and end with the same
//       Status, which says on which node.
//   O2  The state is that of the furthest copy (copies.hpp K1). When this returns ok, every node that
//       keeps a copy has all of it in its own folder, synced, and a new epoch has begun there; the others
//       have it in memory.
//   O3  A copy with less is given the rounds it lacks when the furthest still has them after its
//       checkpoint, and else the files.
//   O4  No folder is changed before the furthest is known and no copy is a fork of it; those of nodes
//       that are not there are never changed. But what a crash has left unfinished is tidied.
// Threads: one a node.
// Failure: inconsistent (a fork), disk_schema, disk_version, disk_damaged with file and offset,
//   disk_in_use, disk_full, disk; those of the gather.
// Cost: what is on the disks, read once, each copy by one node; what is lacking goes to all nodes.
#pragma once
#include "database/durable.hpp"
#include "durability/folders.hpp"
#include "exdb/collective_gather.hpp"
#include "exdb/database.hpp"

namespace exdb {

struct RestoreRequest {
  std::string name;  ///< of the database, for messages
  std::shared_ptr<const Dictionary> dictionary;
  StorageOptions storage;
  DiskOptions disk;
  CollectiveGather* gather = nullptr;
  std::uint32_t self = 0;
  std::vector<bool> replicas;    ///< one a node: has a replica, so keeps a copy if it is to
  std::uint64_t epoch_name = 0;  ///< random, agreed
  Folders& folders = disk_folders();
  std::uint64_t segment_bytes = RoundLog::Options().segment_bytes;  ///< of files of the log
};

struct Restored {
  std::optional<Durable::Recovered> recovered;  ///< of a node that keeps a copy
  std::unique_ptr<Replica> replica;             ///< of one that keeps none, where it has a replica
  std::vector<bool> keeps;                      ///< one a node: keeps a copy
  RoundHistory::Chain newest;                   ///< of the state
  DatabaseIdentity identity;
  std::vector<std::string> seen_folders;  ///< of one that keeps none: copies of others that it sees
  std::string told;                       ///< one line, the same on all nodes
  bool worth_telling = false;   ///< somebody was torn down, or has caught up, or is not there
  Marks marks;                  ///< the highest that any node knows
  Csn csn;                      ///< of the state
  bool transient_rows = false;  ///< it has rows of classes declared so
};

/// COLLECTIVE. Blocks.
Result<Restored> collective_restore(RestoreRequest request);

}  // namespace exdb
