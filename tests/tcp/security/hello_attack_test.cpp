// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Hello against somebody in the middle, somebody without the secret, and noise.
#include <gtest/gtest.h>

#include <random>

#include "hello.hpp"
#include "hello_keys.hpp"
#include "hello_pair.hpp"

namespace exdb::tcp {
namespace {

std::vector<Bytes> recorded(const HelloParams& from, const HelloParams& to) {
  Pair pair(from, to);
  pair.run();
  EXPECT_TRUE(pair.both_done());
  return pair.messages;
}

class HelloAttacked : public testing::TestWithParam<bool> {
 protected:
  Bytes secret = GetParam() ? some_secret() : Bytes{};
};
INSTANTIATE_TEST_SUITE_P(Secret, HelloAttacked, testing::Bool(),
                         [](const auto& secret) { return secret.param ? "With" : "Without"; });

TEST_P(HelloAttacked, EveryBitOfEveryMessageCounts) {
  for (std::size_t target = 0; target < 4; ++target) {
    for (std::size_t bit = 0; bit < 8 * Hello::message_bytes; ++bit) {
      Pair pair(node(1, secret), node(0, secret));
      pair.run([&](std::size_t number, Bytes& message) {
        if (number == target) message[bit / 8] ^= std::byte(1u << bit % 8);
      });
      // The welcome is the last: when it is damaged, the accepting side cannot know.
      ASSERT_FALSE(pair.connecting.done()) << "bit " << bit << " of message " << target;
      ASSERT_EQ(pair.accepting.done(), target == 3 && pair.accepted.ok())
          << "bit " << bit << " of message " << target;
      ASSERT_FALSE(pair.connected.ok() && pair.accepted.ok());
    }
  }
}

TEST_P(HelloAttacked, MessageOfAnotherLengthIsRefusedInSilence) {
  for (std::size_t length = 0; length <= 2 * Hello::message_bytes; ++length) {
    if (length == Hello::message_bytes) continue;
    Pair pair(node(1, secret), node(0, secret));
    auto message = *pair.connecting.next();
    message.resize(length);
    ASSERT_EQ(pair.accepting.received(message).code(), ErrorCode::cluster_protocol) << length;
    ASSERT_FALSE(pair.accepting.next().has_value());
  }
}

TEST_P(HelloAttacked, MessagesOutOfPlaceAreRefused) {
  const auto messages = recorded(node(1, secret), node(0, secret));
  for (const auto& message : messages) {
    if (&message != &messages[0]) {
      Hello accepting(node(0, secret), false, Hello::any_node, filled(0xac));
      EXPECT_FALSE(accepting.received(message).ok());
      EXPECT_FALSE(accepting.done());
    }
    if (&message != &messages[1]) {
      Hello connecting(node(1, secret), true, Hello::any_node, filled(0xc1));
      EXPECT_FALSE(connecting.received(message).ok());
    }
  }
  Pair pair(node(1, secret), node(0, secret));
  pair.run();
  EXPECT_EQ(pair.accepting.received(messages[2]).code(), ErrorCode::cluster_protocol);
  EXPECT_FALSE(pair.accepting.done());
}

TEST_P(HelloAttacked, FuzzedMessagesAreNeverBelieved) {
  const auto messages = recorded(node(1, secret), node(0, secret));
  std::mt19937_64 random(20261128);
  for (int run = 0; run < 20000; ++run) {
    const bool connecting = random() % 2 == 0;
    Hello hello(node(connecting ? 1 : 0, secret), connecting, Hello::any_node,
                filled(connecting ? 0xc1 : 0xac));
    for (int i = 0; i < 4; ++i) {
      auto message = messages[random() % 4];
      for (auto changes = 1 + random() % 8; changes > 0; --changes)
        message[random() % message.size()] = std::byte(random());
      if (random() % 8 == 0) message.resize(random() % 200);
      (void)hello.received(message);
      const auto answer = hello.next();
      ASSERT_TRUE(!answer || answer->size() == Hello::message_bytes);
      ASSERT_FALSE(hello.done());
    }
  }
}

TEST(HelloAttack, OldMessagesDoNotOpenANewConnection) {
  const auto old = recorded(node(1), node(0));
  // As node 1, to node 0 with a fresh random.
  Hello accepting(node(0), false, Hello::any_node, filled(0xad));
  ASSERT_TRUE(accepting.received(old[0]).ok());
  EXPECT_FALSE(accepting.done());
  EXPECT_FALSE(accepting.received(old[2]).ok());
  EXPECT_FALSE(accepting.done());
  // As node 0, to node 1 with a fresh random.
  Hello connecting(node(1), true, 0, filled(0xc3));
  EXPECT_FALSE(connecting.received(old[1]).ok());
  EXPECT_FALSE(connecting.done());
}

TEST(HelloAttack, OwnMessagesReflectedAreRefused) {
  Hello connecting(node(1), true, Hello::any_node, filled(0xc1));
  EXPECT_FALSE(connecting.received(*connecting.next()).ok());

  Pair pair(node(1), node(0));
  ASSERT_TRUE(pair.accepting.received(*pair.connecting.next()).ok());
  EXPECT_FALSE(pair.accepting.received(*pair.accepting.next()).ok());
  EXPECT_FALSE(pair.accepting.done());
}

TEST(HelloAttack, AnswersFetchedFromTheSameNodeAreRefused) {
  // Somebody without the secret lets node 1 answer its own greeting.
  Pair pair(node(1), node(1));
  pair.run();
  EXPECT_FALSE(pair.any_done());
  EXPECT_EQ(pair.accepted.code(), ErrorCode::cluster_duplicate_node);
}

TEST(HelloAttack, AnswerWithTheRoleChangedIsRefused) {
  // The accepting side's own answer, dressed as a proof of the connecting side.
  Pair pair(node(1), node(0));
  ASSERT_TRUE(pair.accepting.received(*pair.connecting.next()).ok());
  auto answer = *pair.accepting.next();
  answer[10] = std::byte{3};
  answer[11] ^= std::byte{2};
  EXPECT_FALSE(pair.accepting.received(answer).ok());
  EXPECT_FALSE(pair.accepting.done());
}

TEST(HelloAttack, RelayIntoAnotherChannelIsRefused) {
  auto from = node(1), to = node(0);
  from.binding = filled(1);
  to.binding = filled(2);
  Pair pair(from, to);
  pair.run();
  EXPECT_FALSE(pair.any_done());
  EXPECT_EQ(pair.accepted.code(), ErrorCode::cluster_protocol);
}

TEST(HelloAttack, RefusalWithoutAProofIsNotTakenAtItsWord) {
  // Else anybody on the way could make a node believe that it has the wrong dictionary.
  Hello connecting(node(1), true, 0, filled(0xc1));
  const auto forged = HelloMessage::make(HelloMessage::Type::refusal, HelloMessage::has_secret,
                                         {0, 3, 0x1122334455667788, 1000, filled(0x5c), filled(9)},
                                         Refusal::schema);
  const Status status = connecting.received(forged.encode());
  EXPECT_EQ(status.code(), ErrorCode::cluster_protocol);
  EXPECT_EQ(status.text().find("dictionar"), std::string::npos) << status.text();
}

/// What somebody with the secret, on the connecting side, may say after `before`.
Bytes proved(HelloMessage message, const Bytes& before) {
  constexpr std::string_view salt = "exdb cluster secret";
  auto key = hkdf_sha256(some_secret(), std::as_bytes(std::span(salt)),
                         "exdb hello 1: proof of the connecting side");
  const auto body = message.encode();
  message.mac = *hmac_sha256(*key, {filled(0), before, std::span(body).first(body.size() - 32)});
  const auto bytes = message.encode();
  return {bytes.begin(), bytes.end()};
}

TEST(HelloAttack, PeerThatChangesItsIdentityIsRefused) {
  for (const std::uint32_t proves_as : {1u, 2u}) {
    Pair pair(node(1), node(0));
    Bytes before = *pair.connecting.next();
    ASSERT_TRUE(pair.accepting.received(before).ok());
    const auto answer = *pair.accepting.next();
    before.insert(before.end(), answer.begin(), answer.end());
    auto proof = HelloMessage::make(
        HelloMessage::Type::proof, HelloMessage::has_secret | HelloMessage::by_connecting,
        {1, 3, 0x1122334455667788, 1001, filled(0x5c), filled(0xc1)}, Refusal::none);
    proof.identity.node = proves_as;
    EXPECT_EQ(pair.accepting.received(proved(proof, before)).ok(), proves_as == 1);
    EXPECT_EQ(pair.accepting.done(), proves_as == 1);
  }
}

TEST(HelloAttack, AnswerOfTheWrongRoleIsRefused) {
  // All right but for the role: as if it had been got from a node that dials.
  Hello connecting(node(1), true, 0, filled(0xc1));
  const auto hello = *connecting.next();
  const auto answer = HelloMessage::make(
      HelloMessage::Type::answer, HelloMessage::has_secret | HelloMessage::by_connecting,
      {0, 3, 0x1122334455667788, 1000, filled(0x5c), filled(9)}, Refusal::none);
  EXPECT_FALSE(connecting.received(proved(answer, hello)).ok());
  EXPECT_FALSE(connecting.next().has_value());
}

TEST(HelloAttack, ReasonOfALaterVersionIsPassedOnByNumber) {
  Pair pair(node(1), node(0));
  (void)pair.connecting.next();
  Hello accepting(node(0), false, Hello::any_node, filled(0xac));
  (void)accepting.refuse(static_cast<Refusal>(77));
  // Both transcripts are empty but for the greeting that the other side did not see: no proof.
  EXPECT_FALSE(pair.connecting.received(*accepting.next()).ok());

  Pair later(node(1), node(0));
  ASSERT_TRUE(later.accepting.received(*later.connecting.next()).ok());
  (void)later.accepting.refuse(static_cast<Refusal>(77));
  later.run();
  EXPECT_NE(later.connected.text().find("77"), std::string::npos) << later.connected.text();
  EXPECT_EQ(later.connected.code(), ErrorCode::cluster_protocol);
}

}  // namespace
}  // namespace exdb::tcp
