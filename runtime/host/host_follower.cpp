// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_follower.hpp"

#include <cstdio>

#include "exdb/topology.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

constexpr auto warn_follower_after = 10s;
/// A thread that listens for news looks so often whether the leader lives.
constexpr auto listen_cap = 500ms;

FollowerChannel::Options channel_options(const HostFollower::Options& options,
                                         const HostSegment& segment) {
  return {options.timeout, options.in_exchange_max,
          topology().allowed_pus <= segment.followers() + 1};
}

/// Of what is known here a node is reached or not, whoever speaks for it.
QuorumCount count_of(const HostMap& map) { return QuorumCount(map.voters().qranks); }

}  // namespace

HostFollower::HostFollower(std::unique_ptr<HostSegment> segment, HostMap map, std::int32_t leader,
                           Options options)
    : segment_(std::move(segment)),
      map_(std::move(map)),
      options_(std::move(options)),
      leader_(leader),
      channel_(std::make_unique<FollowerChannel>(*segment_, leader_,
                                                 channel_options(options_, *segment_))),
      quorum_(NodeId{map_.self}, count_of(map_), options_.quorum),
      count_(count_of(map_)),
      closing_place_(options_.cluster_id, options_.name,
                     [this](std::uint64_t cluster_id, bool accuses) {
                       HostOrder::say(*segment_, map_.self, cluster_id, accuses);
                     }),
      order_(*segment_, closing_place_, map_.self, options_.name, options_.timeout),
      notifier_(options_.notify) {}

HostFollower::~HostFollower() { close(false); }

void HostFollower::start() {
  if (!options_.notify) return;
  const std::lock_guard lock(thread_lock_);
  thread_ = std::thread([this] { run_notifications(); });
}

Status HostFollower::refusal() const {
  if (auto status = channel_->failure(); !status.ok()) return status;
  if (stopping_)
    return {ErrorCode::cluster_stopped,
            "stop() was called on this node, so nothing can be committed here any more"};
  return {};
}

/// What the leader has lost may not have been looked at here; should it lose more in between, it
/// refuses what comes with the old count.
Quorum& HostFollower::quorum() const {
  const std::lock_guard lock(quorum_lock_);
  const auto changes = segment_->header().presence_changes.load();
  if (changes != presence_seen_) {
    presence_seen_ = changes;
    for (std::uint32_t node = 0; node < map_.hosts.size(); ++node)
      if (node != map_.self) count_.set_reached(MemberId{node}, segment_->present(node));
    quorum_.update(count_);
  }
  return quorum_;
}

Status HostFollower::submit(const std::shared_ptr<PendingItem>& item) {
  closing_place_.used();
  if (auto status = refusal(); !status.ok()) return status;
  if (auto status = quorum().check(); !status.ok()) return status;
  item->overrules_quorum = !quorum_.allows();
  return channel_->send(item);
}

bool HostFollower::try_submit(RoundItem::Kind kind, std::uint64_t sequence, Bytes bytes,
                              int priority) {
  if (!refusal().ok()) return false;
  if (kind != RoundItem::Kind::discard && !quorum().known_to_allow()) return false;
  return channel_->try_send(kind, sequence, bytes, priority);
}

ItemOutcome HostFollower::wait(PendingItem& item) { return channel_->wait(item); }

Status HostFollower::wait_applied(const std::function<bool()>& there, const std::string& what,
                                  bool may_never_come, const std::atomic<bool>& wanted) {
  if (there()) return {};
  const auto limit = options_.timeout;
  const auto until =
      may_never_come && limit.count() > 0 ? Clock::now() + limit : Clock::time_point::max();
  const auto over = [&] { return there() || !wanted || left_ || Clock::now() >= until; };
  if (auto status = channel_->wait_on(segment_->header().news, over); !status.ok()) return status;
  if (there()) return {};
  if (Clock::now() >= until)
    return {ErrorCode::timeout, what + " was not published within " +
                                    std::to_string(limit.count()) +
                                    " ms: is it a token of this database?"};
  return {ErrorCode::cluster_stopped,
          "the database was closed while a transaction waited for " + what};
}

Status HostFollower::wait_fresh(const std::atomic<bool>& wanted) {
  auto& header = segment_->header();
  closing_place_.used();
  // Before anything that waits: HostSegment I2.
  const auto target = options_.fresh_rule ? header.posted.load() : 0;
  // After the common end this process has it all.
  if (auto status = channel_->look(); !status.ok() && segment_->phase() != HostPhase::stopped)
    return status;
  if (auto status = quorum().check(); !status.ok()) return status;
  return wait_applied([&] { return header.applied.load() >= target; }, "the newest state", false,
                      wanted);
}

Result<std::vector<std::byte>> HostFollower::ask(HostQuestion question, Bytes bytes) const {
  return channel_->ask(static_cast<std::uint32_t>(question), bytes);
}

Status HostFollower::listen() {
  auto& header = segment_->header();
  const auto over = [&] {
    return closing_.load() || left_.load() || header.phase.load() != HostPhase::serving;
  };
  while (!over() && channel_->look().ok()) header.changes.sleep(listen_cap, over);
  const auto status = channel_->look();
  return status.code() == ErrorCode::cluster_stopped ? Status() : status;
}

bool HostFollower::progress() {
  const bool any = channel_->drain();
  if (!any) (void)channel_->look();
  return any;
}

void HostFollower::say(FollowerState state) {
  auto& own = segment_->line(segment_->own_index()).state;
  // What the leader has found dead stays so.
  auto now = own.load();
  while (now != FollowerState::left && now != FollowerState::dead &&
         !own.compare_exchange_weak(now, state)) {
  }
  segment_->tell_leader();
}

Status HostFollower::stop(std::optional<std::chrono::milliseconds> deadline) {
  const auto began = Clock::now();
  const auto until = deadline ? began + *deadline : Clock::time_point::max();
  auto next_warning = began + warn_follower_after;
  if (auto status = channel_->failure(); !status.ok())
    return status.code() == ErrorCode::cluster_stopped && !left_ ? Status() : status;
  if (!stopping_.exchange(true)) {
    quorum_.end();
    say(FollowerState::stopped);
  }
  auto& header = segment_->header();
  const Closing::Waiting waiting(closing_place_);
  Status opposite;
  const auto over = [&] {
    const auto now = Clock::now();
    opposite = order_.look(now);
    return !opposite.ok() || left_.load() || now >= std::min(until, next_warning) ||
           header.phase.load() != HostPhase::serving;
  };
  while (true) {
    auto status = channel_->wait_on(header.changes, over);
    if (opposite.ok()) opposite = order_.told();
    if (!opposite.ok()) {
      leave(0ms);
      return opposite;
    }
    if (status.ok() && header.phase.load() != HostPhase::serving) status = channel_->look();
    if (left_)
      return {ErrorCode::interrupted,
              "stop() was interrupted: the node left the cluster before all others had stopped"};
    if (!status.ok()) return status.code() == ErrorCode::cluster_stopped ? Status() : status;
    const auto now = Clock::now();
    const auto waited = std::to_string((now - began) / 1ms) + " ms for node " +
                        std::to_string(map_.leader()) +
                        ", the leader of this host, and all nodes it waits for";
    if (now >= until) {
      leave(0ms);
      return {ErrorCode::timeout,
              "stop() waited " + waited + " to call stop() or close() too; this node has left"};
    }
    if (now < next_warning) continue;
    next_warning = began + 2 * (next_warning - began);
    std::fprintf(stderr, "exdb[node %u] warning: stop() has waited %s\n", map_.self,
                 waited.c_str());
  }
}

/// What is in the ring is not taken back: the leader drops what it has not submitted.
void HostFollower::leave(std::chrono::milliseconds /*cap*/) {
  quorum_.end();
  const bool over = !channel_->look().ok();
  if (left_.exchange(true)) return;
  stopping_ = true;
  if (!over) say(FollowerState::left);
  channel_->fail(
      {ErrorCode::cluster_stopped, "this node has left the cluster: open the database again"});
}

void HostFollower::close(bool /*collective*/) {
  leave(0ms);
  closing_ = true;
  segment_->header().changes.wake();
  std::thread thread;
  {
    const std::lock_guard lock(thread_lock_);
    thread.swap(thread_);
  }
  if (thread.joinable()) {
    if (thread.get_id() == std::this_thread::get_id())
      thread.detach();
    else
      thread.join();
  }
  notifier_.close();
}

void HostFollower::set_window(const ClusterWindow& /*window*/) {
  throw Error(ErrorCode::unsupported, "the window of a host is its leader's: set it on node " +
                                          std::to_string(map_.leader()) +
                                          " (with is_shm one process of a host exchanges)");
}

ClusterWindow HostFollower::window() const {
  const auto known = figures();
  return known ? known->window : ClusterWindow{};
}

Status HostFollower::failure() const { return channel_->failure(); }

NodeState HostFollower::state() const {
  using Phase = NodeState::Phase;
  NodeState state;
  const auto status = channel_->look();
  state.text = status.text();
  if (left_) {
    state.phase = Phase::left;
  } else if (status.code() == ErrorCode::cluster_stopped) {
    state.phase = Phase::stopped;
  } else if (!status.ok()) {
    state.phase = Phase::failed;
  } else if (stopping_) {
    state.phase = Phase::stopping;
    state.text = refusal().text();
  }
  const Quorum& now = quorum();
  const bool counts = now.allows() || now.callback_decides();
  state.writes = state.phase == Phase::open && counts;
  state.fresh_reads = state.phase != Phase::left && state.phase != Phase::failed && counts;
  if (state.text.empty() && !now.allows()) state.text = now.explain();
  return state;
}

std::optional<HostFigures> HostFollower::figures() const {
  auto bytes = ask(HostQuestion::figures, {});
  return bytes.ok() ? HostFigures::decode(*bytes) : std::nullopt;
}

NodeStatistics HostFollower::statistics() const {
  const auto known = figures();
  return known ? known->node : NodeStatistics{};
}

TransportStatistics HostFollower::transport_statistics() const {
  const auto known = figures();
  return known ? known->transport : TransportStatistics{};
}

/// Without the leader nobody is reached.
ClusterInfo HostFollower::cluster_info() const {
  auto known = figures();
  ClusterInfo info;
  if (known) info = std::move(known->cluster);
  info.nodes.resize(map_.leaders.size());
  return map_.of_nodes(std::move(info), [this](auto node) { return segment_->present(node); });
}

void HostFollower::tell_presence(std::vector<bool>& known) {
  for (std::uint32_t node = 0; node < known.size(); ++node) {
    const bool present = node != map_.self && segment_->present(node) && channel_->failure().ok();
    if (present == known[node]) continue;
    known[node] = present;
    notifier_.tell(present ? Notification::connect : Notification::disconnect, map_.info(node));
  }
}

void HostFollower::run_notifications() {
  std::vector<bool> known(map_.hosts.size(), false);
  auto& header = segment_->header();
  while (true) {
    const auto changes = header.presence_changes.load();
    tell_presence(known);
    const auto over = [&] { return closing_.load() || !channel_->failure().ok(); };
    if (over()) break;
    header.changes.sleep(listen_cap, [&] {
      return over() || header.presence_changes.load() != changes ||
             header.phase.load() != HostPhase::serving;
    });
    (void)channel_->look();
  }
  tell_presence(known);
}

}  // namespace exdb
