// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "hello.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstring>
#include <string_view>

#include "hello_keys.hpp"
#include "hello_pair.hpp"

namespace exdb::tcp {
namespace {

// --- HMAC and HKDF by another path: from SHA-256 alone ---

Bytes hash(const Bytes& bytes) {
  Bytes digest(32);
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes hmac_by_hand(Bytes key, const Bytes& text) {
  key = key.size() > 64 ? hash(key) : key;
  key.resize(64);
  Bytes inner = key, outer = key;
  for (auto& b : inner) b ^= std::byte{0x36};
  for (auto& b : outer) b ^= std::byte{0x5c};
  return hash(outer + hash(inner + text));
}

Bytes hkdf_by_hand(const Bytes& secret, const Bytes& salt, std::string_view info) {
  return hmac_by_hand(hmac_by_hand(salt, secret), bytes_of(info) + Bytes{std::byte{1}});
}

Bytes bytes_of(const std::array<std::byte, 32>& array) { return {array.begin(), array.end()}; }

TEST(HelloKeys, HmacAndHkdfAreThoseOfTheStandards) {
  const Bytes key(131, std::byte{0xaa});
  const Bytes text = bytes_of("Test Using Larger Than Block-Size Key - Hash Key First");
  auto mac = hmac_sha256(key, {std::span(text).first(10), {}, std::span(text).subspan(10)});
  ASSERT_TRUE(mac.ok());
  EXPECT_EQ(bytes_of(*mac), hmac_by_hand(key, text));
  // RFC 4231, case 6: 60e43159 …
  EXPECT_EQ((*mac)[0], std::byte{0x60});
  EXPECT_EQ((*mac)[1], std::byte{0xe4});
  EXPECT_EQ((*mac)[31], std::byte{0x54});
  const Bytes secret = some_secret(), salt = bytes_of("salt");
  auto derived = hkdf_sha256(secret, salt, "what for");
  ASSERT_TRUE(derived.ok());
  EXPECT_EQ(bytes_of(*derived), hkdf_by_hand(secret, salt, "what for"));
}

TEST(HelloKeys, RandomIsNotTheSameTwice) {
  auto first = secure_random(), second = secure_random();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_FALSE(same(*first, *second));
  EXPECT_TRUE(same(*first, *first));
}

// --- agreement ---

class HelloAgrees : public testing::TestWithParam<bool> {
 protected:
  Bytes secret = GetParam() ? some_secret() : Bytes{};
};
INSTANTIATE_TEST_SUITE_P(Secret, HelloAgrees, testing::Bool(),
                         [](const auto& secret) { return secret.param ? "With" : "Without"; });

TEST_P(HelloAgrees, BothSidesLearnWhoIsThere) {
  Pair pair(node(2, secret), node(0, secret), 0);
  EXPECT_EQ(pair.connecting.peer(), Hello::any_node);
  pair.run();
  ASSERT_TRUE(pair.both_done()) << pair.connected.text() << pair.accepted.text();
  EXPECT_EQ(pair.connecting.peer(), 0u);
  EXPECT_EQ(pair.connecting.peer_incarnation(), 1000u);
  EXPECT_EQ(pair.accepting.peer(), 2u);
  EXPECT_EQ(pair.accepting.peer_incarnation(), 1002u);
  EXPECT_EQ(pair.messages.size(), 4u);
  for (const auto& message : pair.messages) EXPECT_EQ(message.size(), Hello::message_bytes);
}

TEST_P(HelloAgrees, ConnectingSideIsNotDoneBeforeItWasWelcomed) {
  Pair pair(node(2, secret), node(0, secret));
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(pair.connecting.done());
    auto& from = i % 2 == 0 ? pair.connecting : pair.accepting;
    auto& to = i % 2 == 0 ? pair.accepting : pair.connecting;
    ASSERT_TRUE(to.received(*from.next()).ok());
  }
  EXPECT_TRUE(pair.accepting.done());
  EXPECT_FALSE(pair.connecting.done());
}

TEST(Hello, KeysOfFramesPairUpAndDifferByDirectionAndConnection) {
  Pair pair(node(1), node(0));
  pair.run();
  ASSERT_TRUE(pair.both_done());
  EXPECT_EQ(pair.connecting.key(true), pair.accepting.key(false));
  EXPECT_EQ(pair.connecting.key(false), pair.accepting.key(true));
  EXPECT_NE(pair.connecting.key(true), pair.connecting.key(false));
  EXPECT_NE(pair.connecting.key(true), filled(0));

  Hello again(node(1), true, 0, filled(0xc2)),
      accepting(node(0), false, Hello::any_node, filled(0xac));
  for (Hello *from = &again, *to = &accepting; !again.done(); std::swap(from, to))
    ASSERT_TRUE(to->received(*from->next()).ok());
  EXPECT_NE(again.key(true), pair.connecting.key(true));
  EXPECT_NE(again.key(false), pair.connecting.key(false));
}

TEST(Hello, ProofsAndKeysAreWhatTheHeaderSays) {
  auto from = node(1), to = node(0);
  from.binding = to.binding = filled(0xb1);
  Pair pair(from, to);
  pair.run();
  ASSERT_TRUE(pair.both_done());
  const Bytes salt = bytes_of("exdb cluster secret");
  const Bytes keys[] = {
      hkdf_by_hand(some_secret(), salt, "exdb hello 1: proof of the connecting side"),
      hkdf_by_hand(some_secret(), salt, "exdb hello 1: proof of the accepting side")};
  Bytes transcript = bytes_of(filled(0xb1)), before_welcome;
  for (std::size_t i = 0; i < pair.messages.size(); ++i) {
    if (i == 3) before_welcome = transcript;
    const auto& message = pair.messages[i];
    const Bytes body(message.begin(), message.end() - 32), mac(message.end() - 32, message.end());
    EXPECT_EQ(mac, hmac_by_hand(keys[i % 2], transcript + body)) << "message " << i;
    transcript = transcript + message;
  }
  EXPECT_EQ(bytes_of(pair.connecting.key(true)),
            hkdf_by_hand(some_secret(), hash(before_welcome),
                         "exdb hello 1: frames of the connecting side"));
  EXPECT_EQ(bytes_of(pair.accepting.key(true)),
            hkdf_by_hand(some_secret(), hash(before_welcome),
                         "exdb hello 1: frames of the accepting side"));
}

TEST(Hello, SecretIsInNoMessage) {
  Pair pair(node(1), node(0));
  pair.run();
  for (const auto& message : pair.messages) {
    const std::string text(reinterpret_cast<const char*>(message.data()), message.size());
    const auto secret = some_secret();
    EXPECT_EQ(text.find(std::string(reinterpret_cast<const char*>(secret.data()), 4)),
              std::string::npos);
  }
}

// --- refusals: each with its code, told on both sides ---

struct Difference {
  std::string name;
  std::function<void(HelloParams& from, HelloParams& to)> make;
  ErrorCode code;
  std::string part;                          ///< of the text on both sides
  std::uint32_t expected = Hello::any_node;  ///< the node dialled
};

class HelloRefuses : public testing::TestWithParam<std::tuple<Difference, bool>> {};

TEST_P(HelloRefuses, AndBothSidesSayWhy) {
  const auto& [difference, with_secret] = GetParam();
  const Bytes secret = with_secret ? some_secret() : Bytes{};
  auto from = node(1, secret), to = node(0, secret);
  difference.make(from, to);
  Pair pair(from, to, difference.expected);
  pair.run();
  EXPECT_FALSE(pair.any_done());
  for (const Status& status : {pair.connected, pair.accepted}) {
    EXPECT_EQ(status.code(), difference.code) << status.text();
    EXPECT_NE(status.text().find(difference.part), std::string::npos) << status.text();
    EXPECT_EQ(status.text().find('\n'), std::string::npos);
  }
  // One of them refused, and it names itself.
  EXPECT_NE((pair.connected.text() + pair.accepted.text()).find("this node ("), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Difference, HelloRefuses,
    testing::Combine(
        testing::Values(
            Difference{"Cluster", [](auto& from, auto&) { from.cluster_id = 9; },
                       ErrorCode::cluster_incompatible, "another cluster"},
            Difference{"Schema", [](auto& from, auto&) { from.schema_hash[31] ^= std::byte{1}; },
                       ErrorCode::cluster_incompatible, "dictionaries differ"},
            Difference{"Nodes", [](auto& from, auto&) { from.nodes = 4; },
                       ErrorCode::cluster_invalid_parameter, "nodes"},
            Difference{"NodeRange", [](auto& from, auto&) { from.self = 3; },
                       ErrorCode::cluster_invalid_parameter, "not below the number of nodes"},
            Difference{"NodeRangeOfAccepting", [](auto&, auto& to) { to.self = 0xffffffff; },
                       ErrorCode::cluster_invalid_parameter, "not below the number of nodes"},
            Difference{"SameNode", [](auto& from, auto& to) { from.self = to.self; },
                       ErrorCode::cluster_duplicate_node, "a nodeId of its own"},
            Difference{"Itself", [](auto& from, auto& to) { from = to; },
                       ErrorCode::cluster_duplicate_node, "leads back to this node itself"},
            Difference{"WrongNode", [](auto&, auto&) {}, ErrorCode::cluster_invalid_parameter,
                       "answered by another", 2}),
        testing::Bool()),
    [](const auto& row) {
      return std::get<0>(row.param).name + (std::get<1>(row.param) ? "WithSecret" : "");
    });

TEST(Hello, AnotherSecretIsRefusedWithoutDetails) {
  auto from = node(1, some_secret(8));
  from.schema_hash = filled(1);
  from.cluster_id = 1;
  Pair pair(from, node(0));
  pair.run();
  EXPECT_FALSE(pair.any_done());
  for (const Status& status : {pair.connected, pair.accepted}) {
    EXPECT_EQ(status.code(), ErrorCode::cluster_protocol);
    EXPECT_NE(status.text().find("cluster_secret_file"), std::string::npos) << status.text();
    EXPECT_EQ(status.text().find("dictionar"), std::string::npos) << status.text();
  }
  // The one message in answer has nothing of the node in it.
  ASSERT_EQ(pair.messages.size(), 2u);
  const auto answer = HelloMessage::decode(pair.messages[1]);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->reason, Refusal::proof);
  EXPECT_EQ(answer->identity, (HelloMessage::Identity{Hello::any_node, 0, 0, 0, {}, {}}));
  EXPECT_EQ(pair.accepting.peer(), Hello::any_node);
}

TEST(Hello, SecretOnOneSideOnlyIsRefusedAndBothSidesAreToldWhich) {
  Pair without(node(1, {}), node(0));
  without.run();
  EXPECT_NE(without.connected.text().find("this node none"), std::string::npos);
  EXPECT_NE(without.accepted.text().find("the peer none"), std::string::npos);
  Pair with(node(1), node(0, {}));
  with.run();
  EXPECT_NE(with.connected.text().find("the peer none"), std::string::npos);
  EXPECT_NE(with.accepted.text().find("this node none"), std::string::npos);
  EXPECT_FALSE(with.any_done() || without.any_done());
  EXPECT_EQ(with.connected.code(), ErrorCode::cluster_protocol);
}

TEST(Hello, AnotherVersionIsRefusedOnBothSides) {
  Pair pair(node(1), node(0));
  // The accepting side sees version 2, and its refusal arrives as one of a version 3.
  pair.run([](std::size_t number, Bytes& message) { message[8] = std::byte(2 + number); });
  EXPECT_EQ(pair.accepted.code(), ErrorCode::cluster_incompatible);
  EXPECT_NE(pair.accepted.text().find("version 2"), std::string::npos) << pair.accepted.text();
  EXPECT_EQ(pair.connected.code(), ErrorCode::cluster_incompatible);
  EXPECT_NE(pair.connected.text().find("version 3"), std::string::npos) << pair.connected.text();
  EXPECT_EQ(pair.messages.size(), 2u);
}

TEST(Hello, AcceptingSideMayRefuseInPlaceOfTheWelcome) {
  for (const Refusal why : {Refusal::duplicate, Refusal::certificate}) {
    Pair pair(node(1), node(0));
    for (int i = 0; i < 3; ++i) {
      auto& from = i % 2 == 0 ? pair.connecting : pair.accepting;
      ASSERT_TRUE((i % 2 == 0 ? pair.accepting : pair.connecting).received(*from.next()).ok());
    }
    ASSERT_TRUE(pair.accepting.done());
    const Status ours = pair.accepting.refuse(why);
    EXPECT_EQ(ours.code(), code_of(why));
    EXPECT_NE(ours.text().find("node 1"), std::string::npos) << ours.text();
    EXPECT_FALSE(pair.accepting.done());
    EXPECT_EQ(pair.accepting.key(true), filled(0));
    pair.run();
    EXPECT_FALSE(pair.connecting.done());
    EXPECT_EQ(pair.connected.code(), code_of(why));
    EXPECT_NE(pair.connected.text().find("node 0 refused"), std::string::npos)
        << pair.connected.text();
  }
}

TEST(Hello, FailureIsFinalAndToldOnce) {
  Pair pair(node(1, some_secret(9)), node(0));
  ASSERT_FALSE(pair.accepting.received(*pair.connecting.next()).ok());
  EXPECT_TRUE(pair.accepting.next().has_value());
  EXPECT_FALSE(pair.accepting.next().has_value());
  Pair good(node(1), node(0));
  const Status again = pair.accepting.received(*good.connecting.next());
  EXPECT_EQ(again.code(), ErrorCode::cluster_protocol);
  EXPECT_FALSE(pair.accepting.next().has_value());
}

}  // namespace
}  // namespace exdb::tcp
