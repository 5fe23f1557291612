// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exposure.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

namespace exdb::tcp {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

bool is_loopback(std::string_view host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  if (same_name(host, "localhost") || same_name(host, "localhost.")) return true;
  const std::string address(host.substr(0, host.find('%')));
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, address.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

Status check_exposure(std::span<const std::string> hosts, const Protection& protection) {
  if (protection.certificates && protection.tls) return {};
  if (protection.secret || protection.insecure_network) return {};
  const auto exposed = std::find_if_not(hosts.begin(), hosts.end(), is_loopback);
  if (exposed == hosts.end()) return {};
  const std::string lack =
      protection.tls
          ? "TLS with this verify_mode asks nobody for a certificate, so anybody could join"
          : "anybody could read along and join";
  return Status(ErrorCode::cluster_invalid_parameter,
                "the address " + *exposed + " can be reached from other hosts, and " + lack +
                    ". In nwparams give ssl_params (with certificates, verify_mode 3), or "
                    "cluster_secret_file (openssl rand -hex 32), or insecure_network=True for a "
                    "network where everybody is trusted");
}

}  // namespace exdb::tcp
