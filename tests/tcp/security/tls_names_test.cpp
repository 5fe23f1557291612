// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The names of certificates and the nodes they may be.
#include "tls_names.hpp"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "tls_fixture.hpp"

namespace exdb::tcp {
namespace {

class TlsNames : public TlsTest {
 protected:
  using Certificate = std::unique_ptr<X509, Certified::Free>;
  static Certificate certificate(const std::string& names, const std::string& common_name = "cn") {
    CertificateWish wish;
    wish.common_name = common_name;
    wish.alternative_names = names;
    const std::string pem = Certified(wish).certificate_pem();
    BIO* const memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    Certificate made(PEM_read_bio_X509(memory, nullptr, nullptr, nullptr));
    BIO_free(memory);
    return made;
  }
  static bool fits(const std::string& names, const std::string& host,
                   const std::string& common_name = "cn") {
    return certificate_fits(certificate(names, common_name).get(), host);
  }
};

TEST_F(TlsNames, HostThatIsANameMustBeAmongThem) {
  EXPECT_TRUE(fits("DNS:a.test,DNS:b.test", "b.test"));
  EXPECT_TRUE(fits("DNS:a.test", "A.TEST"));
  EXPECT_TRUE(fits("DNS:a.test", "a.test."));
  EXPECT_TRUE(fits("DNS:localhost", "localhost"));
  for (const char* host : {"b.test", "a.test.org", "x.a.test", "a", "", ".", "test"})
    EXPECT_FALSE(fits("DNS:a.test", host)) << host;
}

TEST_F(TlsNames, CommonNameCountsOnlyWithoutAlternativeNames) {
  EXPECT_TRUE(fits("", "a.test", "a.test"));
  EXPECT_FALSE(fits("DNS:b.test", "a.test", "a.test"));
}

TEST_F(TlsNames, WildcardStandsForOneWholeLabel) {
  EXPECT_TRUE(fits("DNS:*.cluster.test", "node7.cluster.test"));
  for (const char* host : {"cluster.test", "a.b.cluster.test", "node7.other.test"})
    EXPECT_FALSE(fits("DNS:*.cluster.test", host)) << host;
  EXPECT_FALSE(fits("DNS:node*.cluster.test", "node7.cluster.test"));
}

TEST_F(TlsNames, HostThatIsAnAddressMustBeAmongTheAddressesIfThereAreAny) {
  EXPECT_TRUE(fits("IP:10.0.0.1", "10.0.0.1"));
  EXPECT_FALSE(fits("IP:10.0.0.1", "10.0.0.2"));
  EXPECT_FALSE(fits("DNS:10.0.0.2,IP:10.0.0.1", "10.0.0.2"));
  EXPECT_TRUE(fits("IP:fe80::1", "fe80:0::1"));
  EXPECT_TRUE(fits("IP:fe80::1", "fe80::1%eth0"));
  EXPECT_FALSE(fits("IP:fe80::1", "fe80::2%eth0"));
  // Bound to no address: the CA alone decides.
  EXPECT_TRUE(fits("DNS:a.test", "10.0.0.2"));
  EXPECT_TRUE(fits("", "::1"));
}

TEST_F(TlsNames, AddressIsNoName) {
  EXPECT_FALSE(fits("IP:10.0.0.1", "a.test"));
  EXPECT_FALSE(fits("", "a.test", "10.0.0.1"));
}

TEST_F(TlsNames, TextForLogsIsOneShortPrintableLine) {
  EXPECT_EQ(name_in(certificate("DNS:a.test,IP:10.0.0.1").get()), "a.test");
  EXPECT_EQ(names_in(certificate("DNS:a.test,IP:10.0.0.1,IP:::1").get()), "a.test, 10.0.0.1, ::1");
  EXPECT_EQ(name_in(certificate("", "a\nb\x1b[31m\x7f").get()), "a?b?[31m?");
  std::string many = "DNS:" + std::string(63, 'a');
  for (int i = 0; i < 10; ++i) many += ",DNS:" + std::string(60, 'b');
  EXPECT_LE(names_in(certificate(many).get()).size(), 103u);
}

// --- allows(): who a peer that dialled may be ---

TEST_F(TlsNames, AcceptedPeerMayBeOnlyTheNodeThatItsCertificateNames) {
  auto accepting = factory(params(0));
  auto link = connection(params(1), params(0));
  link.server = std::move(*accepting->accept());
  EXPECT_FALSE(accepting->allows(*link.server, 1).ok()) << "not established yet";
  link.run();
  EXPECT_TRUE(accepting->allows(*link.server, 1).ok());
  const Status status = accepting->allows(*link.server, 0);
  expect_part(status, "the certificate of node 0 (node1.test) is not for its address, node0.test");
  // Node 2 has an address, and this certificate is bound to none.
  EXPECT_TRUE(accepting->allows(*link.server, 2).ok());
  EXPECT_FALSE(accepting->allows(*link.server, 3).ok());
}

TEST_F(TlsNames, AcceptedPeerBoundToAnAddressMayBeNoOther) {
  auto accepting = factory(params(0));
  auto link = connection(params(2), params(0));
  link.server = std::move(*accepting->accept());
  link.run();
  EXPECT_TRUE(accepting->allows(*link.server, 2).ok());
  EXPECT_FALSE(accepting->allows(*link.server, 1).ok());
}

TEST_F(TlsNames, DialledAddressIsChecked) {
  auto link = connection(params(1), params(2), 2);
  link.run();
  EXPECT_TRUE(link.both_established()) << link.client_status.text();
  auto wrong = wish(2);
  wrong.alternative_names = "IP:10.0.0.3";
  link = connection(params(1), params(ca.issue(wrong), ca), 2);
  link.run();
  expect_part(link.client_status, "(10.0.0.3) is not for 10.0.0.2, which was dialled");
  EXPECT_FALSE(link.client->established());
}

TEST_F(TlsNames, ThereIsNoNodeBeyondTheHosts) {
  auto dialling = factory(params(0));
  EXPECT_EQ(dialling->connect(3).status().code(), ErrorCode::cluster_invalid_parameter);
}

TEST_F(TlsNames, WhereNobodyIsVerifiedNoNameIs) {
  auto server = params(0);
  server.verify_mode = 0;
  auto accepting = factory(server);
  auto link = connection(params(1), server);
  link.server = std::move(*accepting->accept());
  link.run();
  EXPECT_TRUE(accepting->allows(*link.server, 0).ok());
}

}  // namespace
}  // namespace exdb::tcp
