// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Snapshots that have a name. A name is given and dropped by a transaction that does nothing else, so
// at one place in the agreed order: it means the state after the round of that transaction, on every
// node.
//
// Invariants
//   M1  Of each name the last transaction that gave or dropped it counts: by it the csn is the same
//       wherever the name is.
//   M2  What has a pin is read in this process; what has a file, in any later one, too.
//   M3  A file of a name that was dropped, or given again, is removed only by files_to_remove(): so
//       not before the log that says so is safe.
//   M4  Names go with the state (SnapshotHeader): whoever takes it has the same names with the same csns.
//       What they show does not: a name that was given where this node was not can be asked for, given
//       up and not given again, and read on the nodes that saw it, or have its file.
// Threads: from any; it has a lock of its own.
// Cost: a name O(1), and what is superseded after it, kept once for as long as its pin lives; one
//   place among the readers of the storage.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "exdb/errors.hpp"
#include "replica/snapshot_chunk.hpp"
#include "replica/snapshots.hpp"

namespace exdb {

struct NamedSnapshot {
  std::string name;
  Csn csn;
  Round round;  ///< after which it is the state
  std::uint64_t digest = 0;
  std::shared_ptr<Snapshots> pinned;  ///< null: it is in its file alone
  bool pinned_there = false;          ///< by the process whose list of names this is from
  Status why_not;                     ///< it could not be pinned
  bool on_disk = false;
};

class NamedSnapshots {
 public:
  /// More would use up the places of readers.
  static constexpr std::size_t count_max = 128;

  void set(NamedSnapshot given);
  void drop(const std::string& name, Round round);
  /// M4: of a state that comes. Before the first round.
  void know(const std::vector<SnapshotName>& names);
  /// M4: a state takes the place of this one. Pins and files of the same states are kept.
  void replace(const NamedSnapshots& other);

  [[nodiscard]] std::optional<NamedSnapshot> find(const std::string& name) const;
  [[nodiscard]] std::vector<NamedSnapshot> all() const;
  [[nodiscard]] std::size_t size() const;

  /// After a recovery: files that were found, of which those count that no later round has changed.
  void merge(std::vector<NamedSnapshot> files);
  void written(const std::string& name, Round round);
  [[nodiscard]] std::vector<std::string> files_to_remove() const;
  void removed(const std::string& name);

 private:
  void forget(const std::string& name);

  mutable std::mutex mutex_;
  std::map<std::string, NamedSnapshot> names_;
  std::map<std::string, Round> changed_;  ///< last given or dropped, in this life
  std::set<std::string> stale_;           ///< M3
  bool known_ = false;                    ///< all that were given before this life are in names_
};

/// REQUIRES: not empty, at most 200 bytes of UTF-8 without control characters.
Status check_snapshot_name(const std::string& name);

}  // namespace exdb
