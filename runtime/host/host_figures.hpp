// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a leader knows of the cluster, as bytes for its followers, and the questions by which they
// ask.
//
// Threads: plain values.
// Failure: decode() gives nothing for bytes that encode() did not make.
#pragma once
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "cluster/participant.hpp"

namespace exdb {

enum class HostQuestion : std::uint32_t {
  figures = 1,  ///< HostFigures
  outcome = 2,  ///< what became of a transaction: the database's to answer
  applied = 3,  ///< what the replica has applied: likewise
  names = 4,    ///< the snapshots that have a name: likewise
  words = 5,    ///< AgreedWords: likewise
};

struct HostFigures {
  NodeStatistics node;
  TransportStatistics transport;
  ClusterWindow window;
  ClusterInfo cluster;  ///< of members

  [[nodiscard]] std::vector<std::byte> encode() const;
  static std::optional<HostFigures> decode(Bytes bytes);
};

}  // namespace exdb
