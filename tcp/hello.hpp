// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who is there: the first messages of a connection, before anything else is parsed. It does no I/O;
// a side is fed whole messages and asked for the next one to send. All messages are of one size, so
// what is read from a stranger is bounded by that.
//
//   connecting side          accepting side
//     HELLO  ------------------>             identity, random
//            <------------------  ANSWER     identity, random; now the accepting side is proved
//     PROOF  ------------------>             now the connecting side is proved
//            <------------------  WELCOME    or, in place of any of them, REFUSAL
//
// Each message ends with HMAC-SHA256 over the channel's binding, all messages so far in their order,
// and itself. The key is derived from the cluster secret and the role of the sender. Without a secret
// the key is a known one: then this finds damage and misconfiguration, and proves nothing.
//
// Invariants
//   I1  done() only after the peer has shown its place in the same cluster: protocol version,
//       secret, cluster id, number of nodes, schema, a node number in range that is not our own and
//       is the one dialled.
//   I2  With a secret nothing is believed before the message's proof was found right, and who dials
//       in without one is told no more than that there is a secret. (The connecting side speaks
//       first: who sits at a node's address sees its HELLO.)
//   I3  A proof holds in one connection, in one place of it, from one role: both randoms, all
//       messages before it and the role are in it. An old one, a reflected one, or one relayed into
//       another channel is refused.
//   I4  A refusal is final. It is told to the peer once, by number (hello_message.hpp); text of a
//       peer never gets into our logs. Who sent what is no message of exdb is told nothing.
// Threads: one at a time.
// Failure: a Status that says what did not fit: cluster_incompatible (another version, cluster or
//   schema), cluster_duplicate_node, cluster_invalid_parameter (node numbers, certificate),
//   cluster_protocol (another secret; damaged, or no such message).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "exdb/errors.hpp"
#include "hello_message.hpp"

namespace exdb::tcp {

struct HelloParams {
  std::uint64_t cluster_id = 0;
  std::uint32_t self = 0, nodes = 1;
  std::uint64_t incarnation = 0;
  std::array<std::byte, 32> schema_hash{};
  std::vector<std::byte> secret;        ///< empty: none
  std::array<std::byte, 32> binding{};  ///< Channel::binding()
};

class Hello {
 public:
  /// All messages are of this size.
  static constexpr std::size_t message_bytes = HelloMessage::bytes;
  static constexpr std::uint32_t any_node = tcp::any_node;

  /// `connecting`: this side dialled. `expected`: the node it dialled, or any_node. `random`: fresh
  /// for each connection (secure_random() in hello_keys.hpp).
  Hello(HelloParams params, bool connecting, std::uint32_t expected,
        std::array<std::byte, 32> random);
  ~Hello();
  Hello(const Hello&) = delete;
  Hello& operator=(const Hello&) = delete;

  /// REQUIRES: what next() gave so far was taken. After a failure next() may have a REFUSAL to send.
  Status received(std::span<const std::byte> message);
  /// A message to send, if there is one now. Once done(), the accepting side's WELCOME is still to be
  /// taken, and sent before anything else.
  std::optional<std::vector<std::byte>> next();
  /// The accepting side refuses for a reason of its own (that node is connected already, the
  /// certificate is not its): next() tells the peer, and done() is false from now on. Returns what
  /// the failure is, for the log. REQUIRES: this side accepts, knows peer(), and its WELCOME was not
  /// taken yet.
  Status refuse(Refusal why);
  [[nodiscard]] bool done() const { return step_ == Step::done; }
  /// Whom the peer claims to be: any_node before it said so; true when done().
  [[nodiscard]] std::uint32_t peer() const { return peer_; }
  [[nodiscard]] std::uint64_t peer_incarnation() const { return peer_identity_.incarnation; }
  /// Of the frame MACs that this side sends, or receives. REQUIRES: done(), and a secret.
  [[nodiscard]] std::array<std::byte, 32> key(bool sending) const;

 private:
  enum class Step : std::uint8_t { start, hello_sent, answer_sent, proof_sent, done, failed };
  using Type = HelloMessage::Type;
  using Key = std::array<std::byte, 32>;

  [[nodiscard]] Type expected_type() const;
  Status read_refusal(const HelloMessage& message, bool proved);
  [[nodiscard]] Refusal objection() const;
  [[nodiscard]] RefusalFacts facts() const;
  Status advance(Type got);
  Status say(Type type, Refusal reason = Refusal::none);
  Result<Key> mac(std::span<const std::byte> message, bool by_connecting) const;
  Status fail(Status why);
  Status derive_frame_keys();
  void remember(std::span<const std::byte> message);

  HelloParams params_;
  const bool connecting_;
  const std::uint32_t expected_;
  const std::array<std::byte, 32> random_;
  Step step_ = Step::start;
  std::optional<Type> owed_;  ///< made when it is taken: until then refuse() may come
  Status failure_;
  Key connecting_key_{}, accepting_key_{};  ///< of proofs, by the sender's role
  std::array<Key, 2> frame_keys_{};         ///< receiving, sending
  std::vector<std::byte> transcript_;       ///< the binding, then all messages in their order
  std::optional<std::vector<std::byte>> next_;
  std::uint32_t peer_ = any_node;
  HelloMessage::Identity peer_identity_{};
  std::uint16_t peer_version_ = HelloMessage::version_now;
};

}  // namespace exdb::tcp
