// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Two ends of a TLS connection and the memory between them. Node 0 is node0.test, node 1 node1.test,
// node 2 is 10.0.0.2.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "channel.hpp"
#include "test_ca.hpp"
#include "tls_channel.hpp"
#include "tls_factory.hpp"
#include "tls_params.hpp"

namespace exdb::tcp {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// Takes all that is there.
inline Bytes taken(Channel& channel) {
  Bytes all(1 << 20);
  all.resize(channel.take(all));
  return all;
}

struct MemoryLink {
  std::unique_ptr<Channel> client, server;
  Status client_status, server_status;  ///< the first failure of each
  std::size_t wire_bytes = 0;

  /// Moves up to `chunk` bytes; false: nothing was there.
  bool move(Channel& from, Channel& to, Status& result, std::size_t chunk) {
    const auto wire = from.wire();
    if (wire.empty()) return false;
    const Bytes some(wire.begin(), wire.begin() + static_cast<long>(std::min(chunk, wire.size())));
    from.written(some.size());
    wire_bytes += some.size();
    const Status status = to.received(some);
    if (result.ok()) result = status;
    return true;
  }
  /// Until both are silent.
  void run(std::size_t chunk = 1 << 20) {
    for (bool moved = true; moved;) {
      moved = move(*client, *server, server_status, chunk);
      moved = move(*server, *client, client_status, chunk) || moved;
    }
  }
  [[nodiscard]] bool both_established() const {
    return client->established() && server->established();
  }
  [[nodiscard]] const SSL* ssl(bool of_client) const {
    return static_cast<const TlsChannel&>(of_client ? *client : *server).ssl();
  }
};

class TlsTest : public testing::Test {
 protected:
  const std::vector<std::string> hosts{"node0.test", "node1.test", "10.0.0.2"};

  static CertificateWish wish(std::uint32_t node) {
    CertificateWish made;
    made.common_name = "node " + std::to_string(node);
    made.alternative_names =
        node == 2 ? "IP:10.0.0.2" : "DNS:node" + std::to_string(node) + ".test";
    return made;
  }

  /// Params that use these certificates. `believed`: its CA.
  TlsParams params(const Certified& node, const Certified& believed) {
    const std::string name = std::to_string(files_++);
    TlsParams made;
    made.cert_file_pem = folder.write(name + ".cert.pem", node.chain_pem(), 0644);
    made.pkey_file_pem = folder.write(name + ".key.pem", node.key_pem());
    made.ca_file = folder.write(name + ".ca.pem", believed.certificate_pem(), 0644);
    return made;
  }
  TlsParams params(std::uint32_t node) { return params(ca.issue(wish(node)), ca); }

  std::unique_ptr<ChannelFactory> factory(const TlsParams& with) {
    auto made = TlsFactory::make(with, hosts);
    EXPECT_TRUE(made.ok()) << made.status().text();
    return made.ok() ? std::move(*made) : nullptr;
  }

  /// Node 1 dials node 0, with these params.
  MemoryLink connection(const TlsParams& client, const TlsParams& server,
                        std::uint32_t dialled = 0) {
    MemoryLink made;
    auto connected = factory(client)->connect(dialled);
    auto accepted = factory(server)->accept();
    EXPECT_TRUE(connected.ok() && accepted.ok());
    made.client = std::move(*connected);
    made.server = std::move(*accepted);
    return made;
  }
  MemoryLink connection() { return connection(params(1), params(0)); }

  static void expect_part(const Status& status, const std::string& part) {
    EXPECT_FALSE(status.ok()) << "expected: " << part;
    EXPECT_NE(status.text().find(part), std::string::npos)
        << "is: " << status.text() << "\nexpected: " << part;
    EXPECT_EQ(status.text().find('\n'), std::string::npos) << status.text();
  }

  TemporaryFolder folder;
  const Certified ca{CertificateWish{.common_name = "test CA", .is_ca = true}};
  const Certified other_ca{CertificateWish{.common_name = "another CA", .is_ca = true}};

 private:
  int files_ = 0;
};

}  // namespace exdb::tcp
