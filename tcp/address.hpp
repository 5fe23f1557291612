// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where a node is: "host:port" as people write it, and what sockets want instead.
//
// Threads: any.
// Failure: a Status that names the text and the form wanted.
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::tcp {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  /// "127.0.0.1:7000", "[::1]:7000".
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool loopback() const;
  /// The same but for the port.
  [[nodiscard]] bool same_host(const SocketAddress& other) const;
};

struct Address {
  std::string host;  ///< without brackets
  std::uint16_t port = 0;
  bool literal = false;  ///< an IP address: resolving it asks nobody
  [[nodiscard]] std::string text() const;
};

/// Forms: "192.0.2.7:7000", "[2001:db8::7]:7000", "name.example:7000". Asks nobody.
Result<Address> parse_address(const std::string& text);

/// All socket addresses of `address` in `domain` (AF_UNSPEC: any). BLOCKS as long as the system's
/// resolver does, unless it is literal. Never empty.
Result<std::vector<SocketAddress>> resolve(const Address& address, int domain);

}  // namespace exdb::tcp
