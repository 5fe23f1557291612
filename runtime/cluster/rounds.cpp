// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <algorithm>

#include "cluster/node_inside.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// A step hands the lock back after this many rounds, so that a driver whose answer is there gets
/// away.
constexpr int rounds_a_step = 4;
/// Who has caught up has a million rounds to apply: the others must hear of it meanwhile.
constexpr int finals_at_once = 64;
/// How often a thread that waits in stop looks at what it keeps elsewhere: well within a ping.
constexpr auto look_elsewhere_every = 50ms;
/// A failed node's leave is heard by then, or not at all.
constexpr auto parting_cap = 1000ms;
/// Vectors of one round are kept for the next, but not those of a round of this many items.
constexpr std::size_t items_kept = 4096;

}  // namespace

bool Node::Inside::step() {
  if (!member.active()) return false;
  bool any = false;
  try {
    // What waits leaves before the transport is asked: the others can do nothing without it, and
    // asking takes as long as a third of an exchange.
    if (!window.empty() && member.may_post()) {
      now_ = Clock::now();
      if (should_post()) {
        post();
        any = true;
      }
    }
    const bool by_views = member.views() != nullptr;
    if (by_views) now_ = Clock::now();
    const auto status = transport->poll(*this, any);
    // One reading of the clock serves the step: it is a tenth of a commit's own time (perf).
    if (any || stop_wanted || leave_wanted || member.ping_wanted() || member.parting() ||
        !window.empty())
      now_ = Clock::now();
    if (any) member.heard(now_.time_since_epoch());
    if (leave_wanted) member.want_leave(now_.time_since_epoch());
    if (!status.ok()) member.fail(status);
    if (member.has_events()) handle_events();
    if (member.parting() && (!status.ok() || now_ >= parting_until)) member.go();
    if (by_views) tick_views();
    any |= advance();
    if (by_views) flush_views();
  } catch (const std::bad_alloc&) {
    member.fail({ErrorCode::no_memory,
                 "no memory for the exchange: a replica that skips a round would "
                 "differ from the others"});
  } catch (const std::exception& error) {
    member.fail({ErrorCode::core, std::string("the exchange failed: ") + error.what()});
  }
  if (member.has_events()) handle_events();
  if (parting.load(std::memory_order_relaxed) != member.parting()) parting = member.parting();
  if (any) note_event();
  return any;
}

void Node::Inside::on_frame(std::uint32_t from, std::span<const std::byte> frame) {
  traffic.received(from, frame.size());
  member.on_frame(MemberId{from}, frame, now_.time_since_epoch());
}

/// It is kept until its round is applied, and not copied.
void Node::Inside::on_whole_frame(std::uint32_t from, const Frame& frame) {
  traffic.received(from, frame->size());
  member.on_whole_frame(MemberId{from}, frame, now_.time_since_epoch());
}

void Node::Inside::on_gone(std::uint32_t node) {
  member.on_gone(MemberId{node}, now_.time_since_epoch());
}

bool Node::Inside::advance() {
  bool any = false;
  for (int i = 0; i < rounds_a_step && member.active(); ++i) {
    bool again = member.advance(now_.time_since_epoch());
    if (again) exchange_ns.add(std::uint64_t(Nanoseconds(now_ - round_began).count()));
    if (member.has_events()) handle_events();
    for (int given = 0; given < finals_at_once; ++given) {
      const auto* const round = member.next_final();
      if (!member.views()) tell_kept();
      if (round == nullptr) break;
      take(*round);
      again = true;
    }
    if (should_post()) {
      post();
      again = true;
    }
    if (!again) break;
    any = true;
  }
  return any;
}

bool Node::Inside::should_post() const {
  if (member.wants_post()) return true;
  if (!member.may_post()) return false;
  return wants_fresh() || (!window.empty() && window.due_in(now_) == 0ns);
}

/// One round at a time, for all that wait: else there would always be a later one to wait for.
bool Node::Inside::wants_fresh() const {
  const auto done = fresh_done.load(std::memory_order_relaxed);
  return fresh_posted.reads == done && fresh_wanted.load() > done;
}

void Node::Inside::post() {
  RoundDriver::Offer offer;
  const auto round = member.completed().next();
  if (member.owes()) {
    offer.oldest_snapshot = consumer.oldest_snapshot();
    offer.digest = consumer.digest();
  } else if (!finished()) {
    // stop() shuts the window before it says so to the member: what is left over here is all there
    // will ever be.
    auto taken = window.take(self, in_flight, member.room());
    offer.payload = std::move(taken.payload);
    offer.head_room = taken.head_room;
    offer.items = taken.count;
    offer.more = taken.more;
    offer.oldest_snapshot = consumer.oldest_snapshot();
    offer.digest = consumer.digest();
    items_sent += offer.items;
  } else {
    offer.oldest_snapshot = member.horizon();
  }
  round_began = now_;
  trace.event(round, [&] {
    return "post " + std::to_string(offer.items) + " transactions " +
           std::to_string(offer.payload.size()) + " bytes" +
           (stop_wanted && !offer.more ? " stop" : "") +
           (leave_wanted || member.parting() ? " leave" : "") + (offer.more ? " more" : "");
  });
  posted_.store(round.value);
  if (wants_fresh())
    fresh_posted = {fresh_wanted.load(), round, member.views()->member().view().ballot};
  if (options.observer != nullptr) options.observer->posting(round);
  if (const auto where = closing.elsewhere(); !where.empty()) member.tell_elsewhere(where);
  member.post(std::move(offer), now_.time_since_epoch());
  flush();
}

void Node::Inside::tell_kept() {
  member.fixed().tell_kept();
  if (member.fixed().has_outputs()) flush();
}

void Node::Inside::flush() {
  if (member.views()) return flush_views();
  outputs.clear();
  member.fixed().take_outputs(outputs);
  for (auto& output : outputs) {
    if (output.to)
      traffic.sent(output.to->value, output.frame->size());
    else
      traffic.broadcast(output.frame->size());
    const auto status = output.to ? transport->send(output.to->value, std::move(output.frame))
                                  : transport->broadcast(std::move(output.frame));
    if (!status.ok()) return member.fail(status);
  }
}

void Node::Inside::take(const CompletedRound& round) {
  const auto number = round.round;
  const auto view = round.view;
  trace.event(number, [&] {
    return "complete " + std::to_string(round.batches.size()) + " batches" +
           (round.last ? " last" : "");
  });
  if (const auto status = apply(round); !status.ok()) {
    member.cannot_apply(status);
    return handle_events();
  }
  member.applied();
  applied_.store(number.value);
  if (number == fresh_posted.round && view == fresh_posted.view)
    fresh_done.store(fresh_posted.reads);
  if (options.observer != nullptr) options.observer->applied(number);
  if (member.has_events()) handle_events();
  if (!finished()) turn.wake_done();
}

/// Whatever goes wrong here, the others must hear of it: a replica that lacks one round is of no
/// use to them, and they would wait for it.
Status Node::Inside::apply(const CompletedRound& round) {
  try {
    return hand_over(round);
  } catch (const std::bad_alloc&) {
    return {ErrorCode::no_memory, "no memory to read it"};
  } catch (const std::exception& error) {
    return {ErrorCode::core, error.what()};
  }
}

void Node::Inside::forget_others(const CompletedRound& round) {
  batch_members.clear();
  for (const auto& batch : round.batches) batch_members.push_back(batch.member);
  consumer.forget_others(batch_members);
}

Status Node::Inside::hand_over(const CompletedRound& round) {
  items.clear();
  for (const auto& batch : round.batches)
    if (auto status = decode_items(batch.member, batch.bytes(), items); !status.ok()) return status;
  mine.assign(items.size(), false);
  outcomes.assign(items.size(), {});
  bool transactions = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool transaction = items[i].kind == RoundItem::Kind::transaction;
    transactions |= transaction;
    mine[i] = transaction && items[i].member == self;
  }
  if (member.views()) forget_others(round);
  const auto began = now_;
  auto status = consumer.apply_round(round.round, items, member.horizon(), mine, outcomes);
  if (!status.ok()) return status;
  EXDB_ASSERT(outcomes.size() == items.size(), "the consumer keeps one outcome an item");
  now_ = Clock::now();
  apply_ns += std::uint64_t(Nanoseconds(now_ - began).count());
  // Before the answers: who has one finds its round counted.
  ++rounds;
  if (!transactions) ++rounds_empty;
  trace.event(round.round, [&] {
    return "apply " + std::to_string(items.size()) + " items, published csn " +
           std::to_string(consumer.published().value);
  });
  if (options.voters) {
    for (const auto& item : items)
      if (item.kind == RoundItem::Kind::gone) origin_gone(item.member, item.origin);
  }
  answer_mine();
  if (items.capacity() > items_kept) {
    empty_keeping(items, 0);
    std::vector<bool>().swap(mine);
    empty_keeping(outcomes, 0);
  }
  return {};
}

/// At the same place in the order on all members.
void Node::Inside::origin_gone(MemberId by, NodeId origin) {
  member.fixed().on_node_ended(by, origin);
  quorum.update(member.quorum());
  if (options.observer != nullptr) options.observer->origin_gone(by, origin);
}

namespace {

bool same(const PendingItem& item, const RoundItem& in_round) {
  return item.sequence == in_round.sequence && item.origin == in_round.origin &&
         item.kind == in_round.kind;
}

}  // namespace

/// Items of this member are answered whatever their origins: it is who sent them that waits. Where
/// nodes come and go a round may hold what a former life of this node has sent, or nobody waits for
/// any more; and what was posted in two rounds may come from the second one first, when the first
/// came with a snapshot.
void Node::Inside::answer_mine() {
  std::size_t next = 0, committed = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].member != self) continue;
    if (next == in_flight.size() || !same(*in_flight[next], items[i])) {
      EXDB_ASSERT(member.views(), "a round holds the items that this node posted in it");
      const auto first = in_flight.begin() + std::ptrdiff_t(next);
      const auto found = std::find_if(first, in_flight.end(),
                                      [&](const auto& item) { return same(*item, items[i]); });
      if (found == in_flight.end()) continue;
      std::rotate(first, found, found + 1);
    }
    committed += outcomes[i].code == ErrorCode::ok;
    in_flight[next++]->answer(std::move(outcomes[i]));
  }
  if (committed > 0 && member.views()) count_apart(committed);
  items_received += items.size() - next;
  window.answered(next);
  // What is left belongs to rounds that are not final yet.
  in_flight.erase(in_flight.begin(), in_flight.begin() + std::ptrdiff_t(next));
}

void Node::Inside::tick(Clock::time_point now) {
  const bool waits = stop_waiters > 0;
  if (waits && now >= next_look) {
    next_look = now + look_elsewhere_every;
    member.set_kept(closing.kept());
    if (!member.views()) closing.set_beyond(member.fixed().beyond());
  }
  if (member.views()) return;  // each step does that
  member.tick(now.time_since_epoch());
  if (member.has_events()) handle_events();
}

void Node::Inside::handle_events() {
  if (auto* const by = member.views()) {
    for (const auto& event : by->take_events()) handle(event);
    return;
  }
  for (const auto& event : member.fixed().take_events()) handle(event);
}

void Node::Inside::handle(const Member::Event& event) {
  using Kind = Member::Event::Kind;
  switch (event.kind) {
    case Kind::removed:
      traffic.removed(event.member.value);
      transport->remove(event.member.value);
      break;
    case Kind::forget:
      consumer.forget(event.member);
      break;
    case Kind::lost:
      trace.event(member.completed(), [&] {
        return "node " + std::to_string(event.member.value) + " " + event.why.text();
      });
      quorum.update(member.quorum());
      if (options.observer != nullptr) options.observer->lost(event.member);
      notifier.tell(Notification::disconnect, info(event.member.value));
      break;
    case Kind::warning:
      trace.warn(member.posted(), event.why.text());
      break;
    case Kind::sure:
      closing.set_sure();
      break;
    case Kind::opposite:
      closing.set_beyond(member.fixed().beyond());
      closing.accuse();
      refuse_stop(event.why);
      turn.wake_done();
      break;
    case Kind::finished:
      finish(member.phase(), event.why);
      break;
  }
}

void Node::Inside::refuse_waiting(ErrorCode code, const std::string& text) {
  const auto refused = window.abandon();
  window.answered(refused.size());
  for (const auto& item : refused) item->answer({code, {}, text});
}

void Node::Inside::answer_unknown(const std::string& text) {
  window.answered(in_flight.size());
  for (const auto& item : in_flight) item->answer({ErrorCode::unknown_outcome, {}, text});
  in_flight.clear();
}

void Node::Inside::finish(Phase phase, const Status& why) {
  const char* const what = phase == Phase::ended ? "end" : phase == Phase::left ? "leave" : "fail";
  trace.event(member.completed(), [&] { return std::string(what) + " " + why.text(); });
  {
    const std::lock_guard lock(state_lock);
    failure_ = why;
  }
  if (member.parting()) parting_until = Clock::now() + parting_cap;
  const auto code = phase == Phase::failed ? why.code() : ErrorCode::cluster_stopped;
  const auto text = phase == Phase::failed ? why.text() : "the node stopped before this was sent";
  const auto unknown = phase == Phase::failed ? text : "the node left before the round completed";
  answer_unknown(unknown);
  refuse_waiting(code, text);
  // Before the phase: who sees the node finished and its parting over may close the transport.
  parting = member.parting();
  // After the answers: who sees that the node is finished finds its item answered.
  phase_.store(phase);
  if (options.observer != nullptr) options.observer->finished();
  quorum.end();
  for (std::uint32_t node = 0; node < transport->size(); ++node)
    if (node != self.value && member.quorum().reaches(MemberId{node}))
      notifier.tell(Notification::disconnect, info(node));
  turn.wake_done();
  transport->wake();
  const std::lock_guard lock(state_lock);
  listening_changed.notify_all();
}

}  // namespace exdb
