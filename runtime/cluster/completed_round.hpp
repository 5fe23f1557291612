// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A round as all members hold it: one batch of each, in the agreed order. What a history keeps and
// a consumer is given.
//
// Invariants
//   I1  Equal on all members of the round, byte for byte, and so are the checksums.
//   I2  What a batch holds is in `payload`, or, where that would have to be copied to be there, in
//       the frame in which it came or leaves; bytes() tells.
// Threads: plain values.
#pragma once
#include <vector>

#include "cluster/frame.hpp"
#include "cluster/view.hpp"

namespace exdb {

struct Batch {
  MemberId member;
  BatchHeader header;
  std::vector<std::byte> payload;
  std::uint64_t checksum = 0;  ///< of its frame: header and payload
  Frame frame = {};            ///< none: the payload is by itself

  [[nodiscard]] Bytes bytes() const {
    return frame ? Bytes(*frame).subspan(frame_header_bytes) : Bytes(payload);
  }
};

struct CompletedRound {
  Round round;
  std::vector<Batch> batches;  ///< in the agreed order: members rotated by the round number
  bool last = false;           ///< the protocol has ended with this round
  Ballot view;                 ///< in which it was made; none where membership is fixed
};

[[nodiscard]] inline std::size_t payload_bytes(const CompletedRound& round) {
  std::size_t bytes = 0;
  for (const auto& batch : round.batches) bytes += batch.bytes().size();
  return bytes;
}

}  // namespace exdb
