// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a Node knows of its cluster, for people.
#include <algorithm>

#include "cluster/node_inside.hpp"

namespace exdb {
namespace {

void add(ClusterTraffic& sum, const ClusterTraffic& more) {
  sum.frames_sent += more.frames_sent;
  sum.frames_received += more.frames_received;
  sum.bytes_sent += more.bytes_sent;
  sum.bytes_received += more.bytes_received;
}

}  // namespace

/// Where membership is fixed all are at the same round but for who has not sent its batch.
void Node::Inside::fill_members(ClusterInfo& info) {
  const auto* const by = member.views();
  if (by == nullptr) {
    for (auto& each : info.nodes) {
      each.active = each.reached && !finished();
      each.stopped = member.fixed().said_stop(MemberId{each.node.node_id});
    }
    for (const auto late : member.fixed().missing()) info.nodes[late.value].rounds_behind = 1;
    return;
  }
  const auto& inner = by->member();
  info.members_change = true;
  if (!inner.was_seated()) return;
  info.view = inner.view().ballot.counter;
  info.view_by = inner.view().ballot.member.value;
  if (!by->seated()) return;
  const auto newest = inner.newest().round;
  for (const auto& seat : inner.view().seats) {
    auto& each = info.nodes[seat.member.value];
    each.active = true;
    const auto applied = each.self ? inner.applied_round() : inner.applied_by(seat.member);
    each.rounds_behind = newest.value - std::min(applied, newest).value;
  }
}

ClusterInfo Node::cluster_info() const {
  auto& in = *inside_;
  ClusterInfo info;
  // First: what was published before this call is of a round that is counted.
  const std::lock_guard lock(in.drive_lock);
  info.self = in.self.value;
  info.transport = in.transport->describe();
  info.quorum = in.quorum.allows();
  info.views = in.views;
  info.states_taken = in.states_taken;
  info.rounds = in.rounds;
  info.rounds_empty = in.rounds_empty;
  info.round = in.applied_;
  for (std::uint32_t node = 0; node < in.transport->size(); ++node) {
    ClusterNodeInfo each;
    each.node = in.info(node);
    each.self = node == in.self.value;
    each.reached = each.self || in.member.quorum().reaches(MemberId{node});
    if (!each.self) each.traffic = in.traffic.of(node);
    add(info.traffic, each.traffic);
    info.nodes.push_back(std::move(each));
  }
  in.fill_members(info);
  for (const auto& each : info.nodes) {
    if (!each.active || each.rounds_behind <= info.slowest_rounds_behind) continue;
    info.slowest = each.node.node_id;
    info.slowest_rounds_behind = each.rounds_behind;
  }
  return info;
}

}  // namespace exdb
