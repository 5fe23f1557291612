// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/local_transport.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "base/assert.hpp"

namespace exdb {
namespace {

using Clock = std::chrono::steady_clock;

struct Arrival {
  Clock::time_point from_when;
  Frame frame;
};

/// What has arrived for one node and was not polled yet.
struct Inbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::deque<Arrival>> links;  ///< by sender
  std::vector<std::uint32_t> gone;
  bool woken = false;
  std::atomic<std::uint64_t> waiting{0};  ///< frames and news: so that an idle poll takes no lock
};

}  // namespace

struct LocalNetwork::Hub {
  explicit Hub(const Options& wanted)
      : options(wanted),
        random(wanted.seed),
        inboxes(wanted.nodes),
        silent(wanted.nodes),
        crashed(wanted.nodes),
        gathered(wanted.nodes),
        has_gathered(wanted.nodes),
        broadcasts(wanted.nodes),
        removed_at(wanted.nodes, ~0ULL) {
    for (auto& inbox : inboxes) {
      inbox = std::make_unique<Inbox>();
      inbox->links.resize(wanted.nodes);
    }
  }

  void deliver(std::uint32_t from, std::uint32_t to, const Frame& frame);
  void deliver_complete_exchanges();

  const Options options;
  std::mutex mutex;  ///< before an inbox's
  std::condition_variable gather_changed;
  std::mt19937_64 random;
  std::vector<std::unique_ptr<Inbox>> inboxes;
  std::vector<std::atomic<bool>> silent, crashed;
  std::vector<std::vector<std::byte>> gathered;
  std::vector<bool> has_gathered;
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
  auto& inbox = *inboxes[to];
  const std::lock_guard lock(inbox.mutex);
  auto& link = inbox.links[from];
  if (!link.empty()) when = std::max(when, link.back().from_when);
  link.push_back({when, frame});
  ++inbox.waiting;
  inbox.changed.notify_all();
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

class LocalNetwork::Endpoint final : public Transport {
 public:
  Endpoint(std::shared_ptr<Hub> hub, std::uint32_t self)
      : hub_(std::move(hub)), self_(self), removed_(hub_->options.nodes) {}
  ~Endpoint() override { Endpoint::close(false); }

  std::uint32_t self() const override { return self_; }
  std::uint32_t size() const override { return hub_->options.nodes; }
  std::string describe() const override {
    return "in process (" + std::to_string(size()) + " nodes)";
  }
  bool broadcast_is_collective() const override { return hub_->options.collective; }
  bool crowded() const override { return 2 * size() > std::thread::hardware_concurrency(); }

  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override;
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  void remove(std::uint32_t node) override;
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override;
  TransportStatistics statistics() const override;
  void close(bool collective) override;

 private:
  Status usable() const;
  void count_sent(const Frame& frame, std::uint64_t copies);

  struct Counters {
    std::atomic<std::uint64_t> frames_sent{0}, frames_received{0}, bytes_sent{0}, bytes_received{0},
        frames_long{0}, collectives{0}, polls{0}, sleeps{0};
  };

  std::shared_ptr<Hub> hub_;
  const std::uint32_t self_;
  std::vector<bool> removed_;
  std::atomic<bool> closed_{false};
  Counters counters_;
};

Status LocalNetwork::Endpoint::usable() const {
  if (closed_) return {ErrorCode::cluster, "the in-process transport is closed"};
  if (hub_->crashed[self_])
    return {ErrorCode::cluster, "node " + std::to_string(self_) + " was crashed by its test"};
  return {};
}

Result<std::vector<std::vector<std::byte>>> LocalNetwork::Endpoint::collective_gather(
    std::span<const std::byte> mine, std::chrono::milliseconds deadline) {
  std::unique_lock lock(hub_->mutex);
  hub_->gathered[self_].assign(mine.begin(), mine.end());
  hub_->has_gathered[self_] = true;
  hub_->gather_changed.notify_all();
  const auto all_there = [&] {
    return std::find(hub_->has_gathered.begin(), hub_->has_gathered.end(), false) ==
           hub_->has_gathered.end();
  };
  if (hub_->gather_changed.wait_for(lock, deadline, all_there)) return hub_->gathered;
  std::string who;
  for (std::uint32_t node = 0; node < size(); ++node)
    if (!hub_->has_gathered[node]) who += " " + std::to_string(node);
  return Status(ErrorCode::timeout, "open: waited for node" + who + " of " +
                                        std::to_string(size()) + ": it has not called open");
}

void LocalNetwork::Endpoint::count_sent(const Frame& frame, std::uint64_t copies) {
  counters_.frames_sent += copies;
  counters_.bytes_sent += copies * frame->size();
  if (frame->size() > hub_->options.buffer_bytes) counters_.frames_long += copies;
}

Status LocalNetwork::Endpoint::send(std::uint32_t to, Frame frame) {
  EXDB_ASSERT(to < size() && to != self_, "a frame is for one of the other nodes");
  if (auto status = usable(); !status.ok()) return status;
  count_sent(frame, 1);
  const std::lock_guard lock(hub_->mutex);
  hub_->deliver(self_, to, frame);
  return {};
}

Status LocalNetwork::Endpoint::broadcast(Frame frame) {
  if (auto status = usable(); !status.ok()) return status;
  const auto others = std::count(removed_.begin(), removed_.end(), false) - 1;
  count_sent(frame, std::uint64_t(others));
  const std::lock_guard lock(hub_->mutex);
  if (hub_->options.collective) {
    ++counters_.collectives;
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

Status LocalNetwork::Endpoint::poll(FrameSink& sink, bool& any) {
  ++counters_.polls;
  if (auto status = usable(); !status.ok()) return status;
  auto& inbox = *hub_->inboxes[self_];
  if (inbox.waiting.load(std::memory_order_acquire) == 0) return {};
  std::vector<std::pair<std::uint32_t, Frame>> ready;
  std::vector<std::uint32_t> gone;
  {
    const std::lock_guard lock(inbox.mutex);
    const auto now = Clock::now();
    for (std::uint32_t from = 0; from < size(); ++from)
      for (auto& link = inbox.links[from]; !link.empty() && link.front().from_when <= now;
           link.pop_front())
        ready.emplace_back(from, std::move(link.front().frame));
    gone.swap(inbox.gone);
    inbox.waiting -= ready.size() + gone.size();
  }
  any |= !ready.empty() || !gone.empty();
  for (const auto& [from, frame] : ready) {
    ++counters_.frames_received;
    counters_.bytes_received += frame->size();
    sink.on_frame(from, *frame);
  }
  for (const auto node : gone) sink.on_gone(node);
  return {};
}

void LocalNetwork::Endpoint::wait(std::chrono::nanoseconds cap) {
  ++counters_.sleeps;
  auto& inbox = *hub_->inboxes[self_];
  std::unique_lock lock(inbox.mutex);
  const auto deadline = Clock::now() + cap;
  while (!inbox.woken && inbox.gone.empty() && !closed_) {
    const auto now = Clock::now();
    auto until = deadline;
    for (const auto& link : inbox.links)
      if (!link.empty()) until = std::min(until, link.front().from_when);
    if (until <= now) break;
    inbox.changed.wait_until(lock, until);
  }
  inbox.woken = false;
}

void LocalNetwork::Endpoint::wake() {
  auto& inbox = *hub_->inboxes[self_];
  const std::lock_guard lock(inbox.mutex);
  inbox.woken = true;
  inbox.changed.notify_all();
}

TransportStatistics LocalNetwork::Endpoint::statistics() const {
  TransportStatistics result;
  result.frames_sent = counters_.frames_sent;
  result.frames_received = counters_.frames_received;
  result.bytes_sent = counters_.bytes_sent;
  result.bytes_received = counters_.bytes_received;
  result.frames_long = counters_.frames_long;
  result.collectives = counters_.collectives;
  result.polls = counters_.polls;
  result.sleeps = counters_.sleeps;
  return result;
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

void LocalNetwork::crash(std::uint32_t node) {
  hub_->silent[node] = true;
  hub_->crashed[node] = true;
  for (std::uint32_t other = 0; other < hub_->options.nodes; ++other) {
    if (other == node) continue;
    auto& inbox = *hub_->inboxes[other];
    const std::lock_guard lock(inbox.mutex);
    inbox.gone.push_back(node);
    ++inbox.waiting;
    inbox.changed.notify_all();
  }
}

}  // namespace exdb
