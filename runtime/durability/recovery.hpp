// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// From the files of a folder to a state: the newest checkpoint that is whole, then the rounds of the
// log after it. A restart is a join from oneself.
//
// Invariants
//   V1  What is recovered is the state after some round R under an unbroken chain; every round that was
//       acknowledged is R or older.
//   V2  A checkpoint that is damaged is passed over only for an older one from which the log goes on
//       without a gap (or for the whole log), and that is said.
//   V3  Nothing that could still be of use is removed or changed: only files that were never finished.
//   V4  What is recovered is on the device: a process that was killed, or whose fsync failed, may have
//       left the newest rounds in the system's cache alone, and they are given out from here on, and a
//       checkpoint of them written.
// Threads: none.
// Failure: as log_reader.hpp and checkpoint.hpp; what the sink gives.
// Cost: every byte of the checkpoint and the log once.
#pragma once
#include <chrono>

#include "durability/checkpoint.hpp"
#include "durability/log_reader.hpp"

namespace exdb {

/// Where a recovery goes.
class RecoverySink {
 public:
  virtual ~RecoverySink() = default;
  /// Back to the empty state.
  virtual Status begin() = 0;
  /// Of a checkpoint, in order.
  virtual Status chunk(Bytes chunk) = 0;
  /// All chunks have come: the state is that after `at`. Not called without a checkpoint.
  virtual Status complete(RoundHistory::Chain at) = 0;
  /// The next round.
  virtual Status round(const CompletedRound& round) = 0;
};

struct Recovery {
  RoundHistory::Chain from;  ///< of the checkpoint; round 0 when there was none
  std::uint64_t checkpoint_bytes = 0;
  ReadLog log;
  std::vector<std::string> passed_over;  ///< V2: why

  /// It was not closed: by a kill, or a crash.
  [[nodiscard]] bool torn_down() const;
  /// One line for people. `csn`: of the state; `undecided`: rounds that are here and not known to be
  /// final.
  [[nodiscard]] std::string told(const std::string& database, const std::string& path, Csn csn,
                                 std::chrono::steady_clock::duration took,
                                 std::size_t undecided = 0) const;
};

/// The identity of the database in this folder; makes it when there is none: then that of `made`, with
/// the text of its schema, and `owner` in its head. `text_there` becomes the text that is there. A folder
/// with files of a database and without its base is damaged.
Result<DatabaseIdentity> open_base(Folder& folder, const DatabaseIdentity& made,
                                   const std::string& text, std::string& text_there,
                                   Marks owner = {});
/// As open_base() of one that is there.
Result<DatabaseIdentity> read_base(Folder& folder, std::string& text_there);

/// ok, or unsupported: the folder `path` is one of a node that comes and goes, or is not, and is opened
/// otherwise.
Status check_format(const std::string& path, const DatabaseIdentity& found, std::uint32_t wanted);

/// Also removes what was never finished, and finishes taking in a state (arrived_state.hpp).
Result<Recovery> recover(Folder& folder, const DatabaseIdentity& identity, RecoverySink& sink);

}  // namespace exdb
