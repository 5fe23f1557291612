// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who is there: the first messages of a connection, before anything else is parsed. It does no I/O;
// a side is fed whole messages and asked for the next one to send. All messages are of one size, so
// what is read from a stranger is bounded by that.
//
// Invariants
//   I1  done() only after the peer has shown its place in the same cluster: protocol version,
//       cluster id, schema, a node number in range that is not our own.
//   I2  A refusal is final, and says nothing to the peer.
// Threads: one at a time.
// Failure: a Status that says what did not fit.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::tcp {

struct HelloParams {
  std::uint64_t cluster_id = 0;
  std::uint32_t self = 0, nodes = 1;
  std::uint64_t incarnation = 0;
  std::array<std::byte, 32> schema_hash{};
  std::vector<std::byte> secret;  ///< empty: none
};

class Hello {
 public:
  /// All messages are of this size.
  static constexpr std::size_t message_bytes = 128;
  static constexpr std::uint32_t any_node = 0xffff'ffff;

  /// `connecting`: this side dialled. `expected`: the node it dialled, or any_node.
  Hello(HelloParams params, bool connecting, std::uint32_t expected,
        std::array<std::byte, 32> random);
  /// Refuses: version, cluster, schema, node out of range, self, wrong proof.
  Status received(std::span<const std::byte> message);
  /// A message to send, if there is one now.
  std::optional<std::vector<std::byte>> next();
  [[nodiscard]] bool done() const { return said_ && heard_; }
  /// REQUIRES (these three): done().
  [[nodiscard]] std::uint32_t peer() const { return peer_; }
  [[nodiscard]] std::uint64_t peer_incarnation() const { return peer_incarnation_; }
  /// Of frame MACs, when there is a secret.
  [[nodiscard]] std::array<std::byte, 32> key(bool sending) const;

 private:
  HelloParams params_;
  std::uint32_t expected_;
  std::array<std::byte, 32> random_;
  bool said_ = false, heard_ = false;
  std::uint32_t peer_ = any_node;
  std::uint64_t peer_incarnation_ = 0;
};

}  // namespace exdb::tcp
