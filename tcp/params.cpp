// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "params.hpp"

#include <algorithm>
#include <limits>

namespace exdb::tcp {
namespace {

constexpr std::int64_t day_ms = 86'400'000;

Status invalid(const std::string& text) { return {ErrorCode::cluster_invalid_parameter, text}; }

Status in_range(const char* key, std::int64_t value, std::int64_t least, std::int64_t most,
                const char* unit, const char* remedy) {
  if (value >= least && value <= most) return {};
  return invalid(std::string(key) + "=" + std::to_string(value) + " is out of range: give " +
                 std::to_string(least) + " to " + std::to_string(most) + " " + unit + remedy);
}

Status check_numbers(const TcpParams& params) {
  const std::int64_t int_max = std::numeric_limits<int>::max();
  const Status checks[] = {
      in_range("connectTimeout", params.connect_timeout_ms, 1, day_ms, "ms", " (default 5000)"),
      in_range("connectInterval", params.connect_interval_ms, 1, day_ms, "ms", " (default 200)"),
      in_range("socketSendBuf", params.socket_send_buf_bytes, 0, int_max, "bytes",
               " (0 leaves it to the system)"),
      in_range("socketRecvBuf", params.socket_recv_buf_bytes, 0, int_max, "bytes",
               " (0 leaves it to the system)"),
      in_range("keepAliveTime", params.keep_alive_time_ms, 1, day_ms, "ms", " (default 1000)"),
      in_range("keepAliveProbes", params.keep_alive_probes, 1, 1'000'000, "probes",
               " (default 10)")};
  for (const auto& one : checks)
    if (!one) return one;
  if (params.keep_alive_time_ms * params.keep_alive_probes > 365 * day_ms)
    return invalid(
        "keepAliveTime × keepAliveProbes is more than a year: a node that is gone would "
        "never be noticed; give smaller ones");
  if (params.socket_domain != AF_UNSPEC && params.socket_domain != AF_INET &&
      params.socket_domain != AF_INET6)
    return invalid("socketDomain=" + std::to_string(params.socket_domain) +
                   " is no domain of TCP: give socket.AF_INET (" + std::to_string(AF_INET) +
                   "), socket.AF_INET6 (" + std::to_string(AF_INET6) + "), or 0 for both");
  return {};
}

}  // namespace

Result<std::vector<Address>> check(const TcpParams& params) {
  if (params.nodes.empty())
    return invalid(
        "nodes is empty: with nwtype='TCP' give one ClusterNodeParams(addr='host:port') "
        "for each node, the same list on every node");
  if (params.nodes.size() > 4096)
    return invalid("nodes has " + std::to_string(params.nodes.size()) +
                   " entries: a full mesh of links is made for at most 4096");
  if (params.self >= params.nodes.size())
    return invalid("nodeId=" + std::to_string(params.self) + " is no index of nodes, which has " +
                   std::to_string(params.nodes.size()) + " entries: give 0 to " +
                   std::to_string(params.nodes.size() - 1));
  if (Status s = check_numbers(params); !s) return s;
  std::vector<Address> addresses;
  for (std::size_t node = 0; node < params.nodes.size(); ++node) {
    auto address = parse_address(params.nodes[node]);
    if (!address) return invalid("nodes[" + std::to_string(node) + "]: " + address.status().text());
    const bool v6 = address->literal && address->host.find(':') != std::string::npos;
    if (address->literal && params.socket_domain != AF_UNSPEC &&
        v6 != (params.socket_domain == AF_INET6))
      return invalid("nodes[" + std::to_string(node) + "]: address '" + params.nodes[node] +
                     "' is not of the socketDomain that is asked for: change one of them");
    for (std::size_t other = 0; other < node; ++other)
      if (addresses[other].host == address->host && addresses[other].port == address->port)
        return invalid("nodes[" + std::to_string(other) + "] and nodes[" + std::to_string(node) +
                       "] have the same address '" + params.nodes[node] +
                       "': give each node one of its own");
    addresses.push_back(*std::move(address));
  }
  return addresses;
}

}  // namespace exdb::tcp
