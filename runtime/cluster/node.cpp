// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/node.hpp"

#include "cluster/node_inside.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// How long a window without a timeout is held where the cluster has no timeout either.
constexpr auto window_held_max = 30s;

std::vector<std::uint32_t> qranks_of(const std::vector<ClusterNodeParams>& nodes) {
  std::vector<std::uint32_t> qranks;
  for (const auto& node : nodes) qranks.push_back(node.qrank);
  return qranks;
}

Member::Options member_options(const Node::Options& options, const Transport& transport) {
  return {.self = MemberId{transport.self()},
          .qranks = qranks_of(options.nodes),
          .voters = options.voters,
          .cluster_id = options.cluster_id,
          .broadcast_is_collective = transport.broadcast_is_collective(),
          .timeout = options.timeout,
          .name = options.name};
}

NodeId voter_of(const Node::Options& options, MemberId self) {
  return options.voters ? options.voters->self : NodeId{self.value};
}

QuorumCount count_of(const Node::Options& options) {
  return options.voters ? QuorumCount(*options.voters) : QuorumCount(qranks_of(options.nodes));
}

constexpr std::size_t history_bytes = std::size_t{32} << 20;

std::shared_ptr<RoundHistory> history_of(const Node::Options& options) {
  if (options.history) return options.history;
  return std::make_shared<MemoryRoundHistory>(options.membership ? history_bytes : 0);
}

RoundDriver driver_of(const Node::Options& options, const Transport& transport,
                      RoundHistory& history, Finality& finality, std::chrono::nanoseconds now) {
  if (!options.membership)
    return RoundDriver(member_options(options, transport), history, finality, now);
  const auto& membership = *options.membership;
  ViewMember::Options wanted;
  wanted.self = MemberId{transport.self()};
  wanted.incarnation = membership.incarnation;
  wanted.qranks = qranks_of(options.nodes);
  wanted.cluster_id = options.cluster_id;
  wanted.timing = membership.timing;
  wanted.store = membership.store;
  wanted.memory = membership.memory;
  wanted.applied = membership.applied;
  wanted.horizon = membership.horizon;
  return RoundDriver(std::make_unique<ViewDriver>(std::move(wanted), options.timeout,
                                                  options.quorum != nullptr, history,
                                                  *membership.source, *membership.sink, now));
}

std::chrono::nanoseconds tick_every_of(const Node::Options& options) {
  return options.membership ? ViewDriver::tick_every(options.membership->timing)
                            : std::chrono::nanoseconds::max();
}

std::chrono::nanoseconds held_max_of(std::chrono::milliseconds timeout) {
  return timeout.count() > 0 ? std::chrono::nanoseconds(timeout) / 2 : window_held_max;
}

}  // namespace

Node::Inside::Inside(std::unique_ptr<Transport> moved, RoundConsumer& with, Options wanted)
    : options(std::move(wanted)),
      transport(std::move(moved)),
      consumer(with),
      self{transport->self()},
      trace(self, (options.mode_mask & cluster_mode_debug_output) != 0),
      history(history_of(options)),
      finality(options.finality ? options.finality : std::make_shared<FinalWhenComplete>()),
      tick_every(tick_every_of(options)),
      window(options.window, options.in_exchange_max, held_max_of(options.timeout)),
      quorum(voter_of(options, self), count_of(options), options.quorum,
             options.membership ? Quorum::AskedBy::member : Quorum::AskedBy::commits),
      notifier(options.notify),
      kept_closing(options.closing ? options.closing
                                   : std::make_shared<Closing>(options.cluster_id, options.name)),
      closing(*kept_closing),
      seated_(!options.membership),
      member(driver_of(options, *transport, *history, *finality, now_.time_since_epoch())),
      traffic(transport->size()) {
  EXDB_ASSERT(options.nodes.size() == transport->size(), "one ClusterNodeParams a node");
  round_began = now_;
  view_from_ = posted_ = applied_ =
      options.membership ? options.membership->applied.value : history->chain().round.value;
  finality->on_change([this] { transport->wake(); });
  if (options.membership && options.membership->store)
    options.membership->store->on_change([this] { transport->wake(); });
  if (options.membership) quorum.update(member.quorum());
  note_event();
}

Status Node::Inside::failure() const {
  const std::lock_guard lock(state_lock);
  return failure_;
}

Status Node::Inside::refusal(bool of_engine) const {
  if (auto status = failure(); !status.ok()) return status;
  if (leave_wanted || phase() == Phase::left)
    return {ErrorCode::cluster_stopped, "this node has left the cluster: open the database again"};
  if (phase() == Phase::ended)
    return {ErrorCode::cluster_stopped,
            "the cluster has stopped (all nodes called stop): open the database again"};
  if (window.is_shut() && !of_engine)
    return {ErrorCode::cluster_stopped,
            "stop() was called on this node, so nothing can be committed here any more"};
  return {};
}

/// Here it is whoever waits that drives: nobody else may, and without that no answer is fetched.
Status Node::Inside::check_quorum() {
  if (quorum.undecided())
    (void)drive_until([this] { return !quorum.undecided(); }, Clock::time_point::max());
  return quorum.check();
}

NodeInfo Node::Inside::info(std::uint32_t node) const {
  return {options.nodes[node].addr, options.nodes[node].qrank, node};
}

Node::Inside::Clock::time_point Node::Inside::deadline_after(std::chrono::milliseconds cap) const {
  return cap.count() > 0 ? Clock::now() + cap : Clock::time_point::max();
}

Node::Node(std::unique_ptr<Transport> transport, RoundConsumer& consumer, Options options)
    : inside_(std::make_unique<Inside>(std::move(transport), consumer, std::move(options))) {}

Node::~Node() { close(false); }

void Node::start(bool own_listener) {
  auto& in = *inside_;
  for (std::uint32_t node = 0; node < in.transport->size(); ++node)
    if (node != in.self.value && !in.options.membership)
      in.notifier.tell(Notification::connect, in.info(node));
  if (!own_listener || in.options.progress == Progress::cooperative) return;
  const std::lock_guard lock(in.state_lock);
  EXDB_ASSERT(!in.listener.joinable(), "a node is started once");
  in.listener = std::thread([this] { (void)listen(); });
}

Result<std::shared_ptr<PendingItem>> Node::submit(RoundItem::Kind kind, std::uint64_t sequence,
                                                  std::vector<std::byte> bytes, int priority,
                                                  std::optional<NodeId> origin) {
  auto item = std::make_shared<PendingItem>();
  item->kind = kind;
  item->origin = origin.value_or(NodeId{inside_->self.value});
  item->sequence = sequence;
  item->bytes = std::move(bytes);
  item->priority = priority;
  item->history = inside_->consumer.history();
  if (auto status = submit(item); !status.ok()) return status;
  return item;
}

Status Node::submit(const std::shared_ptr<PendingItem>& item) {
  auto& in = *inside_;
  if (!item->relayed && !item->of_engine) in.closing.used();
  if (in.refuses())
    if (auto status = in.refusal(item->of_engine); !status.ok()) return status;
  const auto length = item->record().size();
  if (length > item_bytes_max)
    return Status(ErrorCode::too_large, "a transaction of " + std::to_string(length) +
                                            " bytes: one exchange carries at most 1 GiB of it; "
                                            "commit it in parts");
  const auto kind = item->kind;
  const bool changes = kind != RoundItem::Kind::discard && kind != RoundItem::Kind::gone;
  // Words of the engine change nothing that a quorum guards, and somebody may wait for them.
  if (changes && !item->overrules_quorum && !item->of_engine) {
    // Of another process it is that process's callback that counts.
    if (item->relayed && !in.quorum.allows())
      return {ErrorCode::cluster_no_quorum, in.quorum.explain()};
    if (auto status = in.check_quorum(); !status.ok()) return status;
  }
  // Whoever waits for room drives, as everybody who waits does: the room comes from an answer, and
  // there may be no other thread to fetch it.
  while (true) {
    const auto admission = in.window.add(item);
    if (admission == CommitWindow::Admission::accepted) break;
    if (admission == CommitWindow::Admission::outdated) return history_given_up();
    if (admission == CommitWindow::Admission::shut) {
      if (auto status = in.refusal(item->of_engine); !status.ok()) return status;
      return Status(ErrorCode::cluster_stopped, "the database is being closed");
    }
    (void)in.drive_until([&in] { return in.window.has_room(); }, Inside::Clock::time_point::max());
  }
  // A driver that naps holds the turn, so nobody else would see this item. The listener is only
  // woken for what nobody will wait for: whoever waits drives.
  const auto napper = in.napper.load();
  if (napper == Inside::Napper::driver ||
      (napper == Inside::Napper::listener && kind != RoundItem::Kind::transaction))
    in.transport->wake();
  return {};
}

bool Node::try_submit(RoundItem::Kind kind, std::uint64_t sequence, std::vector<std::byte> bytes,
                      int priority, std::optional<NodeId> origin) {
  auto& in = *inside_;
  if (!in.refusal().ok() || bytes.size() > item_bytes_max) return false;
  if (kind != RoundItem::Kind::discard && !in.quorum.known_to_allow()) return false;
  auto item = std::make_shared<PendingItem>();
  item->kind = kind;
  item->origin = origin.value_or(NodeId{in.self.value});
  item->sequence = sequence;
  item->bytes = std::move(bytes);
  item->priority = priority;
  if (in.window.add(item) != CommitWindow::Admission::accepted) return false;
  if (in.napper.load() != Inside::Napper::none) in.transport->wake();
  return true;
}

ItemOutcome Node::wait(PendingItem& item) {
  auto& in = *inside_;
  (void)in.drive_until([&item] { return done(item); }, Inside::Clock::time_point::max());
  EXDB_ASSERT(done(item), "a finished node has answered every item");
  return std::move(item.outcome);
}

bool Node::done(const PendingItem& item) { return item.done.load(std::memory_order_acquire); }

namespace {

bool given_up(const std::atomic<bool>* wanted) { return wanted != nullptr && !wanted->load(); }

Status closed_while_waiting(const std::string& what) {
  return {ErrorCode::cluster_stopped,
          "the database was closed while a transaction waited for " + what};
}

}  // namespace

Status Node::wait_fresh(const std::atomic<bool>* wanted) {
  auto& in = *inside_;
  in.closing.used();
  const auto target = in.posted_.load();
  if (in.phase() == Inside::Phase::left || in.phase() == Inside::Phase::failed || in.leave_wanted)
    return in.refusal();
  if (auto status = in.check_quorum(); !status.ok()) return status;
  const auto read = in.options.membership ? ++in.fresh_wanted : 0;
  if (read != 0 && in.napper.load() == Inside::Napper::driver) in.transport->wake();
  // A change of view counts from what it goes on from, which has all that was given out.
  const auto there = [&in, target, read] {
    return in.seated_.load() && in.fresh_done.load() >= read &&
           in.applied_.load() >= std::min(target, in.posted_.load());
  };
  const auto over = [&] {
    return there() || given_up(wanted) ||
           (in.options.membership && !in.quorum.allows() && !in.quorum.undecided());
  };
  (void)in.drive_until(over, Inside::Clock::time_point::max());
  if (there()) return {};
  if (!in.finished() && !given_up(wanted)) return in.quorum.check();
  return in.finished() ? in.refusal() : closed_while_waiting("the newest state");
}

Status Node::wait_published(Csn csn, const std::atomic<bool>* wanted) {
  auto& in = *inside_;
  in.closing.used();
  const auto there = [&in, csn] { return in.consumer.published() >= csn; };
  const auto over = [&] { return there() || given_up(wanted); };
  const auto driven = in.drive_until(over, in.deadline_after(in.options.timeout));
  if (there()) return {};
  if (auto status = in.failure(); !status.ok()) return status;
  if (driven == Inside::Driven::done)
    return closed_while_waiting("csn " + std::to_string(csn.value));
  const auto here = std::to_string(in.consumer.published().value);
  if (driven == Inside::Driven::finished)
    return {ErrorCode::cluster_stopped,
            "the cluster has ended at csn " + here + ", before csn " + std::to_string(csn.value)};
  return {ErrorCode::timeout, "csn " + std::to_string(csn.value) + " was not published within " +
                                  std::to_string(in.options.timeout.count()) +
                                  " ms; this node is at csn " + here +
                                  ": is it a token of this database?"};
}

Status Node::listen() {
  auto& in = *inside_;
  in.closing.only_listens();
  std::unique_lock lock(in.state_lock);
  while (!in.finished()) {
    if (in.listening) {
      in.listening_changed.wait(lock, [&in] { return !in.listening || in.finished(); });
      continue;
    }
    in.listening = true;
    lock.unlock();
    set_assert_context("node " + std::to_string(in.self.value));
    in.listen();
    lock.lock();
    in.listening = false;
    in.listening_changed.notify_all();
  }
  return in.failure_;
}

bool Node::progress() {
  auto& in = *inside_;
  if (!in.active() || !in.turn.try_take()) return false;
  bool any = false;
  {
    const std::lock_guard lock(in.drive_lock);
    any = in.step();
  }
  in.turn.release();
  return any;
}

void Node::set_window(const ClusterWindow& window) {
  auto& in = *inside_;
  in.window.set_bounds(window);
  if (in.napper.load() != Inside::Napper::none) in.transport->wake();
}

ClusterWindow Node::window() const { return inside_->window.bounds(); }

bool Node::seated() const {
  return inside_->seated_.load() && inside_->applied_.load() >= inside_->view_from_.load();
}

bool Node::wait_seated(std::chrono::milliseconds cap, const std::atomic<bool>* cancelled) {
  auto& in = *inside_;
  // Not what is posted: while others commit there is always a round under way. A member of a large
  // view may have heard too few of the others yet.
  const auto there = [this, &in] { return seated() && in.quorum.allows(); };
  const auto over = [&] {
    return there() || in.refused_by_too_many.load() || (cancelled != nullptr && cancelled->load());
  };
  (void)in.drive_until(over, Inside::Clock::now() + cap);
  return there();
}

Status Node::refused() const {
  const std::lock_guard lock(inside_->drive_lock);
  return inside_->refused();
}

std::string Node::refusals() const {
  const std::lock_guard lock(inside_->drive_lock);
  std::string all;
  for (std::uint32_t node = 0; node < inside_->transport->size(); ++node)
    if (const auto why = inside_->refusal_of(node); !why.ok())
      all += (all.empty() ? "" : "; ") + why.text();
  return all;
}

bool Node::drive(const std::function<bool()>& done,
                 std::chrono::steady_clock::time_point deadline) {
  return inside_->drive_until(done, deadline) == Inside::Driven::done;
}

std::size_t Node::item_head_room() const {
  return inside_->options.membership ? 0 : CommitWindow::item_head_room;
}

bool Node::has_room() const { return inside_->window.has_room(); }

bool Node::finished() const { return inside_->finished(); }

bool Node::stopped() const { return inside_->finished() || inside_->window.is_shut(); }

Status Node::failure() const { return inside_->failure(); }

NodeStatistics Node::statistics() const {
  const auto& in = *inside_;
  NodeStatistics result;
  result.rounds = in.rounds;
  result.rounds_empty = in.rounds_empty;
  result.items_sent = in.items_sent;
  result.items_received = in.items_received;
  result.exchange_ns_total = in.exchange_ns.total();
  result.exchange_ns_median = in.exchange_ns.quantile(0.5);
  result.exchange_ns_p99 = in.exchange_ns.quantile(0.99);
  result.apply_ns_total = in.apply_ns;
  result.views = in.views;
  result.states_taken = in.states_taken;
  return result;
}

TransportStatistics Node::transport_statistics() const { return inside_->transport->statistics(); }

std::mutex& Node::drive_lock() { return inside_->drive_lock; }

}  // namespace exdb
