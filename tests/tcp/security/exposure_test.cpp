// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exposure.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace exdb::tcp {
namespace {

using Hosts = std::vector<std::string>;

TEST(Exposure, LoopbackIsWhatOnlyThisHostCanReach) {
  for (const char* host : {"127.0.0.1", "127.255.255.254", "::1", "[::1]", "localhost", "LocalHost",
                           "localhost.", "::1%lo", "::ffff:127.0.0.1"})
    EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host :
       {"", "0.0.0.0", "::", "[::]", "128.0.0.1", "10.0.0.1", "126.255.255.255", "::2",
        "::ffff:10.0.0.1", "fe80::1%eth0", "node1", "localhost.example.org",
        "127.0.0.1.example.org", "127.1", "127.0.0.1:5000", "my-localhost", "::127.0.0.1"})
    EXPECT_FALSE(is_loopback(host)) << host;
}

TEST(Exposure, LoopbackNeedsNothing) {
  EXPECT_TRUE(check_exposure(Hosts{"127.0.0.1", "::1", "localhost"}, {}).ok());
  EXPECT_TRUE(check_exposure(Hosts{}, {}).ok());
}

TEST(Exposure, OneAddressBeyondLoopbackIsRefusedWithTheThreeRemedies) {
  const Status status = check_exposure(Hosts{"127.0.0.1", "10.1.2.3", "node7"}, {});
  EXPECT_EQ(status.code(), ErrorCode::cluster_invalid_parameter);
  for (const char* part :
       {"10.1.2.3", "ssl_params", "cluster_secret_file", "insecure_network=True"})
    EXPECT_NE(status.text().find(part), std::string::npos) << part << ": " << status.text();
}

TEST(Exposure, EachRemedyIsEnough) {
  const Hosts hosts{"node1", "10.1.2.3"};
  EXPECT_TRUE(check_exposure(hosts, {.tls = true, .certificates = true}).ok());
  EXPECT_TRUE(check_exposure(hosts, {.secret = true}).ok());
  EXPECT_TRUE(check_exposure(hosts, {.insecure_network = true}).ok());
}

TEST(Exposure, TlsThatAsksNobodyForACertificateIsNoProtection) {
  const Status status = check_exposure(Hosts{"node1"}, {.tls = true});
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.text().find("verify_mode"), std::string::npos) << status.text();
  EXPECT_TRUE(check_exposure(Hosts{"node1"}, {.tls = true, .secret = true}).ok());
  EXPECT_TRUE(check_exposure(Hosts{"::1"}, {.tls = true}).ok());
}

}  // namespace
}  // namespace exdb::tcp
