// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "hello.hpp"

#include <string>
#include <utility>

#include "hello_keys.hpp"
#include "secret_file.hpp"

namespace exdb::tcp {
namespace {

// Every use of the secret has a name of its own, so that no proof can pass for another.
constexpr std::string_view connecting_proof = "exdb hello 1: proof of the connecting side";
constexpr std::string_view accepting_proof = "exdb hello 1: proof of the accepting side";
constexpr std::string_view connecting_frames = "exdb hello 1: frames of the connecting side";
constexpr std::string_view accepting_frames = "exdb hello 1: frames of the accepting side";

Status no_message() {
  return {ErrorCode::cluster_protocol, "what arrived is no greeting of an exdb node"};
}

}  // namespace

Hello::Hello(HelloParams params, bool connecting, std::uint32_t expected,
             std::array<std::byte, 32> random)
    : params_(std::move(params)),
      connecting_(connecting),
      expected_(expected),
      random_(random),
      transcript_(params_.binding.begin(), params_.binding.end()) {
  // Without a secret: a key that everybody knows, other than any secret's by the salt.
  const bool secret = !params_.secret.empty();
  const std::vector<std::byte> source = secret ? params_.secret : std::vector<std::byte>(32);
  const std::string_view salt = secret ? "exdb cluster secret" : "exdb no secret";
  auto first = hkdf_sha256(source, std::as_bytes(std::span(salt)), connecting_proof);
  auto second = hkdf_sha256(source, std::as_bytes(std::span(salt)), accepting_proof);
  if (!first.ok() || !second.ok()) {
    (void)fail(first.ok() ? second.status() : first.status());
    return;
  }
  connecting_key_ = *first;
  accepting_key_ = *second;
  if (!connecting_) return;
  step_ = Step::hello_sent;
  owed_ = Type::hello;
}

Hello::~Hello() {
  wipe(params_.secret);
  for (Key* key : {&connecting_key_, &accepting_key_, &frame_keys_[0], &frame_keys_[1]}) wipe(*key);
}

std::optional<std::vector<std::byte>> Hello::next() {
  if (const auto type = std::exchange(owed_, std::nullopt)) {
    if (const Status status = say(*type); !status.ok()) (void)fail(status);
  }
  return std::exchange(next_, std::nullopt);
}

Status Hello::received(std::span<const std::byte> bytes) {
  if (!failure_.ok()) return failure_;
  const auto message = HelloMessage::decode(bytes);
  if (step_ == Step::done || !message) return fail(no_message());
  const bool refused = message->type == Type::refusal;
  if (message->version != HelloMessage::version_now) {
    peer_version_ = message->version;
    return refused ? fail(they_refuse(Refusal::version, facts())) : refuse(Refusal::version);
  }
  const bool by_connecting = (message->flags & HelloMessage::by_connecting) != 0;
  if ((message->type != expected_type() && !refused) || by_connecting == connecting_)
    return fail(no_message());
  const bool peer_secret = (message->flags & HelloMessage::has_secret) != 0;
  if (peer_secret == params_.secret.empty())
    return refused ? fail(they_refuse(Refusal::secret_use, facts())) : refuse(Refusal::secret_use);

  auto wanted = mac(bytes.first(bytes.size() - HelloMessage::mac_bytes), by_connecting);
  if (!wanted.ok()) return fail(wanted.status());
  const bool proved = same(*wanted, message->mac);
  if (refused) return read_refusal(*message, proved);
  if (!proved) return refuse(Refusal::proof);
  if (peer_ != any_node && message->identity != peer_identity_) return fail(no_message());
  remember(bytes);
  peer_identity_ = message->identity;
  peer_ = message->identity.node;
  if (const Refusal why = objection(); why != Refusal::none) return refuse(why);
  return advance(message->type);
}

Status Hello::refuse(Refusal why) {
  if (!failure_.ok()) return failure_;
  const Status status = fail(we_refuse(why, facts()));
  // Should OpenSSL fail here, the peer sees a closed connection.
  (void)say(Type::refusal, why);
  return status;
}

std::array<std::byte, 32> Hello::key(bool sending) const { return frame_keys_[sending ? 1 : 0]; }

Hello::Type Hello::expected_type() const {
  switch (step_) {
    case Step::hello_sent:
      return Type::answer;
    case Step::answer_sent:
      return Type::proof;
    case Step::proof_sent:
      return Type::welcome;
    default:
      return Type::hello;
  }
}

Status Hello::read_refusal(const HelloMessage& message, bool proved) {
  if (proved) {
    peer_identity_ = message.identity;
    peer_ = message.identity.node;
    return fail(they_refuse(message.reason, facts()));
  }
  // What it says may be anybody's word.
  if (params_.secret.empty()) return fail(they_refuse(Refusal::proof, facts()));
  return fail({ErrorCode::cluster_protocol,
               "the peer refused this node (" + std::to_string(params_.self) +
                   ") without a right proof: most likely the cluster secrets differ; give the same "
                   "cluster_secret_file to all nodes"});
}

Refusal Hello::objection() const {
  const auto& peer = peer_identity_;
  if (peer.cluster_id != params_.cluster_id) return Refusal::cluster;
  if (peer.nodes != params_.nodes) return Refusal::nodes;
  if (peer.node >= params_.nodes) return Refusal::node_range;
  if (peer.node == params_.self) return Refusal::duplicate;
  if (expected_ != any_node && peer.node != expected_) return Refusal::wrong_node;
  if (peer.schema_hash != params_.schema_hash) return Refusal::schema;
  return Refusal::none;
}

Status Hello::advance(Type got) {
  Status status;
  switch (got) {
    case Type::hello:
      step_ = Step::answer_sent;
      status = say(Type::answer);
      break;
    case Type::answer:
      step_ = Step::proof_sent;
      status = say(Type::proof);
      if (status.ok()) status = derive_frame_keys();
      break;
    case Type::proof:
      step_ = Step::done;
      owed_ = Type::welcome;
      status = derive_frame_keys();
      break;
    default:
      step_ = Step::done;
  }
  return status.ok() ? status : fail(status);
}

Status Hello::say(Type type, Refusal reason) {
  const auto flags =
      static_cast<std::uint8_t>((connecting_ ? HelloMessage::by_connecting : 0) |
                                (params_.secret.empty() ? 0 : HelloMessage::has_secret));
  // A stranger is not told whom it found.
  const bool to_stranger = type == Type::refusal && peer_ == any_node;
  const auto identity =
      to_stranger
          ? HelloMessage::Identity{any_node, 0, 0, 0, {}, {}}
          : HelloMessage::Identity{params_.self,        params_.nodes,       params_.cluster_id,
                                   params_.incarnation, params_.schema_hash, random_};
  auto message = HelloMessage::make(type, flags, identity, reason);
  const auto body = message.encode();
  auto proof = mac(std::span(body).first(body.size() - HelloMessage::mac_bytes), connecting_);
  if (!proof.ok()) return proof.status();
  message.mac = *proof;
  const auto bytes = message.encode();
  remember(bytes);
  next_.emplace(bytes.begin(), bytes.end());
  return {};
}

Result<Hello::Key> Hello::mac(std::span<const std::byte> message, bool by_connecting) const {
  return hmac_sha256(by_connecting ? connecting_key_ : accepting_key_, {transcript_, message});
}

Status Hello::fail(Status why) {
  failure_ = std::move(why);
  step_ = Step::failed;
  owed_.reset();
  // What was not taken the peer has not seen.
  if (next_) transcript_.resize(transcript_.size() - message_bytes);
  next_.reset();
  for (Key& key : frame_keys_) wipe(key);
  return failure_;
}

Status Hello::derive_frame_keys() {
  if (params_.secret.empty()) return {};
  auto salt = sha256(transcript_);
  if (!salt.ok()) return salt.status();
  auto connecting = hkdf_sha256(params_.secret, *salt, connecting_frames);
  auto accepting = hkdf_sha256(params_.secret, *salt, accepting_frames);
  if (!connecting.ok() || !accepting.ok())
    return connecting.ok() ? accepting.status() : connecting.status();
  frame_keys_ = {connecting_ ? *accepting : *connecting, connecting_ ? *connecting : *accepting};
  return {};
}

void Hello::remember(std::span<const std::byte> message) {
  transcript_.insert(transcript_.end(), message.begin(), message.end());
}

RefusalFacts Hello::facts() const {
  return {.self = params_.self,
          .peer = peer_,
          .nodes = params_.nodes,
          .peer_nodes = peer_identity_.nodes,
          .expected = expected_,
          .peer_version = peer_version_,
          .secret = !params_.secret.empty(),
          .same_process = peer_identity_.incarnation == params_.incarnation};
}

}  // namespace exdb::tcp
