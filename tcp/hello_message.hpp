// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A message of hello.hpp as bytes, and the reasons for which a connection is refused. Numbers are
// little-endian.
//
// Invariants
//   I1  The first 12 bytes, the size and Refusal::version stay as they are in all versions, so that
//       nodes of different versions can say so.
//   I2  A Refusal keeps its number for ever.
// Threads: any.
// Failure: decode() refuses what is no message of exdb; the rest is for hello.cpp to judge.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "exdb/errors.hpp"

namespace exdb::tcp {

inline constexpr std::uint32_t any_node = 0xffff'ffff;

enum class Refusal : std::uint32_t {
  none = 0,
  version = 1,       ///< another version of this protocol
  secret_use = 2,    ///< one side has a cluster secret and the other has none
  proof = 3,         ///< the proof is wrong: another secret
  cluster = 4,       ///< another cluster
  nodes = 5,         ///< the clusters have different numbers of nodes
  node_range = 6,    ///< no such node
  duplicate = 7,     ///< that node is here already, or is ourselves
  wrong_node = 8,    ///< another node was dialled
  schema = 9,        ///< another dictionary
  certificate = 10,  ///< the certificate is not for that node
};

struct HelloMessage {
  static constexpr std::size_t bytes = 136;
  static constexpr std::size_t mac_bytes = 32;
  static constexpr std::uint16_t version_now = 1;
  enum class Type : std::uint8_t { hello = 1, answer = 2, proof = 3, welcome = 4, refusal = 5 };
  static constexpr std::uint8_t has_secret = 1, by_connecting = 2;  // flags

  struct Identity {
    std::uint32_t node, nodes;
    std::uint64_t cluster_id, incarnation;
    std::array<std::byte, 32> schema_hash, random;
    bool operator==(const Identity&) const = default;
  };

  std::array<char, 8> magic;
  std::uint16_t version;
  Type type;
  std::uint8_t flags;
  Refusal reason;  ///< of a refusal
  Identity identity;
  std::array<std::byte, mac_bytes> mac;

  /// A message of type `type` of this version, without its MAC.
  static HelloMessage make(Type type, std::uint8_t flags, const Identity& identity, Refusal reason);
  /// Nothing: no message of exdb.
  static std::optional<HelloMessage> decode(std::span<const std::byte> message);
  [[nodiscard]] std::array<std::byte, bytes> encode() const;
};

/// The code of a refusal, on the side that refuses and on the other.
ErrorCode code_of(Refusal why);

/// What a node says of a peer it refuses: "node 2 has another dictionary …".
struct RefusalFacts {
  std::uint32_t self, peer;         ///< peer: any_node when it did not say
  std::uint32_t nodes, peer_nodes;  ///< how many each knows of
  std::uint32_t expected;           ///< the node dialled, or any_node
  std::uint16_t peer_version;
  bool secret;        ///< this side has one
  bool same_process;  ///< the peer has our own incarnation
};
Status we_refuse(Refusal why, const RefusalFacts& facts);
/// What a node says when the peer refused it.
Status they_refuse(Refusal why, const RefusalFacts& facts);

}  // namespace exdb::tcp
