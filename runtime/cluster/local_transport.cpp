// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/local_transport.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "base/assert.hpp"
#include "exdb/collective_gather.hpp"
#include "exdb/large_buffers.hpp"
#include "exdb/transport_counters.hpp"

namespace exdb {
namespace {

using Clock = std::chrono::steady_clock;

/// A frame, or news of the node that the link comes from.
struct Arrival {
  enum class Kind : std::uint8_t { frame, gone, up };
  Clock::time_point from_when;
  Frame frame;
  Kind kind = Kind::frame;
  std::uint32_t incarnation = 0;  ///< of a node that is up
};

struct Link {
  std::deque<Arrival> arrivals;
  UnderWay under_way;

  void push(Arrival arrival) {
    if (arrival.frame) under_way.add(arrival.frame->size());
    arrivals.push_back(std::move(arrival));
  }
  Arrival pop() {
    auto arrival = std::move(arrivals.front());
    arrivals.pop_front();
    if (arrival.frame) {
      --under_way.frames;
      under_way.bytes -= arrival.frame->size();
    }
    return arrival;
  }
};

/// What has arrived for one node and was not polled yet.
struct Inbox {
  explicit Inbox(std::uint32_t nodes) : links(nodes) {}
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Link> links;  ///< by sender
  bool woken = false;
  std::atomic<std::uint64_t> waiting{0};  ///< arrivals: so that an idle poll takes no lock

  void push(std::uint32_t from, Arrival arrival) {
    const std::lock_guard lock(mutex);
    auto& link = links[from];
    if (!link.arrivals.empty())
      arrival.from_when = std::max(arrival.from_when, link.arrivals.back().from_when);
    link.push(std::move(arrival));
    ++waiting;
    changed.notify_all();
  }
};

}  // namespace

struct LocalNetwork::Hub {
  explicit Hub(const Options& wanted)
      : options(wanted),
        random(wanted.seed),
        inboxes(wanted.nodes),
        silent(wanted.nodes),
        incarnations(wanted.nodes),
        crashed(wanted.nodes),
        gathers(wanted.nodes),
        broadcasts(wanted.nodes),
        removed_at(wanted.nodes, ~0ULL) {
    for (auto& inbox : inboxes) inbox = std::make_shared<Inbox>(wanted.nodes);
  }

  void deliver(std::uint32_t from, std::uint32_t to, const Frame& frame);
  void tell_others(std::uint32_t node, Arrival::Kind kind);
  [[nodiscard]] UnderWay under_way(std::uint32_t from, std::uint32_t to);
  void deliver_complete_exchanges();

  const Options options;
  std::mutex mutex;  ///< before an inbox's
  std::condition_variable gather_changed;
  std::mt19937_64 random;
  // A restarted node gets an inbox of its own; a thread of the crashed one may sleep on the old.
  std::vector<std::shared_ptr<Inbox>> inboxes;
  std::vector<std::atomic<bool>> silent;
  std::vector<std::atomic<std::uint32_t>> incarnations;
  std::vector<bool> crashed;
  struct Gather {
    std::vector<std::vector<std::byte>> blocks;
    std::vector<bool> there;
  };
  std::deque<Gather> gathered;            ///< one after the other
  std::vector<std::size_t> gathers;       ///< that each node has begun
  std::vector<std::uint64_t> broadcasts;  ///< made by each node
  std::deque<std::vector<Frame>> exchanges;
  std::uint64_t exchanges_done = 0;
  std::vector<std::uint64_t> removed_at;  ///< first exchange without this node
};

void LocalNetwork::Hub::deliver(std::uint32_t from, std::uint32_t to, const Frame& frame) {
  if (silent[from] || silent[to]) return;
  auto when = Clock::time_point::min();
  if (options.delay_max.count() > 0)
    when = Clock::now() +
           std::chrono::microseconds(random() % std::uint64_t(options.delay_max.count() + 1));
  inboxes[to]->push(from, {when, frame});
}

void LocalNetwork::Hub::tell_others(std::uint32_t node, Arrival::Kind kind) {
  for (std::uint32_t other = 0; other < options.nodes; ++other)
    if (other != node)
      inboxes[other]->push(node,
                           {Clock::time_point::min(), nullptr, kind, incarnations[node].load()});
}

/// With to == from: the exchanges that this node has begun and others have not joined.
UnderWay LocalNetwork::Hub::under_way(std::uint32_t from, std::uint32_t to) {
  if (to != from) {
    auto& inbox = *inboxes[to];
    const std::lock_guard lock(inbox.mutex);
    return inbox.links[from].under_way;
  }
  UnderWay mine;
  for (const auto& frames : exchanges)
    if (frames[from]) mine.add(frames[from]->size());
  return mine;
}

void LocalNetwork::Hub::deliver_complete_exchanges() {
  while (!exchanges.empty()) {
    auto& frames = exchanges.front();
    for (std::uint32_t node = 0; node < options.nodes; ++node)
      if (!frames[node] && removed_at[node] > exchanges_done) return;
    for (std::uint32_t from = 0; from < options.nodes; ++from)
      for (std::uint32_t to = 0; to < options.nodes; ++to)
        if (frames[from] && from != to && removed_at[to] > exchanges_done)
          deliver(from, to, frames[from]);
    exchanges.pop_front();
    ++exchanges_done;
  }
}

class LocalNetwork::Endpoint final : public Transport, private CollectiveGather {
 public:
  Endpoint(std::shared_ptr<Hub> hub, std::uint32_t self)
      : hub_(std::move(hub)),
        self_(self),
        incarnation_(hub_->incarnations[self]),
        inbox_(hub_->inboxes[self]),
        removed_(hub_->options.nodes) {}
  ~Endpoint() override { Endpoint::close(false); }

  std::uint32_t self() const override { return self_; }
  std::uint32_t size() const override { return hub_->options.nodes; }
  std::string describe() const override {
    return "in process (" + std::to_string(size()) + " nodes)";
  }
  bool broadcast_is_collective() const override { return hub_->options.collective; }
  bool crowded() const override { return 2 * size() > std::thread::hardware_concurrency(); }

  CollectiveGather* gather() override {
    return hub_->options.gather && incarnation_ == 0 ? this : nullptr;
  }
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  bool has_room(std::uint32_t node) const override;
  std::size_t send_bound_bytes() const override { return hub_->options.send_bound_bytes; }
  void remove(std::uint32_t node) override;
  Status add(std::uint32_t node) override;
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override;
  bool wakes() const override { return true; }
  TransportStatistics statistics() const override { return counters_.statistics(); }
  void close(bool collective) override;

 private:
  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override;
  Status usable() const;
  std::vector<Arrival> take_due(std::vector<std::uint32_t>& senders);
  /// REQUIRES: the hub's mutex.
  std::optional<std::uint32_t> first_without_room() const;
  void count_sent(const Frame& frame, std::uint64_t copies) {
    counters_.count_sent(copies, frame->size(), frame->size() > hub_->options.buffer_bytes);
  }

  std::shared_ptr<Hub> hub_;
  const std::uint32_t self_, incarnation_;
  const std::shared_ptr<Inbox> inbox_;
  std::vector<bool> removed_;
  std::atomic<bool> closed_{false};
  TransportCounters counters_;
};

Status LocalNetwork::Endpoint::usable() const {
  if (closed_) return {ErrorCode::cluster, "the in-process transport is closed"};
  // Silent alone is no failure: who is muted does not know. A crash counts the incarnation up.
  if (hub_->incarnations[self_] != incarnation_)
    return {ErrorCode::cluster, "node " + std::to_string(self_) + " was crashed by its test"};
  return {};
}

Result<std::vector<std::vector<std::byte>>> LocalNetwork::Endpoint::collective_gather(
    std::span<const std::byte> mine, std::chrono::milliseconds deadline) {
  std::unique_lock lock(hub_->mutex);
  const auto number = hub_->gathers[self_]++;
  if (hub_->gathered.size() == number) {
    hub_->gathered.emplace_back();
    hub_->gathered.back().blocks.resize(size());
    hub_->gathered.back().there.resize(size());
  }
  auto& gather = hub_->gathered[number];
  gather.blocks[self_].assign(mine.begin(), mine.end());
  gather.there[self_] = true;
  hub_->gather_changed.notify_all();
  const auto all_there = [&] {
    return std::find(gather.there.begin(), gather.there.end(), false) == gather.there.end();
  };
  if (deadline.count() <= 0) {
    hub_->gather_changed.wait(lock, all_there);
    return gather.blocks;
  }
  if (hub_->gather_changed.wait_for(lock, deadline, all_there)) return gather.blocks;
  std::string who;
  for (std::uint32_t node = 0; node < size(); ++node)
    if (!gather.there[node]) who += " " + std::to_string(node);
  return Status(ErrorCode::timeout, "open: waited for node" + who + " of " +
                                        std::to_string(size()) + ": it has not called open");
}

Status LocalNetwork::Endpoint::send(std::uint32_t to, Frame frame) {
  EXDB_ASSERT(to < size() && to != self_, "a frame is for one of the other nodes");
  if (auto status = usable(); !status.ok()) return status;
  const std::lock_guard lock(hub_->mutex);
  if (const auto there = hub_->under_way(self_, to); !there.leaves_room(send_bound_bytes()))
    return no_room_for(to, there);
  count_sent(frame, 1);
  hub_->deliver(self_, to, frame);
  return {};
}

/// The first node that a broadcast cannot be handed to; this one itself in collective mode.
std::optional<std::uint32_t> LocalNetwork::Endpoint::first_without_room() const {
  for (std::uint32_t to = 0; to < size(); ++to) {
    const bool concerned = hub_->options.collective ? to == self_ : to != self_ && !removed_[to];
    if (concerned && !hub_->under_way(self_, to).leaves_room(send_bound_bytes())) return to;
  }
  return std::nullopt;
}

Status LocalNetwork::Endpoint::broadcast(Frame frame) {
  if (auto status = usable(); !status.ok()) return status;
  const auto others = std::count(removed_.begin(), removed_.end(), false) - 1;
  const std::lock_guard lock(hub_->mutex);
  if (const auto full = first_without_room())
    return no_room_for(*full, hub_->under_way(self_, *full));
  count_sent(frame, std::uint64_t(others));
  if (hub_->options.collective) {
    counters_.collectives.add(1);
    const auto at = hub_->broadcasts[self_]++ - hub_->exchanges_done;
    if (hub_->exchanges.size() <= at) hub_->exchanges.resize(at + 1, std::vector<Frame>(size()));
    hub_->exchanges[at][self_] = frame;
    hub_->deliver_complete_exchanges();
    return {};
  }
  for (std::uint32_t to = 0; to < size(); ++to)
    if (to != self_ && !removed_[to]) hub_->deliver(self_, to, frame);
  return {};
}

bool LocalNetwork::Endpoint::has_room(std::uint32_t node) const {
  const std::lock_guard lock(hub_->mutex);
  if (node == self_) return !first_without_room();
  return hub_->under_way(self_, node).leaves_room(send_bound_bytes());
}

void LocalNetwork::Endpoint::remove(std::uint32_t node) {
  removed_[node] = true;
  const std::lock_guard lock(hub_->mutex);
  auto& at = hub_->removed_at[node];
  if (hub_->options.collective && node != self_) {
    EXDB_ASSERT(at == ~0ULL || at == hub_->broadcasts[self_],
                "all nodes remove a node at the same point of the order of broadcasts");
    at = hub_->broadcasts[self_];
  }
  hub_->deliver_complete_exchanges();
}

Status LocalNetwork::Endpoint::add(std::uint32_t node) {
  if (auto status = usable(); !status.ok()) return status;
  if (!can_rejoin())
    return {ErrorCode::unsupported, "node " + std::to_string(node) +
                                        " cannot come back: broadcasts are collective, and one "
                                        "that it has begun never completes"};
  removed_[node] = false;
  return {};
}

/// What has arrived by now, each with its sender, in the order of each link.
std::vector<Arrival> LocalNetwork::Endpoint::take_due(std::vector<std::uint32_t>& senders) {
  std::vector<Arrival> due;
  const std::lock_guard lock(inbox_->mutex);
  const auto now = Clock::now();
  for (std::uint32_t from = 0; from < size(); ++from) {
    auto& link = inbox_->links[from];
    while (!link.arrivals.empty() && link.arrivals.front().from_when <= now) {
      due.push_back(link.pop());
      senders.push_back(from);
    }
  }
  inbox_->waiting -= due.size();
  return due;
}

Status LocalNetwork::Endpoint::poll(FrameSink& sink, bool& any) {
  counters_.polls.add(1);
  if (auto status = usable(); !status.ok()) return status;
  if (inbox_->waiting.load(std::memory_order_acquire) == 0) return {};
  std::vector<std::uint32_t> senders;
  // Taken out first: a sink may send, and sending locks.
  const auto due = take_due(senders);
  any |= !due.empty();
  for (std::size_t i = 0; i < due.size(); ++i) {
    switch (due[i].kind) {
      case Arrival::Kind::frame:
        counters_.count_received(due[i].frame->size());
        if (due[i].frame->size() >= LargeBuffers::buffer_bytes_min)
          sink.on_whole_frame(senders[i], due[i].frame);
        else
          sink.on_frame(senders[i], *due[i].frame);
        break;
      case Arrival::Kind::gone:
        sink.on_gone(senders[i]);
        break;
      case Arrival::Kind::up:
        sink.on_up(senders[i], due[i].incarnation);
        break;
    }
  }
  return {};
}

void LocalNetwork::Endpoint::wait(std::chrono::nanoseconds cap) {
  counters_.sleeps.add(1);
  std::unique_lock lock(inbox_->mutex);
  const auto deadline = Clock::now() + cap;
  while (!inbox_->woken && !closed_) {
    const auto now = Clock::now();
    auto until = deadline;
    for (const auto& link : inbox_->links)
      if (!link.arrivals.empty()) until = std::min(until, link.arrivals.front().from_when);
    if (until <= now) break;
    inbox_->changed.wait_until(lock, until);
  }
  inbox_->woken = false;
}

void LocalNetwork::Endpoint::wake() {
  const std::lock_guard lock(inbox_->mutex);
  inbox_->woken = true;
  inbox_->changed.notify_all();
}

/// Frames on their way lie in their receiver's inbox already, so there is nothing to wait for in
/// either way of closing.
void LocalNetwork::Endpoint::close(bool /*collective*/) {
  if (closed_.exchange(true)) return;
  wake();
}

LocalNetwork::LocalNetwork(const Options& options) : hub_(std::make_shared<Hub>(options)) {}
LocalNetwork::~LocalNetwork() = default;

std::unique_ptr<Transport> LocalNetwork::endpoint(std::uint32_t node) {
  return std::make_unique<Endpoint>(hub_, node);
}

void LocalNetwork::mute(std::uint32_t node) { hub_->silent[node] = true; }

void LocalNetwork::unmute(std::uint32_t node) { hub_->silent[node] = false; }

void LocalNetwork::crash(std::uint32_t node) {
  const std::lock_guard lock(hub_->mutex);
  if (hub_->crashed[node]) return;
  hub_->crashed[node] = hub_->silent[node] = true;
  ++hub_->incarnations[node];
  hub_->tell_others(node, Arrival::Kind::gone);
}

std::unique_ptr<Transport> LocalNetwork::restart(std::uint32_t node) {
  const std::lock_guard lock(hub_->mutex);
  EXDB_ASSERT(hub_->crashed[node] && !hub_->options.collective,
              "a node comes back after a crash, where broadcasts are not collective");
  hub_->crashed[node] = hub_->silent[node] = false;
  hub_->inboxes[node] = std::make_shared<Inbox>(hub_->options.nodes);
  for (std::uint32_t other = 0; other < hub_->options.nodes; ++other)
    if (hub_->crashed[other])
      hub_->inboxes[node]->push(other, {Clock::time_point::min(), nullptr, Arrival::Kind::gone});
  hub_->tell_others(node, Arrival::Kind::up);
  return std::make_unique<Endpoint>(hub_, node);
}

}  // namespace exdb
