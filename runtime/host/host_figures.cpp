// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_figures.hpp"

#include <type_traits>

namespace exdb {
namespace {

/// Calls each(field) for every number, in one order for both directions.
template <class Figures, class Each>
void numbers(Figures& figures, Each&& each) {
  auto& node = figures.node;
  each(node.rounds), each(node.rounds_empty), each(node.items_sent), each(node.items_received);
  each(node.exchange_ns_total), each(node.exchange_ns_median), each(node.exchange_ns_p99);
  each(node.apply_ns_total), each(node.views), each(node.states_taken);
  auto& transport = figures.transport;
  each(transport.frames_sent), each(transport.frames_received), each(transport.bytes_sent);
  each(transport.bytes_received), each(transport.frames_long), each(transport.collectives);
  each(transport.polls), each(transport.sleeps);
  auto& window = figures.window;
  each(window.bsize_bytes), each(window.length_transactions), each(window.timeout_ms);
  auto& cluster = figures.cluster;
  each(cluster.self), each(cluster.quorum), each(cluster.members_change), each(cluster.view);
  each(cluster.view_by), each(cluster.views), each(cluster.states_taken), each(cluster.rounds);
  each(cluster.rounds_empty), each(cluster.round), each(cluster.slowest_rounds_behind);
}

template <class Traffic, class Each>
void traffic(Traffic& of, Each&& each) {
  each(of.frames_sent), each(of.frames_received), each(of.bytes_sent), each(of.bytes_received);
}

template <class Node, class Each>
void numbers_of_node(Node& of, Each&& each) {
  each(of.self), each(of.active), each(of.reached), each(of.stopped), each(of.rounds_behind);
  traffic(of.traffic, each);
}

}  // namespace

std::vector<std::byte> HostFigures::encode() const {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  const auto put = [&](const auto& number) { out.put_varint(std::uint64_t(number)); };
  numbers(*this, put);
  traffic(cluster.traffic, put);
  out.put_text(cluster.transport);
  put(cluster.slowest ? *cluster.slowest + std::uint64_t{1} : 0);
  put(cluster.nodes.size());
  for (const auto& each : cluster.nodes) numbers_of_node(each, put);
  return bytes;
}

std::optional<HostFigures> HostFigures::decode(Bytes bytes) {
  HostFigures made;
  ByteReader in(bytes);
  const auto get = [&](auto& number) {
    number = static_cast<std::remove_reference_t<decltype(number)>>(in.get_varint());
  };
  numbers(made, get);
  traffic(made.cluster.traffic, get);
  made.cluster.transport = in.get_text();
  std::uint64_t slowest = 0, nodes = 0;
  get(slowest), get(nodes);
  if (slowest != 0) made.cluster.slowest = static_cast<std::uint32_t>(slowest - 1);
  if (nodes > in.remaining()) return std::nullopt;
  made.cluster.nodes.resize(nodes);
  for (auto& each : made.cluster.nodes) numbers_of_node(each, get);
  if (!in.ok()) return std::nullopt;
  return made;
}

}  // namespace exdb
