// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "hello_message.hpp"

#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

namespace exdb::tcp {
namespace {

constexpr std::array<char, 8> magic_bytes{'e', 'x', 'd', 'b', 'H', 'E', 'L', 'O'};

// The structure is the message: no padding, and numbers as they lie in memory.
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(HelloMessage) == HelloMessage::bytes);
static_assert(std::is_trivially_copyable_v<HelloMessage>);

std::string who(std::uint32_t node) {
  return node == any_node ? "the peer" : "node " + std::to_string(node);
}

/// What differs, in words that hold on both sides, and the remedy.
std::string difference(Refusal why, const RefusalFacts& facts) {
  switch (why) {
    case Refusal::version:
      return "it speaks version " + std::to_string(facts.peer_version) +
             " of the connection protocol, this node version " +
             std::to_string(HelloMessage::version_now) + ": run the same exdb on all nodes";
    case Refusal::secret_use:
      return std::string(facts.secret ? "this node has a cluster secret and the peer none"
                                      : "the peer has a cluster secret and this node none") +
             ": give the same cluster_secret_file to all nodes";
    case Refusal::proof:
      return facts.secret
                 ? "the cluster secrets differ: give the same cluster_secret_file to all nodes"
                 : "a message was damaged on its way";
    case Refusal::cluster:
      return "it belongs to another cluster, or gives other qranks: check the addresses and qranks "
             "in nodes";
    case Refusal::nodes:
      return "this node was opened with " + std::to_string(facts.nodes) +
             " nodes, the other with " + std::to_string(facts.peer_nodes) +
             ": give the same nodes everywhere";
    case Refusal::node_range:
      return "its nodeId is not below the number of nodes";
    case Refusal::duplicate:
      if (facts.same_process) return "the address leads back to this node itself";
      return "that node is there already: every node needs a nodeId of its own";
    case Refusal::wrong_node:
      return "the address of one node is answered by another: give nodes in the same order "
             "everywhere";
    case Refusal::schema:
      return "the dictionaries differ: open the same schema on all nodes";
    case Refusal::certificate:
      return "the certificate shown is not for the address of that node";
    case Refusal::none:
      break;
  }
  return "for a reason that this version of exdb does not know (" +
         std::to_string(static_cast<std::uint32_t>(why)) + ")";
}

}  // namespace

HelloMessage HelloMessage::make(Type type, std::uint8_t flags, const Identity& identity,
                                Refusal reason) {
  return {magic_bytes, version_now, type, flags, reason, identity, {}};
}

std::optional<HelloMessage> HelloMessage::decode(std::span<const std::byte> message) {
  HelloMessage decoded;
  if (message.size() != sizeof decoded) return std::nullopt;
  std::memcpy(&decoded, message.data(), sizeof decoded);
  if (decoded.magic != magic_bytes) return std::nullopt;
  return decoded;
}

std::array<std::byte, HelloMessage::bytes> HelloMessage::encode() const {
  std::array<std::byte, bytes> message;
  std::memcpy(message.data(), this, sizeof *this);
  return message;
}

ErrorCode code_of(Refusal why) {
  switch (why) {
    case Refusal::version:
    case Refusal::cluster:
    case Refusal::schema:
      return ErrorCode::cluster_incompatible;
    case Refusal::duplicate:
      return ErrorCode::cluster_duplicate_node;
    case Refusal::nodes:
    case Refusal::node_range:
    case Refusal::wrong_node:
    case Refusal::certificate:
      return ErrorCode::cluster_invalid_parameter;
    case Refusal::none:
    case Refusal::secret_use:
    case Refusal::proof:
      break;
  }
  return ErrorCode::cluster_protocol;
}

Status we_refuse(Refusal why, const RefusalFacts& facts) {
  std::string text =
      who(facts.peer) + " was refused by this node (" + std::to_string(facts.self) + ")";
  if (why == Refusal::wrong_node && facts.expected != any_node)
    text += ", which dialled " + who(facts.expected);
  return {code_of(why), text + ": " + difference(why, facts)};
}

Status they_refuse(Refusal why, const RefusalFacts& facts) {
  return {code_of(why), who(facts.peer) + " refused this node (" + std::to_string(facts.self) +
                            "): " + difference(why, facts)};
}

}  // namespace exdb::tcp
