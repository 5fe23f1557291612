// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The bound of what is on its way to one node (I4 of transport.hpp), for whoever writes a
// Transport: so that all of them mean the same by it.
//
// Threads: none of its own.
// Failure: none.
#pragma once
#include "exdb/transport.hpp"

namespace exdb {

/// What was handed over and is not known to be taken.
struct UnderWay {
  std::size_t frames = 0, bytes = 0;
  void add(std::size_t frame_bytes) {
    ++frames;
    bytes += frame_bytes;
  }
  [[nodiscard]] bool leaves_room(std::size_t bound_bytes) const {
    return frames < Transport::frames_always_taken || bytes < bound_bytes;
  }
};

/// Bound where the program asks for none: what a slow node may cost this one in memory. Frames are
/// shared, so a broadcast that many nodes are slow to take costs its length once.
constexpr std::size_t send_bound_bytes_default = std::size_t{16} << 20;

inline Status no_room_for(std::uint32_t node, const UnderWay& under_way) {
  return {ErrorCode::cluster, "node " + std::to_string(node) +
                                  " takes nothing: " + std::to_string(under_way.frames) +
                                  " frames of together " + std::to_string(under_way.bytes) +
                                  " bytes are on their way to it"};
}

}  // namespace exdb
