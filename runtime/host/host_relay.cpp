// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_relay.hpp"

#include <sched.h>

namespace exdb {
namespace {

using namespace std::chrono_literals;

constexpr auto look_for_dead_every =
    100ms;  ///< whether a follower has died, while anything happens
/// While a round is under way: short against any timeout, long against a round.
constexpr auto drive_cap = 50ms;
/// A follower that got its answer commits again within this, or not soon.
constexpr auto spin_after_work = 50us;
constexpr auto end_grace = 1000ms;
constexpr std::size_t out_kept = std::size_t{64} << 10;

std::string names_of(const std::vector<std::uint32_t>& nodes) {
  std::string text = nodes.size() == 1 ? "node " : "nodes ";
  for (std::size_t i = 0; i < nodes.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(nodes[i]);
  return text;
}

}  // namespace

HostRelay::HostRelay(HostSegment& segment, Node& node, bool crowded, Hooks hooks)
    : segment_(segment),
      node_(node),
      crowded_(crowded),
      hooks_(std::move(hooks)),
      followers_(segment.followers()),
      busy_(segment.followers()) {}

HostRelay::~HostRelay() {
  if (thread_.joinable()) thread_.join();
}

void HostRelay::start() {
  for (std::uint32_t index = 0; index < segment_.followers(); ++index) {
    auto& of = followers_[index];
    const auto& line = segment_.line(index);
    of.index = index;
    of.node = NodeId{line.node};
    of.reader = {segment_.submit_ring(index), Node::item_bytes_max, node_.item_head_room()};
    of.watch.emplace(line.pid.load());
  }
  thread_ = std::thread([this] { run(); });
}

void HostRelay::end() {
  segment_.tell_leader();
  if (thread_.joinable()) thread_.join();
}

void HostRelay::run() {
  set_assert_context("node " + std::to_string(segment_.header().leader) + ", relay");
  while (true) {
    // Read before the pass: what is answered by then is seen by it.
    const bool over = node_.finished();
    work_seen_ = segment_.header().work_count.load();
    applied_seen_ = segment_.header().applied.load();
    segment_.header().beats.fetch_add(1, std::memory_order_relaxed);
    const bool any = pass();
    if (over) break;
    if (any)
      last_work_ = Clock::now();
    else
      rest();
  }
  finish();
}

/// Records first, of all followers, then the window, then answers: what came together travels
/// together.
bool HostRelay::pass() {
  const auto now = Clock::now();
  if (now >= next_look_) look_for_gone(now);
  bool any = false;
  for (auto& of : followers_) {
    any |= collect(of);
    // After the collecting: of a process that has left, what was collected just now goes.
    if (!of.gone && segment_.line(of.index).state.load() == FollowerState::left) let_go(of);
  }
  for (auto& of : followers_) any |= submit_ready(of);
  for (auto& of : followers_) any |= settle(of);
  for (auto& of : followers_) any |= flush(of);
  count_busy();
  return any;
}

bool HostRelay::collect(Follower& of) {
  if (of.gone) return false;
  bool any = false;
  while (auto record = of.reader.take(any)) {
    take(of, std::move(*record));
    any = true;
  }
  if (any) segment_.line(of.index).room.wake();
  if (of.reader.broken()) let_go(of);
  return any;
}

void HostRelay::take(Follower& of, RecordReader<SubmitHead>::Record record) {
  const auto& head = record.head;
  if (head.kind == SubmitHead::Kind::question) {
    const auto text = hooks_.answer(head.question, record.message());
    return answer(of, head.sequence, true, ErrorCode::ok, {}, text);
  }
  if (head.kind == SubmitHead::Kind::fragment)
    of.ahead.insert(head.sequence);
  else
    of.ahead.erase(head.sequence);
  auto item = std::make_shared<PendingItem>();
  item->kind = static_cast<RoundItem::Kind>(head.kind);
  item->origin = of.node;
  item->sequence = head.sequence;
  item->priority = head.priority;
  item->bytes = std::move(record.bytes);
  item->head_room = record.head_room;
  item->relayed = true;
  item->overrules_quorum = head.overrules_quorum != 0;
  of.ready.push_back(std::move(item));
}

/// Not when the window is full: to wait for room would leave the answers lying, which make it.
bool HostRelay::submit_ready(Follower& of) {
  bool any = false;
  while (!of.ready.empty() && (node_.has_room() || node_.finished())) {
    auto item = std::move(of.ready.front());
    of.ready.pop_front();
    any = true;
    const auto status = node_.submit(item);
    if (status.ok())
      of.under_way.push_back(std::move(item));
    else if (item->kind == RoundItem::Kind::transaction)
      answer(of, item->sequence, false, status.code(), {}, std::as_bytes(std::span(status.text())));
  }
  return any;
}

bool HostRelay::settle(Follower& of) {
  bool any = false;
  std::erase_if(of.under_way, [&](const std::shared_ptr<PendingItem>& item) {
    if (!Node::done(*item)) return false;
    any = true;
    const auto& outcome = item->outcome;
    if (item->kind == RoundItem::Kind::transaction)
      answer(of, item->sequence, false, outcome.code, outcome.csn,
             std::as_bytes(std::span(outcome.text)));
    return true;
  });
  return any;
}

void HostRelay::answer(Follower& of, std::uint64_t sequence, bool question, ErrorCode code, Csn csn,
                       Bytes text) {
  if (of.gone) return;
  const AnswerHead head{sequence, csn.value, text.size(), static_cast<std::int32_t>(code),
                        question ? 1U : 0U};
  const auto bytes = bytes_of_head(head);
  of.out.insert(of.out.end(), bytes.begin(), bytes.end());
  of.out.insert(of.out.end(), text.begin(), text.end());
}

bool HostRelay::flush(Follower& of) {
  if (of.out.empty()) return false;
  auto& line = segment_.line(of.index);
  auto ring = segment_.answer_ring(of.index);
  const auto wrote = ring.write(Bytes(of.out).subspan(of.out_at));
  of.out_at += wrote;
  if (of.out_at == of.out.size()) {
    empty_keeping(of.out, out_kept);
    of.out_at = 0;
    line.answers_held.store(0);
  } else {
    // First the sign, then the look: the follower takes answers out and then looks for the sign.
    line.answers_held.store(1);
    if (ring.room() != 0) segment_.header().work_count.fetch_add(1);
  }
  if (wrote != 0) line.answered.wake();
  return wrote != 0;
}

void HostRelay::look_for_gone(Clock::time_point now) {
  next_look_ = now + look_for_dead_every;
  bool reap = false;
  for (auto& of : followers_) {
    if (of.gone) continue;
    auto& line = segment_.line(of.index);
    if (of.watch->ended()) {
      line.state.store(FollowerState::dead);
      reap = true;
      let_go(of);
    }
  }
  if (reap) hooks_.reap();
}

void HostRelay::let_go(Follower& of) {
  of.gone = true;
  of.ready.clear();
  of.out.clear();
  of.out_at = 0;
  segment_.line(of.index).oldest_open.store(0);
  for (const auto sequence : of.ahead) {
    auto item = std::make_shared<PendingItem>();
    item->kind = RoundItem::Kind::discard;
    item->origin = of.node;
    item->sequence = sequence;
    item->relayed = true;
    of.ready.push_back(std::move(item));
  }
  of.ahead.clear();
  // Other hosts hear of it by its last item.
  auto last = std::make_shared<PendingItem>();
  last->kind = RoundItem::Kind::gone;
  last->origin = of.node;
  last->relayed = true;
  of.ready.push_back(std::move(last));
  segment_.set_present(of.node.value, false);
  hooks_.gone(of.node.value);
}

void HostRelay::count_busy() {
  std::uint32_t busy = 0;
  for (const auto& of : followers_) {
    const bool stopped = segment_.line(of.index).state.load() == FollowerState::stopped;
    const bool over = of.gone ? of.ready.empty() : stopped && of.idle();
    busy += over ? 0 : 1;
  }
  busy_.store(busy);
}

std::string HostRelay::running_names() const {
  std::vector<std::uint32_t> nodes;
  for (std::uint32_t index = 0; index < segment_.followers(); ++index) {
    const auto state = segment_.line(index).state.load();
    if (state == FollowerState::joined || state == FollowerState::absent)
      nodes.push_back(segment_.line(index).node);
  }
  return names_of(nodes);
}

bool HostRelay::any_under_way() const {
  for (const auto& of : followers_)
    if (!of.under_way.empty() || !of.ready.empty()) return true;
  return false;
}

void HostRelay::rest() {
  auto& header = segment_.header();
  const auto work = [&] { return header.work_count.load() != work_seen_; };
  if (any_under_way()) {
    (void)node_.drive([&] { return work() || header.applied.load() != applied_seen_; },
                      Clock::now() + drive_cap);
    return;
  }
  for (int i = 0; Clock::now() < last_work_ + spin_after_work; ++i) {
    if (work()) return;
    if (crowded_ || i % 64 == 63) sched_yield();
  }
  header.work.sleep(hooks_.beat, work);
}

void HostRelay::finish() {
  const auto until = Clock::now() + end_grace;
  const auto all_written = [&] {
    for (const auto& of : followers_)
      if (!of.gone && !of.out.empty()) return false;
    return true;
  };
  while (!all_written() && Clock::now() < until) {
    work_seen_ = segment_.header().work_count.load();
    if (!pass())
      segment_.header().work.sleep(
          10ms, [&] { return segment_.header().work_count.load() != work_seen_; });
  }
  const auto state = node_.state();
  const auto failure = node_.failure();
  const std::string who =
      "the leader of this host, node " + std::to_string(segment_.header().leader) + ", ";
  if (state.phase == NodeState::Phase::failed)
    segment_.end(HostPhase::failed, failure.code(),
                 who + "cannot go on: " + failure.text() + hooks_.explain);
  else if (state.phase == NodeState::Phase::left || left_)
    segment_.end(HostPhase::left, ErrorCode::cluster,
                 who + "has left the cluster (an exception, an exit, or close() given up there)");
  else
    segment_.end(HostPhase::stopped, ErrorCode::ok, "");
  busy_.store(0);
  for (auto& of : followers_) {
    if (of.gone) continue;
    of.gone = true;
    hooks_.gone(of.node.value);
  }
}

}  // namespace exdb
