// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "virtual_network.hpp"

#include <algorithm>

namespace exdb::simulation {
namespace {

using namespace std::chrono_literals;

}  // namespace

VirtualNetwork::VirtualNetwork(std::uint32_t nodes, Clock& clock, Random& random, NetworkUser& user)
    : nodes_(nodes),
      clock_(clock),
      random_(random),
      user_(user),
      up_(nodes),
      pairs_(std::size_t(nodes) * nodes) {
  for (auto& pair : pairs_)
    for (auto& way : pair.ways) way = std::make_shared<Way>();
}

void VirtualNetwork::send(std::uint32_t from, std::uint32_t to, Frame frame) {
  auto& both = pair(from, to);
  if (both.epoch % 2 == 0 || !both.told[from < to ? 0 : 1]) return;
  const auto& shared = both.ways[from < to ? 0 : 1];
  auto& way = *shared;
  auto delay = way.pace + way.extra + random_.within(way.pace);
  if (random_.one_in(400)) delay += random_.within(40ms);
  const auto arrival = std::max({way.last_arrival, clock_.now() + delay, way.not_before});
  way.last_arrival = arrival;
  way.under_way.push_back(std::move(frame));
  clock_.at(arrival, [this, from, to, shared] { deliver(from, to, shared); });
}

/// The oldest frame that is under way; a stall holds back all of them.
void VirtualNetwork::deliver(std::uint32_t from, std::uint32_t to,
                             const std::shared_ptr<Way>& way) {
  if (clock_.now() > way->cut_off) return;
  if (clock_.now() < way->not_before)
    return clock_.at(way->not_before, [this, from, to, way] { deliver(from, to, way); });
  const auto frame = std::move(way->under_way.front());
  way->under_way.pop_front();
  if (up_[to]) user_.on_frame(to, from, frame);
}

void VirtualNetwork::node_up(std::uint32_t node) {
  up_[node] = true;
  for (std::uint32_t other = 0; other < nodes_; ++other)
    if (other != node) connect_if_possible(node, other);
}

void VirtualNetwork::node_down(std::uint32_t node, bool silent) {
  for (std::uint32_t other = 0; other < nodes_; ++other)
    if (other != node) disconnect(node, other, true, silent);
  up_[node] = false;
}

void VirtualNetwork::cut(std::uint32_t one, std::uint32_t other) {
  ++pair(one, other).cuts;
  disconnect(one, other, false, false);
}

void VirtualNetwork::cut_all_but_to(std::uint32_t lucky) {
  for (std::uint32_t one = 0; one < nodes_; ++one)
    for (std::uint32_t other = one + 1; other < nodes_; ++other) {
      ++pair(one, other).cuts;
      disconnect(one, other, false, false, lucky);
    }
}

void VirtualNetwork::heal(std::uint32_t one, std::uint32_t other) {
  auto& both = pair(one, other);
  if (both.cuts > 0 && --both.cuts == 0) connect_if_possible(one, other);
}

void VirtualNetwork::heal_all() {
  for (std::uint32_t one = 0; one < nodes_; ++one)
    for (std::uint32_t other = one + 1; other < nodes_; ++other) {
      auto& both = pair(one, other);
      for (auto& way : both.ways) way->extra = 0ns;
      if (std::exchange(both.cuts, 0) > 0) connect_if_possible(one, other);
    }
}

void VirtualNetwork::stall(std::uint32_t from, std::uint32_t to, Time until) {
  auto& stalled = way(from, to);
  stalled.not_before = std::max(stalled.not_before, until);
}

/// Of what is on its way a part still arrives: a prefix, in each direction another one.
void VirtualNetwork::disconnect(std::uint32_t one, std::uint32_t other, bool silent_one,
                                bool silent_other, std::optional<std::uint32_t> lucky) {
  auto& both = pair(one, other);
  if (both.epoch % 2 == 0) return;
  ++both.epoch;
  const auto now = clock_.now();
  for (const auto& [node, peer, silent] :
       {std::tuple(one, other, silent_one), std::tuple(other, one, silent_other)}) {
    auto& in = way(peer, node);
    const auto left = std::max(in.last_arrival - now, Time(0));
    in.cut_off = now + (random_.one_in(2) ? random_.within(left) : 0ns);
    in.cut_off = std::min(in.cut_off, now + 30ms);
    if (lucky) in.cut_off = node == *lucky ? now + left : now - 1ns;
    if (node == one && silent_one) in.cut_off = now - 1ns;  // nobody is there to hear it
    const auto heard_at = in.cut_off + random_.within(10ms);
    both.free_at = std::max(both.free_at, heard_at);
    if (!silent) tell_down(node, peer, heard_at);
  }
}

void VirtualNetwork::tell_down(std::uint32_t node, std::uint32_t other, Time at) {
  const auto epoch = pair(node, other).epoch;
  clock_.at(at, [this, node, other, epoch] {
    auto& both = pair(node, other);
    auto& told = both.told[node < other ? 0 : 1];
    if (both.epoch != epoch || !told) return;
    told = false;
    if (up_[node]) user_.on_link(node, other, false);
  });
}

void VirtualNetwork::connect_if_possible(std::uint32_t one, std::uint32_t other) {
  const auto& both = pair(one, other);
  if (!up_[one] || !up_[other] || both.cuts > 0 || both.epoch % 2 == 1) return;
  const auto epoch = both.epoch;
  const auto at = std::max(both.free_at, clock_.now()) + 1ms + random_.within(20ms);
  clock_.at(at, [this, one, other, epoch] {
    auto& now = pair(one, other);
    if (now.epoch == epoch && now.cuts == 0 && up_[one] && up_[other]) connect(one, other);
  });
}

void VirtualNetwork::connect(std::uint32_t one, std::uint32_t other) {
  auto& both = pair(one, other);
  ++both.epoch;
  const auto epoch = both.epoch;
  for (auto& way : both.ways) {
    way = std::make_shared<Way>();
    way->pace = 50us + random_.within(random_.one_in(8) ? 3ms : 600us);
  }
  for (const auto& [node, peer] : {std::pair(one, other), std::pair(other, one)}) {
    auto& told = both.told[node < peer ? 0 : 1];
    // It did not hear of the break.
    if (std::exchange(told, false)) user_.on_link(node, peer, false);
    const auto at = clock_.now() + random_.within(3ms);
    way(peer, node).not_before = at;
    clock_.at(at, [this, n = node, p = peer, epoch] {
      auto& now = pair(n, p);
      if (now.epoch != epoch || !up_[n]) return;
      now.told[n < p ? 0 : 1] = true;
      user_.on_link(n, p, true);
    });
  }
}

}  // namespace exdb::simulation
