// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Reading a log again: every record of every file, in order, under an unbroken chain.
//
// Invariants
//   R1  What each() is given is a prefix of what was appended, and has all that was acknowledged.
//   R2  Bytes that are no record are a torn end, and cut, only in the last file, and only when no
//       whole record behind them proves that they were safe before (L1, I2 of log_record.hpp). All
//       others are damage, with file and offset; nothing is passed over.
//   R3  The chain of each record is that of the one before and what it carries; and at the round where
//       the reading began that of `from`.
//   R4  In format 2 each() is given only what was known to be final, and `from`; what is left at the end
//       is held. What was taken back is not among either. A step counts whole or not at all, and files
//       before the last that begins anew not at all.
// Threads: none.
// Failure: as file_head.hpp; what each() gives.
// Cost: every byte once; the largest file in memory.
#pragma once
#include <functional>

#include "durability/round_log.hpp"

namespace exdb {

/// What was behind the last record.
struct TornEnd {
  std::string path;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct ReadLog {
  LogEnd end;
  std::uint64_t rounds = 0;  ///< given to each()
  std::uint64_t bytes = 0;   ///< of the records that were read
  std::optional<TornEnd> torn;
  RoundHistory::Chain final;        ///< up to here each() was given them (R4)
  std::deque<CompletedRound> held;  ///< after that
};

using EachRound = std::function<Status(const CompletedRound&)>;

/// The rounds after `from` to the last that is final. Files that have none of them are listed in the end, and not
/// read. `marks`: those known before.
Result<ReadLog> read_log(Folder& folder, const DatabaseIdentity& identity, RoundHistory::Chain from,
                         Marks marks, const EachRound& each);

}  // namespace exdb
