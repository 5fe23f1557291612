// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// All files of a folder read and checked, each for itself and as parts of one chain, for who looks:
// a recovery stops at the first damage and leaves out what it does not need.
//
// Invariants
//   N1  Nothing is changed: the folder may be one of DiskFolder::look().
//   N2  What is called whole is so: every checksum of it was computed again, each file of the log goes
//       on where the one before it ends, and checkpoints are of rounds that the log has, where it has
//       them.
// Threads: none.
// Failure: a Status when the base cannot be read; damage of other files is in what is given.
// Cost: every byte once; a file of the log in which a checkpoint lies once more. In memory: the
//   largest file of the log.
#pragma once
#include "durability/checkpoint.hpp"
#include "durability/log_reader.hpp"

namespace exdb {

struct FoundFile {
  enum class Kind : std::uint8_t { base, log, checkpoint, snapshot, unfinished, other };
  Kind kind = Kind::other;
  std::string name;
  std::uint64_t bytes = 0;       ///< as the file system says
  std::uint64_t used_bytes = 0;  ///< of a log: up to the end of its last record
  Round before;                  ///< of a log: the round before its first
  RoundHistory::Chain last;      ///< of a log: its last round; of a checkpoint its own
  std::uint64_t items = 0;       ///< rounds, or chunks
  Status damage;
};

struct Inspection {
  DatabaseIdentity identity;
  std::string text;  ///< of the schema
  std::vector<FoundFile> files;
  RoundHistory::Chain last;  ///< of the log; in format 2 of what is known to be final
  std::uint64_t held = 0;    ///< rounds after that, of which the cluster decides
  bool closed = false;
  std::optional<TornEnd> torn;
};

Result<Inspection> inspect(Folder& folder);

/// Whether the chain of this folder has that value after that round; nothing when the log does not
/// have the round.
Result<std::optional<bool>> has_chain(Folder& folder, RoundHistory::Chain at);

}  // namespace exdb
