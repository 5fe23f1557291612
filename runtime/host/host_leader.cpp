// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_leader.hpp"

#include <cstdio>

#include "exdb/topology.hpp"
#include "host/host_figures.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

constexpr auto warn_leader_after = 10s;
/// How late a thread that waits in stop sees that the last follower has stopped.
constexpr auto look_every = 20ms;
constexpr auto leave_cap = 1000ms;

}  // namespace

HostLeader::HostLeader(std::unique_ptr<HostSegment> segment, HostMap map,
                       std::unique_ptr<Transport> transport, RoundConsumer& consumer,
                       Node::Options options, Hooks hooks)
    : segment_(std::move(segment)),
      map_(std::move(map)),
      hooks_(std::move(hooks)),
      notifier_(options.notify),
      told_gone_(map_.hosts.size()),
      closing_(std::make_shared<Closing>(options.cluster_id, options.name,
                                         [this](std::uint64_t cluster_id, bool accuses) {
                                           HostOrder::say(*segment_, map_.self, cluster_id,
                                                          accuses);
                                         })),
      order_(*segment_, *closing_, map_.self, options.name, options.timeout) {
  const auto timeout = options.timeout;
  node_ = std::make_unique<Node>(std::move(transport), consumer, of_hosts(std::move(options)));
  HostRelay::Hooks relayed;
  relayed.answer = [this](std::uint32_t question, Bytes bytes) {
    if (question != static_cast<std::uint32_t>(HostQuestion::figures))
      return hooks_.answer(question, bytes);
    return HostFigures{node_->statistics(), node_->transport_statistics(), node_->window(),
                       node_->cluster_info()}
        .encode();
  };
  relayed.reap = [this] {
    const std::lock_guard lock(node_->drive_lock());
    hooks_.reap();
  };
  relayed.gone = [this](std::uint32_t node) { tell_gone(node); };
  relayed.explain = map_.explain();
  if (timeout.count() > 0) relayed.beat = std::min(relayed.beat, timeout / 4 + 1ms);
  const bool crowded = topology().allowed_pus <= segment_->followers() + 1;
  relay_ = std::make_unique<HostRelay>(*segment_, *node_, crowded, std::move(relayed));
}

/// The relay uses the node, and ends when that has.
HostLeader::~HostLeader() { close(false); }

/// What a callback of this process is told about members, it is told of their nodes.
Node::Options HostLeader::of_hosts(Node::Options options) {
  options.nodes = map_.members();
  options.voters = map_.voters();
  options.observer = this;
  options.closing = closing_;
  options.in_exchange_max *= segment_->followers() + 1;
  if (options.notify) {
    options.notify = [this](Notification what, const NodeInfo& member) {
      for (const auto node : map_.nodes_of(member.node_id)) {
        if (what == Notification::disconnect)
          tell_gone(node);
        else
          notifier_.tell(what, map_.info(node));
      }
    };
  }
  return options;
}

void HostLeader::start(bool own_listener) {
  for (const auto node : map_.followers()) notifier_.tell(Notification::connect, map_.info(node));
  node_->start(own_listener);
  relay_->start();
}

void HostLeader::posting(Round round) { segment_->header().posted.store(round.value); }

void HostLeader::applied(Round round) {
  segment_->header().applied.store(round.value);
  segment_->header().news.wake();
}

void HostLeader::lost(MemberId member) {
  for (const auto node : map_.nodes_of(member.value)) segment_->set_present(node, false);
}

/// Those of this host the relay has told of before.
void HostLeader::origin_gone(MemberId member, NodeId origin) {
  if (origin.value >= map_.hosts.size() || map_.hosts[origin.value] != member.value ||
      member.value == map_.host())
    return;
  segment_->set_present(origin.value, false);
  tell_gone(origin.value);
}

void HostLeader::tell_gone(std::uint32_t node) {
  if (!told_gone_[node].exchange(true)) notifier_.tell(Notification::disconnect, map_.info(node));
}

void HostLeader::finished() { segment_->tell_leader(); }

Status HostLeader::wait_for_followers(Clock::time_point until) {
  const auto began = Clock::now();
  auto next_warning = began + warn_leader_after;
  while (relay_->busy() != 0 && !node_->finished()) {
    const auto now = Clock::now();
    if (auto status = order_.look(now); !status.ok()) return status;
    if (now >= until)
      return {ErrorCode::timeout,
              "stop() waited for " + relay_->running_names() +
                  " of this host to call stop() or close() too; this node has left"};
    if (now >= next_warning) {
      next_warning = began + 2 * (next_warning - began);
      std::fprintf(stderr,
                   "exdb[node %u] warning: stop() waits for %s of this host to call stop() or "
                   "close() too, for %lld s so far\n",
                   map_.self, relay_->running_names().c_str(),
                   static_cast<long long>((now - began) / 1s));
    }
    (void)node_->drive([this] { return relay_->busy() == 0; }, std::min(until, now + look_every));
  }
  return order_.told();
}

Status HostLeader::stop(std::optional<std::chrono::milliseconds> deadline) {
  const auto until = deadline ? Clock::now() + *deadline : Clock::time_point::max();
  stopping_ = true;
  const Closing::Waiting waiting(*closing_);
  if (auto status = wait_for_followers(until); !status.ok()) {
    leave(leave_cap);
    return status;
  }
  if (deadline)
    deadline =
        std::max(0ms, std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()));
  return explained(node_->stop(deadline));
}

void HostLeader::leave(std::chrono::milliseconds cap) {
  stopping_ = true;
  if (!node_->finished()) relay_->note_left();
  node_->leave(cap);
}

void HostLeader::close(bool collective) {
  node_->close(collective);
  relay_->end();
  notifier_.close();
}

NodeState HostLeader::state() const {
  auto state = node_->state();
  if (state.phase == NodeState::Phase::failed) state.text += map_.explain();
  if (state.phase != NodeState::Phase::open || !stopping_) return state;
  state.phase = NodeState::Phase::stopping;
  state.writes = false;
  state.text = "stop() was called on this node; it serves the others of its host until they stop";
  return state;
}

ClusterInfo HostLeader::cluster_info() const {
  return map_.of_nodes(node_->cluster_info(),
                       [this](auto node) { return segment_->present(node); });
}

}  // namespace exdb
