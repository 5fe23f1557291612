// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The frames of the round protocol as bytes: one fixed header of 64 bytes, then the payload.
//
//   at size
//    0  4   magic "EXDB"
//    4  2   version
//    6  1   type
//    7  1   flags: 1 stop, 2 leave, 4 more
//    8  8   payload length in bytes
//   16  8   cluster id
//   24  4   sender
//   28  4   how many rounds older than the one before the digest is
//   32  8   round
//   40  8   oldest snapshot
//   48  8   digest
//   56  8   XXH3 of the payload, seeded with the XXH3 of the 56 bytes before
//
// Invariants
//   I1  decode_frame accepts exactly what encode_frame makes; nothing is read or allocated on the
//       word of a length that was not checked against the bytes at hand.
// Threads: pure functions.
// Failure: bytes that are no frame give a Status cluster_protocol that says what is wrong with
//   them.
#pragma once
#include <vector>

#include "base/types.hpp"
#include "exdb/transport.hpp"

namespace exdb {

constexpr std::size_t frame_header_bytes = 64;
constexpr std::uint16_t frame_version = 1;

/// 0 is never used; further types follow the numbers here.
enum class FrameType : std::uint8_t {
  batch = 1,     ///< what one node puts into one round
  doorbell = 2,  ///< asks the receiver to post its batch of the round
  note = 3,      ///< something members tell each other; part of no round
  kept = 4,      ///< the disk of the sender has all rounds up to this one; part of no round
};

/// What a node says in a round beside its payload.
struct BatchHeader {
  bool stop = false;   ///< this node wants the cluster to end, and has nothing more to commit
  bool leave = false;  ///< this node goes away after this round
  bool more = false;  ///< this node has more to send: go on with the next round without being asked
  Csn oldest_snapshot;  ///< oldest snapshot that an open transaction of this node may commit with
  std::uint64_t digest = 0;  ///< of this node's state after round - 1 - digest_lag
  std::uint32_t digest_lag = 0;
};

struct FrameHeader {
  FrameType type = FrameType::batch;
  std::uint64_t cluster_id = 0;
  MemberId sender;
  Round round;
  BatchHeader batch;
};

struct DecodedFrame {
  FrameHeader header;
  Bytes payload;  ///< a view into the frame
  std::uint64_t checksum = 0;
};

[[nodiscard]] Frame encode_frame(const FrameHeader& header, Bytes payload);
/// The same of bytes that have room for the header before the payload: nothing is copied.
[[nodiscard]] Frame frame_in_place(const FrameHeader& header, std::vector<std::byte>&& bytes);
[[nodiscard]] Result<DecodedFrame> decode_frame(Bytes frame);
/// The checksum that the frame of these has, without making it.
[[nodiscard]] std::uint64_t frame_checksum(const FrameHeader& header, Bytes payload);
/// The checksum in a frame of encode_frame.
[[nodiscard]] std::uint64_t checksum_in(const Frame& frame);

}  // namespace exdb
