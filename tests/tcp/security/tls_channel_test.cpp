// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_channel.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "raw_peer.hpp"
#include "tls_fixture.hpp"

namespace exdb::tcp {
namespace {

constexpr const char* tls_1_2 = "ECDHE-ECDSA-AES128-GCM-SHA256";

Bytes random_bytes(std::size_t length, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(length);
  for (auto& byte : bytes) byte = std::byte(random());
  return bytes;
}

class TlsChannelTest : public TlsTest {
 protected:
  MemoryLink established(const std::string& cipher_list = "") {
    auto client = params(1), server = params(0);
    client.cipher_list = server.cipher_list = cipher_list;
    auto made = connection(client, server);
    made.run();
    EXPECT_TRUE(made.both_established()) << made.client_status.text() << made.server_status.text();
    return made;
  }
};

TEST_F(TlsChannelTest, ShakesHandsInPiecesOfAnySize) {
  for (const char* ciphers : {"", tls_1_2}) {
    auto client = params(1), server = params(0);
    client.cipher_list = server.cipher_list = ciphers;
    for (const std::size_t chunk : {1, 2, 3, 7, 100, 1500, 1 << 20}) {
      auto link = connection(client, server);
      EXPECT_FALSE(link.client->established() || link.server->established());
      EXPECT_EQ(link.client->peer() + link.server->peer(), "");
      link.run(chunk);
      ASSERT_TRUE(link.both_established()) << chunk << link.client_status.text();
      EXPECT_EQ(link.client->peer(), "node0.test");
      EXPECT_EQ(link.server->peer(), "node1.test");
      EXPECT_STREQ(SSL_get_version(link.ssl(true)), *ciphers == 0 ? "TLSv1.3" : "TLSv1.2");
      EXPECT_TRUE(link.client->copies());
    }
  }
}

TEST_F(TlsChannelTest, CarriesBytesBothWaysInPiecesOfAnySize) {
  const Bytes sent = random_bytes(40000, 1), answer = random_bytes(30001, 2);
  for (const char* ciphers : {"", tls_1_2}) {
    for (const std::size_t chunk : {1, 5, 4099, 1 << 20}) {
      auto link = established(ciphers);
      ASSERT_TRUE(link.client->send(sent).ok());
      ASSERT_TRUE(link.server->send({}).ok());
      ASSERT_TRUE(link.server->send(std::span(answer).first(1)).ok());
      ASSERT_TRUE(link.server->send(std::span(answer).subspan(1)).ok());
      link.run(chunk);
      ASSERT_EQ(taken(*link.server), sent) << chunk;
      ASSERT_EQ(taken(*link.client), answer) << chunk;
      ASSERT_EQ(link.client->take({}), 0u);
    }
  }
}

TEST_F(TlsChannelTest, CarriesManyMegabytesAndKeepsNone) {
  auto link = established();
  const Bytes sent = random_bytes(24 << 20, 3);
  Bytes got;
  ASSERT_TRUE(link.client->send(sent).ok());
  while (link.move(*link.client, *link.server, link.server_status, 65537)) {
    Bytes some(50000);
    while (const std::size_t length = link.server->take(some))
      got.insert(got.end(), some.begin(), some.begin() + static_cast<long>(length));
  }
  EXPECT_TRUE(link.server_status.ok());
  EXPECT_TRUE(got == sent);
  EXPECT_LT(link.wire_bytes, sent.size() + sent.size() / 100);
  EXPECT_TRUE(link.client->wire().empty());
}

TEST_F(TlsChannelTest, GoodbyeIsSeenByThePeerAndEndsReading) {
  auto link = established();
  ASSERT_TRUE(link.client->send(bytes_of("last words")).ok());
  link.client->shut();
  link.run();
  EXPECT_TRUE(link.server_status.ok());
  EXPECT_EQ(taken(*link.server), bytes_of("last words"));
  EXPECT_EQ(SSL_get_shutdown(link.ssl(false)) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  // What comes behind it is nobody's.
  EXPECT_TRUE(link.server->received(random_bytes(100, 4)).ok());
  EXPECT_EQ(taken(*link.server), Bytes());
  link.client->shut();
  EXPECT_TRUE(link.client->wire().empty());
}

TEST_F(TlsChannelTest, GoodbyeBeforeTheHandshakeIsNothing) {
  auto link = connection();
  link.server->shut();
  EXPECT_TRUE(link.server->wire().empty());
}

TEST_F(TlsChannelTest, NothingIsSentBeforeTheHandshake) {
  auto link = connection();
  EXPECT_FALSE(link.client->send(bytes_of("too early")).ok());
  link.run();
  EXPECT_TRUE(link.both_established());
  EXPECT_EQ(taken(*link.server), Bytes());
}

TEST_F(TlsChannelTest, DamageIsNoticedOnBothSidesAndFinal) {
  for (const char* ciphers : {"", tls_1_2}) {
    auto link = established(ciphers);
    ASSERT_TRUE(link.client->send(random_bytes(1000, 5)).ok());
    Bytes wire(link.client->wire().begin(), link.client->wire().end());
    wire[500] ^= std::byte{1};
    const Status damaged = link.server->received(wire);
    expect_part(damaged, "changed on its way");
    EXPECT_EQ(damaged.code(), ErrorCode::cluster_protocol);
    EXPECT_EQ(taken(*link.server), Bytes());
    EXPECT_FALSE(link.server->established());
    EXPECT_EQ(link.server->send(bytes_of("x")).text(), damaged.text());
    EXPECT_EQ(link.server->received({}).text(), damaged.text());
    link.client->written(wire.size());
    link.run();
    expect_part(link.client_status, "bad record mac");
  }
}

TEST_F(TlsChannelTest, BindingIsOfThisConnectionAlone) {
  for (const char* ciphers : {"", tls_1_2}) {
    auto fresh = connection();
    EXPECT_EQ(fresh.client->binding(), (std::array<std::byte, 32>{}));
    auto first = established(ciphers), second = established(ciphers);
    EXPECT_EQ(first.client->binding(), first.server->binding());
    EXPECT_EQ(second.client->binding(), second.server->binding());
    EXPECT_NE(first.client->binding(), second.client->binding());
    EXPECT_NE(first.client->binding(), (std::array<std::byte, 32>{}));
  }
}

TEST_F(TlsChannelTest, PlainBytesAreRefusedWithTheRemedy) {
  for (const char* text :
       {"GET / HTTP/1.1\r\n\r\n", "exdbHELO plus what comes behind it ........"}) {
    auto link = connection();
    const Status status = link.server->received(bytes_of(text));
    expect_part(status, "does not speak TLS: give ssl_params to all nodes, or to none");
    EXPECT_EQ(link.client->received(bytes_of(text)).ok(), false);
  }
}

TEST_F(TlsChannelTest, FuzzedHandshakesNeverCarryOtherBytes) {
  const auto client = params(1), server = params(0);
  auto dialling = factory(client), accepting = factory(server);
  std::mt19937 random(20261128);
  int refused = 0;
  for (int run = 0; run < 300; ++run) {
    MemoryLink link;
    link.client = std::move(*dialling->connect(0));
    link.server = std::move(*accepting->accept());
    const auto target = random() % 6;
    for (unsigned moves = 0; moves < 12; ++moves) {
      auto& from = moves % 2 == 0 ? *link.client : *link.server;
      auto& to = moves % 2 == 0 ? *link.server : *link.client;
      Bytes wire(from.wire().begin(), from.wire().end());
      from.written(wire.size());
      if (moves == target && !wire.empty()) {
        wire[random() % wire.size()] = std::byte(random());
        if (random() % 4 == 0) wire.resize(random() % wire.size());
      }
      const Status status = to.received(wire);
      refused += !status.ok();
      if (moves == 6 && link.client->established())
        (void)link.client->send(bytes_of("what was sent"));
    }
    const Bytes got = taken(*link.server);
    ASSERT_TRUE(got.empty() || got == bytes_of("what was sent"));
  }
  EXPECT_GT(refused, 100);
}

TEST(ByteQueue, IsAQueueOfBytes) {
  ByteQueue queue;
  std::deque<std::byte> model;
  std::mt19937 random(7);
  for (int step = 0; step < 4000; ++step) {
    const std::size_t length = random() % (step % 100 == 0 ? 100000 : 300);
    if (random() % 2 == 0) {
      const auto room = queue.room(length);
      ASSERT_GE(room.size(), length);
      for (std::size_t i = 0; i < length; ++i) model.push_back(room[i] = std::byte(random()));
      queue.filled(length);
    } else {
      const auto front = queue.front();
      const std::size_t some = std::min(length, front.size());
      ASSERT_TRUE(std::equal(front.begin(), front.end(), model.begin(), model.end()));
      queue.drop(some);
      model.erase(model.begin(), model.begin() + static_cast<long>(some));
    }
    ASSERT_EQ(queue.front().size(), model.size());
    if (model.size() > 500000) {
      queue.drop(model.size());
      model.clear();
      ASSERT_LE(queue.room(0).size(), ByteQueue::keep_bytes);
    }
  }
}

}  // namespace
}  // namespace exdb::tcp
