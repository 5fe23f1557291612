// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ssl_params, and what is refused before any connection.
#include "tls_params.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "tls_fixture.hpp"

namespace exdb::tcp {
namespace {

using Values = std::map<std::string, TlsValue>;

std::string refusal(const Values& values) {
  auto params = parse_tls_params(values);
  EXPECT_FALSE(params.ok());
  EXPECT_EQ(params.status().code(), ErrorCode::cluster_invalid_parameter);
  return params.status().text();
}

TEST(TlsParamsOf, NothingVerifiesThePeerAndFailsWithoutItsCertificate) {
  auto params = parse_tls_params({});
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->verify_mode, 3);
  EXPECT_TRUE(params->verifies() && params->needs_certificates());
}

TEST(TlsParamsOf, EveryKeyGoesToItsPlace) {
  auto params = parse_tls_params({{"cipher_list", "HIGH"},
                                  {"max_cert_list", std::int64_t{5000}},
                                  {"verify_mode", std::int64_t{5}},
                                  {"verify_depth", std::int64_t{2}},
                                  {"cert_file_pem", "c"},
                                  {"pkey_file_pem", "k"},
                                  {"ca_file", "a"},
                                  {"ca_path", "p"}});
  ASSERT_TRUE(params.ok()) << params.status().text();
  EXPECT_EQ(params->cipher_list, "HIGH");
  EXPECT_EQ(params->max_cert_list, 5000);
  EXPECT_EQ(params->verify_mode, 5);
  EXPECT_EQ(params->verify_depth, 2);
  EXPECT_EQ(params->cert_file_pem + params->pkey_file_pem + params->ca_file + params->ca_path,
            "ckap");
  EXPECT_FALSE(params->needs_certificates());
}

TEST(TlsParamsOf, UnknownKeyIsNamedWithTheKnownOnes) {
  const auto text = refusal({{"cert_file", "x"}});
  EXPECT_EQ(text.rfind("ssl_params: cert_file is unknown", 0), 0u) << text;
  for (const char* key : {"cipher_list", "max_cert_list", "verify_mode", "verify_depth",
                          "cert_file_pem", "pkey_file_pem", "ca_file", "ca_path"})
    EXPECT_NE(text.find(key), std::string::npos) << key;
}

TEST(TlsParamsOf, ValueOfTheWrongKindOrRangeIsNamed) {
  EXPECT_NE(refusal({{"verify_mode", "peer"}}).find("verify_mode must be a number"),
            std::string::npos);
  EXPECT_NE(refusal({{"ca_file", std::int64_t{1}}}).find("ca_file must be a string"),
            std::string::npos);
  EXPECT_NE(refusal({{"verify_mode", std::int64_t{8}}}).find("0 to 7"), std::string::npos);
  EXPECT_NE(refusal({{"verify_depth", std::int64_t{-1}}}).find("0 to 100"), std::string::npos);
  EXPECT_NE(refusal({{"max_cert_list", std::int64_t{-1}}}).find("max_cert_list"),
            std::string::npos);
  EXPECT_NE(refusal({{"ca_file", std::string("a\0b", 3)}}).find("zero byte"), std::string::npos);
}

TEST(TlsParamsOf, ModeThatOpensslWouldPassOverIsRefused) {
  for (const std::int64_t mode : {2, 4, 6})
    EXPECT_NE(refusal({{"verify_mode", mode}}).find("together with 1"), std::string::npos);
  for (const std::int64_t mode : {0, 1, 3, 5, 7})
    EXPECT_TRUE(parse_tls_params({{"verify_mode", mode}}).ok());
}

class TlsFiles : public TlsTest {
 protected:
  /// The text with which these are refused.
  std::string refusal_of(const std::function<void(TlsParams&)>& change) {
    auto with = params(0);
    change(with);
    auto made = TlsFactory::make(with, hosts);
    EXPECT_FALSE(made.ok());
    if (made.ok()) return {};
    EXPECT_EQ(made.status().code(), ErrorCode::cluster_invalid_parameter);
    EXPECT_EQ(made.status().text().find('\n'), std::string::npos) << made.status().text();
    EXPECT_EQ(made.status().text().rfind("ssl_params: ", 0), 0u) << made.status().text();
    return made.status().text();
  }
  void expect_refusal(const std::function<void(TlsParams&)>& change,
                      const std::vector<std::string>& parts) {
    const auto text = refusal_of(change);
    for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  std::string missing = folder.path("missing");
  std::string garbage = folder.write("garbage", "no PEM here\n");
};

TEST_F(TlsFiles, MissingOnesAreNamedWithTheirKey) {
  expect_refusal([&](auto& p) { p.cert_file_pem = missing; },
                 {"cert_file_pem " + missing, "No such file"});
  expect_refusal([&](auto& p) { p.pkey_file_pem = missing; },
                 {"pkey_file_pem: " + missing, "No such file"});
  expect_refusal([&](auto& p) { p.ca_file = missing; }, {"ca_file " + missing, "No such file"});
  expect_refusal([&](auto& p) { p.ca_path = missing; }, {"ca_path " + missing, "No such file"});
}

TEST_F(TlsFiles, OnesThatHoldNothingOfUseAreNamedWithTheirKey) {
  expect_refusal([&](auto& p) { p.cert_file_pem = garbage; },
                 {"cert_file_pem " + garbage, "no certificate in PEM"});
  expect_refusal([&](auto& p) { p.pkey_file_pem = garbage; },
                 {"pkey_file_pem " + garbage, "no private key in PEM"});
  expect_refusal([&](auto& p) { p.ca_file = garbage; }, {"ca_file " + garbage, "no certificate"});
  expect_refusal([&](auto& p) { p.ca_path = folder.path("."); }, {"ca_path", "openssl rehash"});
  expect_refusal([&](auto& p) { p.cert_file_pem = folder.path("."); }, {"is a folder"});
}

TEST_F(TlsFiles, NoneAtAllSaysWhatIsNeeded) {
  expect_refusal([](auto& p) { p = {}; }, {"cert_file_pem is missing", "pkey_file_pem"});
  expect_refusal([](auto& p) { p.ca_file = ""; },
                 {"ca_file is missing", "ca_path", "verify_mode 0"});
}

TEST_F(TlsFiles, KeyOfAnotherCertificateIsRefused) {
  const auto other = params(1);
  expect_refusal([&](auto& p) { p.pkey_file_pem = other.pkey_file_pem; },
                 {"pkey_file_pem " + other.pkey_file_pem, "not the key of the certificate"});
}

TEST_F(TlsFiles, KeyThatOthersMayReadIsRefused) {
  for (const mode_t mode : {0640, 0644, 0604, 0660}) {
    expect_refusal([&](auto& p) { ::chmod(p.pkey_file_pem.c_str(), mode); },
                   {"pkey_file_pem: ", "is open to others", "chmod 600"});
  }
}

TEST_F(TlsFiles, KeyBehindALinkIsRefused) {
  expect_refusal(
      [&](auto& p) {
        ASSERT_EQ(::symlink(p.pkey_file_pem.c_str(), folder.path("link").c_str()), 0);
        p.pkey_file_pem = folder.path("link");
      },
      {"symbolic link"});
}

TEST_F(TlsFiles, KeyWithAPasswordIsRefusedWithoutAsking) {
  const Certified node = ca.issue(wish(0));
  const auto locked = folder.write("locked", node.key_pem("password"));
  expect_refusal([&](auto& p) { p.pkey_file_pem = locked; },
                 {"pkey_file_pem " + locked, "has a password", "openssl pkey"});
}

TEST_F(TlsFiles, KeyMayStandBesideTheCertificateWhenNobodyElseReadsIt) {
  const Certified node = ca.issue(wish(0));
  auto with = params(0);
  with.pkey_file_pem = "";
  with.cert_file_pem = folder.write("both", node.chain_pem() + node.key_pem());
  EXPECT_TRUE(TlsFactory::make(with, hosts).ok());
  ::chmod(with.cert_file_pem.c_str(), 0644);
  expect_refusal([&](auto& p) { p = with; }, {"cert_file_pem", "open to others", "pkey_file_pem"});
}

TEST_F(TlsFiles, CipherListThatNamesNothingIsRefused) {
  expect_refusal([](auto& p) { p.cipher_list = "NONSENSE"; }, {"cipher_list", "NONSENSE"});
  expect_refusal([](auto& p) { p.cipher_list = "TLS_NONSENSE"; }, {"cipher_list", "TLS_NONSENSE"});
  // Ciphers that ask for no certificate, or do not encrypt.
  for (const char* list : {"ADH",
                           "aN"
                           "ULL",
                           "eNULL", "NULL-SHA256"})
    expect_refusal([&](auto& p) { p.cipher_list = list; }, {"cipher_list"});
}

}  // namespace
}  // namespace exdb::tcp
