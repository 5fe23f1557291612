// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whom TLS does not let in, and what each side says then: one line, with the remedy.
#include <gtest/gtest.h>

#include "raw_peer.hpp"
#include "tls_fixture.hpp"

namespace exdb::tcp {
namespace {

class TlsRefuses : public TlsTest {
 protected:
  /// Node 1 dials node 0; neither gets a byte through.
  void expect_refused(const TlsParams& client, const TlsParams& server,
                      const std::string& client_says, const std::string& server_says) {
    auto link = connection(client, server);
    link.run();
    expect_part(link.client_status, client_says);
    expect_part(link.server_status, server_says);
    EXPECT_FALSE(link.both_established());
    EXPECT_FALSE(link.client->established()) << "its certificate was refused";
    EXPECT_EQ(link.client_status.code(), ErrorCode::cluster_protocol);
    EXPECT_EQ(link.server_status.code(), ErrorCode::cluster_protocol);
  }
  /// The dialled node shows this certificate; then the dialling one does.
  void expect_refused_both_ways(const Certified& bad_0, const Certified& bad_1,
                                const std::string& refuser, const std::string& refused) {
    expect_refused(params(1), params(bad_0, ca), refuser, refused);
    expect_refused(params(bad_1, ca), params(0), refused, refuser);
  }
  Certified changed(std::uint32_t node, const std::function<void(CertificateWish&)>& change) {
    auto made = wish(node);
    change(made);
    return ca.issue(made);
  }
};

TEST_F(TlsRefuses, CertificateOfAnotherCa) {
  expect_refused_both_ways(other_ca.issue(wish(0)), other_ca.issue(wish(1)),
                           "is not of a CA in ca_file ", "of a CA that the peer does not know");
}

TEST_F(TlsRefuses, CertificateSignedByItself) {
  expect_refused_both_ways(Certified(wish(0)), Certified(wish(1)), "is not of a CA in ca_file ",
                           "of a CA that the peer does not know");
}

TEST_F(TlsRefuses, CertificateOfACaThatOnlyHasTheRightName) {
  const Certified impostor{CertificateWish{.common_name = "test CA", .is_ca = true}};
  auto link = connection(params(impostor.issue(wish(1)), ca), params(0));
  link.run();
  expect_part(link.server_status, "is not of a CA in ca_file");
}

TEST_F(TlsRefuses, ExpiredCertificate) {
  const auto expired = [](auto& wish) { wish.from_days = -10, wish.to_days = -1; };
  expect_refused_both_ways(changed(0, expired), changed(1, expired), " expired on ",
                           "refused this node's certificate");
  auto link = connection(params(1), params(changed(0, expired), ca));
  link.run();
  expect_part(link.client_status, "(node0.test)");
  expect_part(link.server_status, "it has expired, or is not valid yet");
}

TEST_F(TlsRefuses, CertificateThatIsNotYetValid) {
  const auto early = [](auto& wish) { wish.from_days = 5; };
  expect_refused_both_ways(changed(0, early), changed(1, early), " is not valid before ",
                           "refused this node's certificate");
}

TEST_F(TlsRefuses, CertificateForOnePurposeOnly) {
  expect_refused_both_ways(changed(0, [](auto& wish) { wish.key_usage_extended = "clientAuth"; }),
                           changed(1, [](auto& wish) { wish.key_usage_extended = "serverAuth"; }),
                           "must allow both server and client authentication",
                           "must allow both server and client authentication");
  auto link = connection(
      params(changed(1, [](auto& w) { w.key_usage_extended = "serverAuth,clientAuth"; }), ca),
      params(changed(0, [](auto& w) { w.key_usage_extended = "serverAuth,clientAuth"; }), ca));
  link.run();
  EXPECT_TRUE(link.both_established());
}

TEST_F(TlsRefuses, CertificateIssuedByANode) {
  const Certified node = ca.issue(wish(2));
  auto link = connection(params(node.issue(wish(1)), ca), params(0));
  link.run();
  EXPECT_FALSE(link.server->established());
  expect_part(link.server_status, "is no CA certificate");
}

TEST_F(TlsRefuses, DialledNodeWithTheCertificateOfAnother) {
  expect_refused(params(1), params(1), "(node1.test) is not for node0.test, which was dialled",
                 "it is not for this node's address");
}

TEST_F(TlsRefuses, MissingCertificateOfTheDiallingSide) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto peer = std::make_unique<RawPeer>(true);
    SSL_CTX_set_max_proto_version(peer->context(), version);
    peer->start();
    RawPeer& raw = *peer;
    MemoryLink link{std::move(peer), std::move(*factory(params(0))->accept()), {}, {}};
    link.run();
    expect_part(link.server_status, "the peer showed no certificate: it needs cert_file_pem");
    EXPECT_FALSE(link.server->established());
    EXPECT_EQ(raw.alert(),
              version == TLS1_3_VERSION ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE);
  }
}

TEST_F(TlsRefuses, OlderVersions) {
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    const auto with = params(1);
    auto peer = std::make_unique<RawPeer>(true);
    peer->identify(with.cert_file_pem, with.pkey_file_pem);
    SSL_CTX_set_security_level(peer->context(), 0);  // else OpenSSL itself would not offer them
    SSL_CTX_set_min_proto_version(peer->context(), version);
    SSL_CTX_set_max_proto_version(peer->context(), version);
    peer->start();
    RawPeer& raw = *peer;
    ASSERT_FALSE(raw.wire().empty());
    MemoryLink link{std::move(peer), std::move(*factory(params(0))->accept()), {}, {}};
    link.run();
    expect_part(link.server_status, "the peer offers no version of TLS that this node takes");
    EXPECT_EQ(raw.alert(), SSL_AD_PROTOCOL_VERSION);
  }
  // And as the side that answers.
  const auto with = params(0);
  auto peer = std::make_unique<RawPeer>(false);
  peer->identify(with.cert_file_pem, with.pkey_file_pem);
  SSL_CTX_set_security_level(peer->context(), 0);
  SSL_CTX_set_min_proto_version(peer->context(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(peer->context(), TLS1_1_VERSION);
  peer->start();
  MemoryLink link{std::move(*factory(params(1))->connect(0)), std::move(peer), {}, {}};
  link.run();
  expect_part(link.client_status, "no version of TLS");
  EXPECT_FALSE(link.client->established());
}

TEST_F(TlsRefuses, ListsOfCiphersWithoutOneInCommon) {
  auto client = params(1), server = params(0);
  client.cipher_list = "TLS_AES_128_GCM_SHA256";
  server.cipher_list = "TLS_AES_256_GCM_SHA384";
  expect_refused(client, server, "compare cipher_list", "compare cipher_list of both");
  client.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256";
  server.cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384";
  expect_refused(client, server, "compare cipher_list", "compare cipher_list of both");
  server.cipher_list = "TLS_AES_256_GCM_SHA384";
  expect_refused(client, server, "no version of TLS", "no version of TLS");
}

TEST_F(TlsRefuses, ChainLongerThanMaxCertList) {
  const auto fat = [](auto& wish) { wish.padding_bytes = 8000; };
  auto server = params(0);
  auto client = params(changed(1, fat), ca);
  server.max_cert_list = 4000;
  auto link = connection(client, server);
  link.run();
  expect_part(link.server_status, "max_cert_list (4000 bytes)");
  EXPECT_FALSE(link.server->established());
  expect_part(link.client_status, "max_cert_list");
  server.max_cert_list = 16000;
  link = connection(client, server);
  link.run();
  EXPECT_TRUE(link.both_established());
}

class TlsChains : public TlsRefuses {
 protected:
  static CertificateWish authority(const char* name) {
    return {.common_name = name, .is_ca = true};
  }
  const Certified middle = ca.issue(authority("intermediate CA"));
  const Certified lower = middle.issue(authority("lower CA"));
};

TEST_F(TlsChains, AreAcceptedUpToVerifyDepth) {
  for (int depth = 0; depth <= 3; ++depth) {
    for (int length = 0; length <= 2; ++length) {
      const Certified& issuer = length == 0 ? ca : length == 1 ? middle : lower;
      auto client = params(issuer.issue(wish(1)), ca), server = params(0);
      server.verify_depth = depth;
      auto link = connection(client, server);
      link.run();
      ASSERT_EQ(link.server->established(), length <= depth) << depth << " " << length;
      if (length > depth)
        expect_part(link.server_status, "verify_depth, " + std::to_string(depth) + ", allows");
    }
  }
}

TEST_F(TlsChains, WithoutTheIntermediateCaAreRefused) {
  auto client = params(middle.issue(wish(1)), ca);
  client.cert_file_pem = folder.write("leaf", middle.issue(wish(1)).certificate_pem(), 0644);
  const Certified node = middle.issue(wish(1));
  client.cert_file_pem = folder.write("leaf only", node.certificate_pem(), 0644);
  client.pkey_file_pem = folder.write("leaf key", node.key_pem());
  expect_refused(client, params(0), "intermediate CA that should be in the same file",
                 "put intermediate CAs into the peer's cert_file_pem");
}

}  // namespace
}  // namespace exdb::tcp
