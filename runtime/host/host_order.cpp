// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_order.hpp"

#include <algorithm>

namespace exdb {
namespace {

using namespace std::chrono_literals;

constexpr auto look_for_circles_every = 50ms;
/// A program whose threads close several databases at once is in that state for a moment. As long
/// as members take between hosts: three pings.
constexpr auto sure_longest = 3000ms;

const Elsewhere* find(const std::vector<Elsewhere>& kept, std::uint64_t cluster_id) {
  const auto found = std::find_if(kept.begin(), kept.end(), [cluster_id](const Elsewhere& one) {
    return one.cluster_id == cluster_id;
  });
  return found == kept.end() ? nullptr : &*found;
}

}  // namespace

HostOrder::HostOrder(HostSegment& segment, Closing& closing, std::uint32_t self, std::string name,
                     std::chrono::milliseconds timeout)
    : segment_(segment),
      closing_(closing),
      self_(self),
      name_(std::move(name)),
      sure_after_(timeout.count() > 0 ? std::min(timeout * 3 / 4, sure_longest) : sure_longest) {}

void HostOrder::say(HostSegment& segment, std::uint32_t self, std::uint64_t cluster_id,
                    bool accuses) {
  auto& order = segment.order_of(self);
  (accuses ? order.accuses : order.waits_in).store(cluster_id);
}

Status HostOrder::error(std::uint32_t node, const std::string& kept) const {
  return opposite_order_error({self_, name_, kept, node, false});
}

Status HostOrder::told() const {
  const auto kept = closing_.kept();
  if (kept.empty()) return {};
  for (const auto node : segment_.nodes_here()) {
    if (node == self_) continue;
    if (const auto* const one = find(kept, segment_.order_of(node).accuses.load()))
      return error(node, one->name);
  }
  return {};
}

Status HostOrder::look(Clock::time_point now) {
  const std::unique_lock lock(looking_, std::try_to_lock);
  if (!lock.owns_lock() || now < next_look_) return {};
  next_look_ = now + look_for_circles_every;
  if (auto status = told(); !status.ok()) return status;
  const auto kept = closing_.kept();
  if (kept.empty()) {
    sightings_.clear();
    return {};
  }
  for (const auto node : segment_.nodes_here()) {
    const auto waits_in =
        node == self_ || segment_.gone(node) ? 0 : segment_.order_of(node).waits_in.load();
    const auto* const one = waits_in == 0 ? nullptr : find(kept, waits_in);
    auto& seen = sightings_[node];
    if (one == nullptr) {
      seen = {};
    } else if (seen.cluster_id != waits_in) {
      seen = {waits_in, now};
    } else if (now - seen.since >= sure_after_) {
      closing_.accuse_beside(waits_in);
      return error(node, one->name);
    }
  }
  return {};
}

}  // namespace exdb
