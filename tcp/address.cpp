// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace exdb::tcp {
namespace {

Status malformed(const std::string& text, const std::string& why) {
  return {ErrorCode::cluster_invalid_parameter,
          "address '" + text + "' " + why +
              ": write host:port, for example 192.0.2.7:7000, [2001:db8::7]:7000 or "
              "node7.example:7000"};
}

addrinfo numeric_hints() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  return hints;
}

bool is_literal(const std::string& host) {
  const addrinfo hints = numeric_hints();
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), "1", &hints, &found) != 0) return false;
  freeaddrinfo(found);
  return true;
}

}  // namespace

std::string SocketAddress::text() const {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(get(), bytes, host, sizeof(host), port, sizeof(port),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "an unknown address";
  return family() == AF_INET6 ? "[" + std::string(host) + "]:" + port
                              : std::string(host) + ":" + port;
}

bool SocketAddress::loopback() const {
  if (family() == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof(in));
    return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
  }
  if (family() != AF_INET6) return false;
  sockaddr_in6 in6{};
  std::memcpy(&in6, &storage, sizeof(in6));
  if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) return in6.sin6_addr.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

bool SocketAddress::same_host(const SocketAddress& other) const {
  if (family() != other.family()) return false;
  if (family() == AF_INET) {
    sockaddr_in mine{}, theirs{};
    std::memcpy(&mine, &storage, sizeof(mine));
    std::memcpy(&theirs, &other.storage, sizeof(theirs));
    return mine.sin_addr.s_addr == theirs.sin_addr.s_addr;
  }
  if (family() != AF_INET6) return false;
  sockaddr_in6 mine{}, theirs{};
  std::memcpy(&mine, &storage, sizeof(mine));
  std::memcpy(&theirs, &other.storage, sizeof(theirs));
  return IN6_ARE_ADDR_EQUAL(&mine.sin6_addr, &theirs.sin6_addr);
}

std::string Address::text() const {
  return host.find(':') == std::string::npos ? host + ":" + std::to_string(port)
                                             : "[" + host + "]:" + std::to_string(port);
}

Result<Address> parse_address(const std::string& text) {
  Address address;
  std::size_t colon = 0;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string::npos) return malformed(text, "lacks the closing bracket");
    address.host = text.substr(1, end - 1);
    colon = end + 1;
    if (colon >= text.size() || text[colon] != ':') return malformed(text, "has no port");
  } else {
    colon = text.rfind(':');
    if (colon == std::string::npos) return malformed(text, "has no port");
    if (text.find(':') != colon) return malformed(text, "is IPv6 without brackets, or malformed");
    address.host = text.substr(0, colon);
  }
  if (address.host.empty()) return malformed(text, "has no host");
  if (address.host.find_first_of(" \t\r\n/[]") != std::string::npos ||
      address.host.find('\0') != std::string::npos || address.host.size() >= NI_MAXHOST)
    return malformed(text, "has a host that cannot be one");
  const char* const begin = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, address.port);
  if (error != std::errc() || stop != end || address.port == 0)
    return malformed(text, "has a port that is no number from 1 to 65535");
  address.literal = is_literal(address.host);
  if (text.starts_with('[') && !(address.literal && address.host.find(':') != std::string::npos))
    return malformed(text, "has brackets around something that is not an IPv6 address");
  return address;
}

Result<std::vector<SocketAddress>> resolve(const Address& address, int domain) {
  addrinfo hints = numeric_hints();
  if (!address.literal) hints.ai_flags &= ~AI_NUMERICHOST;
  hints.ai_family = domain;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (failed != 0) {
    const std::string why = failed == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(failed);
    return Status(ErrorCode::cluster, "the name in address '" + address.text() +
                                          "' cannot be resolved (" + why +
                                          "): check the name, or write an IP address");
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress next;
    if ((one->ai_family != AF_INET && one->ai_family != AF_INET6) ||
        one->ai_addrlen > sizeof(next.storage))
      continue;
    std::memcpy(&next.storage, one->ai_addr, one->ai_addrlen);
    next.bytes = one->ai_addrlen;
    addresses.push_back(next);
  }
  freeaddrinfo(found);
  if (addresses.empty())
    return Status(ErrorCode::cluster, "address '" + address.text() + "' has no TCP address");
  return addresses;
}

}  // namespace exdb::tcp
