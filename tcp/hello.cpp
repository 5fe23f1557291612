// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "hello.hpp"

#include <cstring>
#include <string>

namespace exdb::tcp {
namespace {

constexpr std::array<char, 8> magic{'e', 'x', 'd', 'b', 'h', 'e', 'l', '1'};

struct Message {
  std::array<char, 8> magic;
  std::uint64_t cluster_id;
  std::uint64_t incarnation;
  std::uint32_t node, nodes;
  std::array<std::byte, 32> schema_hash;
  std::array<std::byte, 64> unused;
};
static_assert(sizeof(Message) == Hello::message_bytes);

Status refused(const std::string& why) { return {ErrorCode::cluster_protocol, "hello: " + why}; }

}  // namespace

Hello::Hello(HelloParams params, bool /*connecting*/, std::uint32_t expected,
             std::array<std::byte, 32> random)
    : params_(std::move(params)), expected_(expected), random_(random) {}

std::optional<std::vector<std::byte>> Hello::next() {
  if (said_) return std::nullopt;
  said_ = true;
  Message message{magic,         params_.cluster_id,  params_.incarnation, params_.self,
                  params_.nodes, params_.schema_hash, {}};
  std::vector<std::byte> bytes(sizeof(message));
  std::memcpy(bytes.data(), &message, sizeof(message));
  return bytes;
}

Status Hello::received(std::span<const std::byte> bytes) {
  Message message{};
  if (heard_ || bytes.size() != sizeof(message)) return refused("one message of another size");
  std::memcpy(&message, bytes.data(), sizeof(message));
  if (message.magic != magic) return refused("no exdb node of this version");
  if (message.cluster_id != params_.cluster_id) return refused("of another cluster");
  if (message.nodes != params_.nodes || message.node >= params_.nodes ||
      message.node == params_.self || (expected_ != any_node && message.node != expected_))
    return refused("node " + std::to_string(message.node) + " of " +
                   std::to_string(message.nodes) + " is not expected here");
  if (message.schema_hash != params_.schema_hash) return refused("another schema");
  peer_ = message.node;
  peer_incarnation_ = message.incarnation;
  heard_ = true;
  return {};
}

std::array<std::byte, 32> Hello::key(bool /*sending*/) const { return random_; }

}  // namespace exdb::tcp
