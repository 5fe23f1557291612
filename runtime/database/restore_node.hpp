// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening the folder of a node on disk where nodes come and go: each opens its own and nobody else's,
// `<path>/node-<n>`. What is in it and was final is the state; what may be final by the word of others
// goes to the member, with what it must not forget.
//
// Invariants
//   M1  A folder is opened by the node and for the cluster for which it was made: with that of another
//       node two members would have one memory.
//   M2  The replica is that of the files as in F1 of durable.hpp, up to the newest round that the log
//       knows to be final.
// Threads: none.
// Failure: disk_in_use, disk_schema, disk_version, disk_damaged, disk_full, disk; unsupported for a
//   folder of another kind of database; cluster_incompatible for one of another node or cluster.
// Cost: what is on the disk, read once.
#pragma once
#include "cluster/view_memory.hpp"
#include "database/durable.hpp"
#include "exdb/database.hpp"

namespace exdb {

struct NodeRestoreRequest {
  std::string name;  ///< of the database, for messages
  std::shared_ptr<const Dictionary> dictionary;
  StorageOptions storage;
  DiskOptions disk;
  MemberId self;
  std::uint64_t cluster_id = 0;  ///< names the database too, the same on all nodes
};

struct RestoredNode {
  Durable::Recovered recovered;
  StableHistory::Begin begin;
  std::optional<ViewMemory> memory;  ///< none: a node that has never been one
  Csn horizon;                       ///< of the replica
};

/// What a recovery reads, on its way to where it goes; the newest rounds of it are kept (H5 of
/// stable_history.hpp), as many as a history keeps.
class RecentRounds final : public RecoverySink {
 public:
  explicit RecentRounds(RecoverySink& to,
                        std::size_t bytes_max = StableHistory::Options().bytes_max)
      : to_(to), bytes_max_(bytes_max) {}

  Status begin() override;
  Status chunk(Bytes chunk) override { return to_.chunk(chunk); }
  Status complete(RoundHistory::Chain at) override;
  Status round(const CompletedRound& round) override;
  /// With what the log ends with.
  [[nodiscard]] StableHistory::Begin take(ReadLog& log);

 private:
  RecoverySink& to_;
  const std::size_t bytes_max_;
  std::deque<CompletedRound> rounds_;
  std::size_t bytes_ = 0;
  RoundHistory::Chain from_;  ///< before the first of them
};

Result<RestoredNode> restore_node(const NodeRestoreRequest& request);

}  // namespace exdb
