// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One record of the log: a round, or the word that the log was closed. In format 2 (file_head.hpp), where
// rounds come that are not final, also what takes them back, and what a member must not forget.
//
//   at size
//    0  4   "EXRC"
//    4  4   CRC32C of the database's number, the bytes from 8 on and the payload
//    8  8   kind: 1 a round, 2 closed; of format 2: 2, 3 a round, 4 back to a round, 5 memory;
//           256 more where the next record is of the same step
//   16  8   offset of this record in its file
//   24  8   offset up to which its file was synced when this was written
//   32  8   round
//   40  8   the chain of it (RoundHistory I2)
//   48  8   bytes of payload
//   56      payload, then zeros up to a multiple of 8
//
// The payload of 5 is that of whom it belongs to (StableStore), of 2 of format 2 the newest round that was
// known to be final v, else of 2 and 4 nothing. The payload of 3 is
// the newest round that was known to be final v, and then that of 1, the life v behind the view.
//
// The payload of a round (v = varint): Marks::sequence v, Marks::autoid v, last 1 byte, view: number
// v, member v; batches v, each: member v, flags 1 byte (1 stop, 2 leave, 4 more), oldest snapshot v,
// digest 8 bytes, digest lag v, checksum 8 bytes, payload as bytes.
//
// Invariants
//   I1  decode_record() accepts exactly what encode_record() made for this database at this offset:
//       rows that hold the bytes of a log are never taken for one.
//   I2  A record that is whole and says that the log was synced beyond an offset proves that what is
//       at that offset was acknowledged: bytes there that are no record are damage, and not the torn
//       end of a write that nobody was told of.
//   I3  The records of a step are one behind the other in one file. A reader takes all of them or none:
//       without the last one it is a torn end.
// Threads: pure functions.
// Failure: a text that says what is wrong, for who knows the file.
#pragma once
#include <string>
#include <vector>

#include "cluster/completed_round.hpp"
#include "durability/file_head.hpp"

namespace exdb {

constexpr std::size_t record_head_bytes = 56;
constexpr std::size_t record_alignment = 8;
/// No record is longer: a round of one item of the largest size, or of several that fit a batch.
constexpr std::uint64_t record_bytes_max = std::uint64_t{2} << 30;

struct LogRecord {
  enum class Kind : std::uint8_t { round = 1, closed = 2, held_round = 3, back = 4, memory = 5 };
  Kind kind = Kind::round;
  bool step_goes_on = false;  ///< I3
  std::uint64_t offset = 0, synced = 0;
  RoundHistory::Chain chain;
  Marks marks;           ///< of a round
  CompletedRound round;  ///< of a round
  Round final;           ///< of a held round, and of format 2 where it was closed
  std::vector<std::byte> memory;
  [[nodiscard]] bool is_round() const { return kind == Kind::round || kind == Kind::held_round; }
};

/// What is at an offset of a log.
struct ReadRecord {
  enum class Found : std::uint8_t { record, nothing, bad };
  Found found = Found::bad;
  std::string why;          ///< of what is bad
  std::uint64_t bytes = 0;  ///< of a record, with its zeros
  LogRecord record;
};

/// Not less than encode_record() appends for this round.
[[nodiscard]] std::uint64_t record_bytes_at_most(const CompletedRound& round);
/// Appends `record`, if it is one of a round with the payload made of `round`.
void encode_record(const LogRecord& record, const CompletedRound& round, std::uint64_t database,
                   std::vector<std::byte>& out);
/// `nothing` when there are but zeros in place of a head, or the file ends.
[[nodiscard]] ReadRecord decode_record(Bytes file, std::uint64_t offset, std::uint64_t database);
/// Whether a whole record after `offset` proves that what is there was synced (I2). O(bytes).
[[nodiscard]] bool proven_synced(Bytes file, std::uint64_t offset, std::uint64_t database);

}  // namespace exdb
