// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// TLS for nodes of one test, which all have the address 127.0.0.1.
#pragma once
#include "tcp_nodes.hpp"
#include "test_ca.hpp"
#include "tls_factory.hpp"

namespace exdb::tcp {

/// One certificate for all nodes, of a CA that is made here and that they believe.
inline std::shared_ptr<ChannelFactory> tls_channels(std::uint32_t nodes) {
  const TemporaryFolder folder;
  const Certified ca({.common_name = "ca", .is_ca = true});
  const auto node = ca.issue({.common_name = "node", .alternative_names = "IP:127.0.0.1"});
  TlsParams params;
  params.ca_file = folder.write("ca.pem", ca.certificate_pem());
  params.cert_file_pem = folder.write("node.pem", node.certificate_pem());
  params.pkey_file_pem = folder.write("node.key", node.key_pem());
  auto made = TlsFactory::make(params, std::vector<std::string>(nodes, "127.0.0.1"));
  EXPECT_TRUE(made.ok()) << made.status().text();
  return *std::move(made);
}

}  // namespace exdb::tcp
