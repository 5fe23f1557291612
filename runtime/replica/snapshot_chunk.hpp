// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The bytes of a snapshot stream: chunks, each whole and checked by itself, and the header that
// opens the stream. What the objects in them mean is snapshot_stream's.
//
//   at size
//    0  4   magic "EXSN"
//    4  1   kind
//    5  3   zero
//    8  4   number: 0 for the first chunk of the stream, then one more each
//   12  4   objects in the payload
//   16  8   payload length in bytes
//   24  8   XXH3 of the payload, seeded with the XXH3 of the 24 bytes before
//
// Payloads, an object each (v = varint):
//   header    one object: SnapshotHeader; format 3, which is read as well, ends before `autoids`
//   changes   csn v, index v, key bytes                             in csn order
//   parts     origin v, sequence v, member v, ops bytes             of one transaction in order
//   outcomes  what OutcomeTable::encode() writes                    an origin each
//   slots     class v, slot v, csn v, 0 or 1 and the row as bytes   in any order
//   end       one object: number of slot objects, v
//
// Invariants
//   I1  decode_chunk() accepts exactly what encode_chunk() makes, and decode_header() what
//       encode_header() makes; nothing is read or allocated on the word of a length that was not
//       checked against the bytes at hand.
// Threads: pure functions.
// Failure: a Status cluster_protocol that says what is wrong.
#pragma once
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "cluster/round_history.hpp"
#include "exdb/errors.hpp"

namespace exdb {

constexpr std::size_t chunk_head_bytes = 32;
constexpr std::uint16_t snapshot_version = 4;
constexpr std::uint16_t snapshot_version_oldest = 3;  ///< that is read

struct SnapshotChunk {
  enum class Kind : std::uint8_t {
    header = 1,
    changes = 2,
    parts = 3,
    outcomes = 4,
    slots = 5,
    end = 6,
  };
  Kind kind = Kind::header;
  std::uint32_t number = 0;
  std::uint32_t objects = 0;
  Bytes payload;  ///< a view
};

/// Replaces `out`.
void encode_chunk(const SnapshotChunk& chunk, std::vector<std::byte>& out);
[[nodiscard]] Result<SnapshotChunk> decode_chunk(Bytes bytes);

/// A name that a state of before has (named_snapshots.hpp).
struct SnapshotName {
  std::string name;
  Csn csn;
  Round round;
  std::uint64_t digest = 0;

  bool operator==(const SnapshotName&) const = default;
};

/// What is known when the stream begins.
struct SnapshotHeader {
  std::uint64_t dictionary = 0;  ///< its hash
  RoundHistory::Chain upto;      ///< the state is that after this round
  Csn csn;                       ///< of the last transaction in it
  std::uint64_t digest = 0;      ///< of its rows
  Csn horizon, floor;            ///< of the conflict log
  std::vector<Csn> class_changed;
  std::uint64_t changes = 0, parts = 0, origins = 0;  ///< objects of these kinds that follow
  std::uint64_t slots = 0;                            ///< about how many of these: for people
  std::uint64_t autoids = 0;                          ///< Replica::autoids_seen()
  bool names_known = true;          ///< false of format 3, and of a state of the past
  std::vector<SnapshotName> names;  ///< all there are, ascending

  bool operator==(const SnapshotHeader&) const = default;
};

/// Appends.
void encode_header(const SnapshotHeader& header, std::vector<std::byte>& out);
[[nodiscard]] Result<SnapshotHeader> decode_header(Bytes bytes);

}  // namespace exdb
