// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// That each of ssl_params has an effect, and that what is off is off.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "raw_peer.hpp"
#include "tls_fixture.hpp"

namespace exdb::tcp {
namespace {

class TlsSettings : public TlsTest {
 protected:
  /// A client of somebody else's, with a good certificate, and our server.
  struct RawLink : MemoryLink {
    RawPeer* raw = nullptr;
  };
  RawLink raw_link(ChannelFactory& server, int version, SSL_SESSION* resumed = nullptr) {
    auto peer = std::make_unique<RawPeer>(true);
    peer->identify(client_files.cert_file_pem, client_files.pkey_file_pem);
    SSL_CTX_set_min_proto_version(peer->context(), version);
    SSL_CTX_set_max_proto_version(peer->context(), version);
    SSL_CTX_set_session_cache_mode(peer->context(), SSL_SESS_CACHE_CLIENT);
    peer->start(resumed);
    RawLink link;
    link.raw = peer.get();
    link.client = std::move(peer);
    link.server = std::move(*server.accept());
    link.run();
    return link;
  }
  const TlsParams client_files = params(1);
};

TEST_F(TlsSettings, SessionsAreNeverResumed) {
  auto server = factory(params(0));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto first = raw_link(*server, version);
    ASSERT_TRUE(first.both_established()) << first.server_status.text();
    SSL_SESSION* const session = SSL_get1_session(first.raw->ssl());
    ASSERT_NE(session, nullptr);
    EXPECT_FALSE(SSL_SESSION_has_ticket(session));
    EXPECT_FALSE(SSL_SESSION_is_resumable(session));
    auto second = raw_link(*server, version, session);
    EXPECT_TRUE(second.both_established());
    EXPECT_FALSE(SSL_session_reused(second.raw->ssl()));
    EXPECT_FALSE(SSL_session_reused(const_cast<SSL*>(second.ssl(false))));
    SSL_SESSION_free(session);
  }
}

TEST_F(TlsSettings, RenegotiationThatTheDiallingSideWantsIsRefused) {
  auto server = factory(params(0));
  auto link = raw_link(*server, TLS1_2_VERSION);
  ASSERT_TRUE(link.both_established());
  ASSERT_EQ(SSL_renegotiate(link.raw->ssl()), 1);
  (void)link.raw->received({});
  ASSERT_FALSE(link.raw->wire().empty());
  link.run();
  EXPECT_FALSE(link.client_status.ok() && link.server_status.ok());
  EXPECT_FALSE(link.raw->established());
}

TEST_F(TlsSettings, RenegotiationThatTheAcceptingSideWantsIsRefused) {
  const auto server_files = params(0);
  auto peer = std::make_unique<RawPeer>(false);
  peer->identify(server_files.cert_file_pem, server_files.pkey_file_pem);
  SSL_CTX_set_max_proto_version(peer->context(), TLS1_2_VERSION);
  peer->start();
  RawPeer& raw = *peer;
  MemoryLink link{std::move(*factory(client_files)->connect(0)), std::move(peer), {}, {}};
  link.run();
  ASSERT_TRUE(link.both_established()) << link.client_status.text();
  ASSERT_EQ(SSL_renegotiate(raw.ssl()), 1);
  (void)raw.received({});
  ASSERT_FALSE(raw.wire().empty());
  link.run();
  EXPECT_EQ(SSL_num_renegotiations(const_cast<SSL*>(link.ssl(true))), 0);
}

TEST_F(TlsSettings, CompressionIsOff) {
  auto link = connection();
  link.run();
  ASSERT_TRUE(link.both_established());
  EXPECT_EQ(SSL_get_current_compression(link.ssl(true)), nullptr);
  EXPECT_NE(SSL_get_options(link.ssl(true)) & SSL_OP_NO_COMPRESSION, 0u);
}

TEST_F(TlsSettings, CipherListDecidesVersionAndCipher) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", "TLS_AES_128_GCM_SHA256"},
      {"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
      {"TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_256_GCM_SHA384"},
      {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {"ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-ECDSA-AES256-GCM-SHA384",
       "ECDHE-ECDSA-CHACHA20-POLY1305"},
      {"ECDHE+AES256", "ECDHE-ECDSA-AES256-GCM-SHA384"}};
  // Either side's list decides.
  for (const bool of_server : {false, true}) {
    for (const auto& [list, cipher] : rows) {
      auto client = params(1), server = params(0);
      (of_server ? server : client).cipher_list = list;
      // A server follows the client's order, so that of its own list only what is in it counts.
      if (of_server && list.find_first_of(":,+") != std::string::npos) continue;
      auto link = connection(client, server);
      link.run();
      // The other side's own list, which names only ciphers with forward secrecy and AEAD, has it.
      ASSERT_TRUE(link.both_established()) << list << " " << link.server_status.text();
      EXPECT_EQ(SSL_get_cipher_name(link.ssl(true)), cipher) << list;
    }
  }
}

class TlsVerifyMode : public TlsSettings {
 protected:
  TlsParams server(int mode) {
    auto made = params(0);
    made.verify_mode = mode;
    return made;
  }
  bool lets_in_without_certificate(int mode) {
    auto peer = std::make_unique<RawPeer>(true);
    peer->start();
    MemoryLink link{std::move(peer), std::move(*factory(server(mode))->accept()), {}, {}};
    link.run();
    return link.server->established();
  }
  bool lets_in_another_ca(int mode) {
    auto link = connection(params(other_ca.issue(wish(1)), ca), server(mode));
    link.run();
    return link.server->established();
  }
};

TEST_F(TlsVerifyMode, NoneAsksForNothing) {
  EXPECT_TRUE(lets_in_without_certificate(0));
  EXPECT_TRUE(lets_in_another_ca(0));
  auto without_ca = server(0);
  without_ca.ca_file = "";
  auto link = connection(params(1), without_ca);
  link.run();
  EXPECT_TRUE(link.both_established());
  EXPECT_EQ(link.server->peer(), "");
}

TEST_F(TlsVerifyMode, PeerVerifiesWhatIsShown) {
  EXPECT_TRUE(lets_in_without_certificate(1));
  EXPECT_FALSE(lets_in_another_ca(1));
}

TEST_F(TlsVerifyMode, FailWithoutACertificateDoes) {
  EXPECT_FALSE(lets_in_without_certificate(3));
  EXPECT_FALSE(lets_in_another_ca(3));
}

TEST_F(TlsVerifyMode, ClientOnceReachesOpenssl) {
  // It concerns renegotiation, which is off: all that can be seen is that it is set.
  EXPECT_FALSE(lets_in_without_certificate(7));
  EXPECT_TRUE(lets_in_without_certificate(5));
  auto link = connection(params(1), server(7));
  EXPECT_EQ(SSL_get_verify_mode(link.ssl(false)), 7);
}

TEST_F(TlsVerifyMode, NoneOfTheDiallingSideTakesAnyNode) {
  auto client = params(1);
  client.verify_mode = 0;
  for (const auto& server : {params(other_ca.issue(wish(1)), ca), params(2)}) {
    auto link = connection(client, server);
    link.run();
    EXPECT_TRUE(link.both_established()) << link.client_status.text();
  }
}

TEST_F(TlsSettings, CaPathIsSearched) {
  auto server = params(0);
  server.ca_file = "";
  server.ca_path = folder.path("authorities");
  ASSERT_EQ(::mkdir(server.ca_path.c_str(), 0700), 0);
  (void)folder.write("authorities/" + ca.hashed_name(), ca.certificate_pem(), 0644);
  auto link = connection(params(1), server);
  link.run();
  EXPECT_TRUE(link.both_established()) << link.server_status.text();
  link = connection(params(other_ca.issue(wish(1)), ca), server);
  link.run();
  expect_part(link.server_status, "is not of a CA in ca_path " + server.ca_path);
}

TEST_F(TlsSettings, CaFileMayHoldSeveral) {
  auto server = params(0);
  server.ca_file = folder.write("both", other_ca.certificate_pem() + ca.certificate_pem(), 0644);
  for (const auto& client : {params(1), params(other_ca.issue(wish(1)), ca)}) {
    auto link = connection(client, server);
    link.run();
    EXPECT_TRUE(link.both_established()) << link.server_status.text();
  }
}

}  // namespace
}  // namespace exdb::tcp
