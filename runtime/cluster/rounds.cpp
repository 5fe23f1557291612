// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <algorithm>
#include <map>

#include "cluster/node_inside.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// A step hands the lock back after this many rounds, so that a driver whose answer is there gets
/// away.
constexpr int rounds_a_step = 4;
/// Silence after which one warning is written, where the timeout is not shorter than twice that.
constexpr auto warn_after = 10s;
/// How often stop() sees whether silent nodes still live, in parts of the timeout.
constexpr int pings_per_timeout = 4;

std::string seconds(std::chrono::nanoseconds time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

}  // namespace

bool Node::Inside::step() {
  if (finished()) return false;
  bool any = false;
  try {
    const auto status = transport->poll(*this, any);
    // One reading of the clock serves the step: it is a tenth of a commit's own time (perf).
    if (any || stop_wanted || leave_wanted || ping_wanted || !window.empty()) now_ = Clock::now();
    if (any) last_progress = now_;
    if (!status.ok())
      fail(status);
    else if (!poll_failure.ok())
      fail(poll_failure);
    else
      any |= advance();
  } catch (const std::bad_alloc&) {
    fail({ErrorCode::no_memory,
          "no memory for the exchange: a replica that skips a round would "
          "differ from the others"});
  } catch (const std::exception& error) {
    fail({ErrorCode::core, std::string("the exchange failed: ") + error.what()});
  }
  if (any) note_event();
  return any;
}

void Node::Inside::on_frame(std::uint32_t from, std::span<const std::byte> frame) {
  if (auto status = protocol.on_frame(MemberId{from}, frame); !status.ok() && poll_failure.ok())
    poll_failure = std::move(status);
}

void Node::Inside::on_gone(std::uint32_t node) {
  gone[node] = true;
  gone_news = true;
}

bool Node::Inside::advance() {
  bool any = false;
  for (int i = 0; i < rounds_a_step && !finished(); ++i) {
    bool again = false;
    if (auto round = protocol.take_round()) {
      take(*round);
      again = true;
    }
    if (!finished() && should_post()) {
      post();
      again = true;
    }
    if (!again) break;
    any = true;
  }
  if (gone_news && !finished()) check_gone();
  return any;
}

bool Node::Inside::should_post() {
  if (!protocol.may_post()) return false;
  if (protocol.asked() || leave_wanted || ping_wanted || (stop_wanted && !stop_said)) return true;
  return !window.empty() && window.due_in(now_) == 0ns;
}

void Node::Inside::post() {
  BatchHeader header;
  // Read before the window is emptied: once stop is wanted the window takes nothing more.
  const bool stopping = stop_wanted;
  header.leave = leave_wanted;
  auto taken = window.take(self);
  header.more = taken.more;
  header.stop = stopping && !taken.more;
  header.oldest_snapshot = consumer.oldest_snapshot();
  header.digest = consumer.digest();
  stop_said |= header.stop;
  ping_wanted = false;
  warned_round = false;
  in_flight = std::move(taken.items);
  items_sent += in_flight.size();
  round_began = last_progress = now_;
  const auto round = protocol.completed().next();
  trace.event(round, [&] {
    return "post " + std::to_string(in_flight.size()) + " transactions " +
           std::to_string(taken.payload.size()) + " bytes" + (header.stop ? " stop" : "") +
           (header.leave ? " leave" : "") + (header.more ? " more" : "");
  });
  posted_.store(round.value);
  if (!protocol.asked()) protocol.ring();
  protocol.post(header, std::move(taken.payload));
  flush();
}

void Node::Inside::flush() {
  for (auto& output : protocol.take_outputs()) {
    const auto status = output.to ? transport->send(output.to->value, std::move(output.frame))
                                  : transport->broadcast(std::move(output.frame));
    if (!status.ok()) return fail(status);
  }
}

void Node::Inside::take(CompletedRound& round) {
  last_progress = now_;
  exchange_ns.add(std::uint64_t(Nanoseconds(now_ - round_began).count()));
  trace.event(round.round, [&] {
    return "complete " + std::to_string(round.batches.size()) + " batches" +
           (round.last ? " last" : "");
  });
  const auto odd = odd_ones(round);
  if (std::find(odd.begin(), odd.end(), self) != odd.end())
    return fail({ErrorCode::inconsistent,
                 "round " + std::to_string(round.round.value) + ": the state of node " +
                     std::to_string(self.value) +
                     " differs from the others' after the round before (digests in the batch "
                     "headers; odd: " +
                     names(odd) + "); this replica must not answer again: restart it"});
  if (auto status = apply(round); !status.ok()) {
    bid_farewell();
    return fail({status.code(), "round " + std::to_string(round.round.value) +
                                    " could not be applied: " + status.text()});
  }
  applied_.store(round.round.value);
  ++rounds;
  for (const auto& batch : round.batches) said_stop[batch.member.value] = batch.header.stop;
  drop_members(round, odd);
  if (round.last)
    finish(Phase::ended, {});
  else if (!protocol.member(self))
    finish(Phase::left, {});
  else
    turn.wake_done();
}

/// The members whose digest is not the majority's: all of them when there is no majority. A node
/// that leaves with this round does not vote, and is not judged: it may leave because its state is
/// broken.
std::vector<MemberId> Node::Inside::odd_ones(const CompletedRound& round) const {
  std::map<std::uint64_t, std::size_t> votes;
  std::size_t voters = 0;
  for (const auto& batch : round.batches) {
    if (batch.header.leave) continue;
    ++votes[batch.header.digest];
    ++voters;
  }
  std::vector<MemberId> odd;
  if (votes.size() <= 1) return odd;
  for (const auto& batch : round.batches)
    if (!batch.header.leave && 2 * votes[batch.header.digest] <= voters)
      odd.push_back(batch.member);
  std::sort(odd.begin(), odd.end());
  return odd;
}

Status Node::Inside::apply(const CompletedRound& round) {
  std::vector<RoundItem> items;
  auto oldest = Csn::max();
  for (const auto& batch : round.batches) {
    oldest = std::min(oldest, batch.header.oldest_snapshot);
    if (auto status = decode_items(batch.member, batch.payload, items); !status.ok()) return status;
  }
  horizon = std::max(horizon, oldest);
  std::vector<bool> mine(items.size());
  bool transactions = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool transaction = items[i].kind == RoundItem::Kind::transaction;
    transactions |= transaction;
    mine[i] = transaction && items[i].member == self;
  }
  std::vector<ItemOutcome> outcomes(items.size());
  const auto began = now_;
  auto status = consumer.apply_round(round.round, items, horizon, mine, outcomes);
  if (!status.ok()) return status;
  EXDB_ASSERT(outcomes.size() == items.size(), "the consumer keeps one outcome an item");
  now_ = Clock::now();
  apply_ns += std::uint64_t(Nanoseconds(now_ - began).count());
  if (!transactions) ++rounds_empty;
  trace.event(round.round, [&] {
    return "apply " + std::to_string(items.size()) + " items, published csn " +
           std::to_string(consumer.published().value);
  });
  answer_mine(items, outcomes);
  return {};
}

void Node::Inside::answer_mine(const std::vector<RoundItem>& items,
                               std::vector<ItemOutcome>& outcomes) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].member != self) continue;
    EXDB_ASSERT(next < in_flight.size() && in_flight[next]->sequence == items[i].sequence,
                "a round holds the items that this node posted in it");
    in_flight[next++]->answer(std::move(outcomes[i]));
  }
  EXDB_ASSERT(next == in_flight.size(), "all items of a batch are in its round");
  items_received += items.size() - next;
  window.answered(next);
  in_flight.clear();
}

/// Membership after the round: who left (in the last round too: a collective close must not wait
/// for it), and who was found odd.
void Node::Inside::drop_members(const CompletedRound& round, const std::vector<MemberId>& odd) {
  for (const auto& batch : round.batches)
    if (batch.header.leave && batch.member != self) {
      transport->remove(batch.member.value);
      consumer.forget(batch.member);
      lose(batch.member, "left");
    }
  if (round.last) return;
  for (const auto node : odd) {
    protocol.expel(node);
    transport->remove(node.value);
    consumer.forget(node);
    lose(node, "was expelled: its state differs");
    trace.warn(round.round, "node " + std::to_string(node.value) +
                                " is no member any more: its state differs from the majority's");
  }
}

void Node::Inside::lose(MemberId node, const char* how) {
  if (lost[node.value]) return;
  lost[node.value] = true;
  trace.event(protocol.completed(),
              [&] { return "node " + std::to_string(node.value) + " " + how; });
  quorum.lost(node);
  notifier.tell(Notification::disconnect, info(node.value));
}

/// Nodes of which the transport says that they are gone. A round that waits for one of them never
/// completes.
void Node::Inside::check_gone() {
  std::vector<MemberId> missed;
  bool others_done = true;
  for (std::uint32_t node = 0; node < gone.size(); ++node) {
    if (!protocol.member(MemberId{node}) || node == self.value) continue;
    if (gone[node] && !protocol.leaving(MemberId{node})) missed.push_back({node});
    others_done &= gone[node] || said_stop[node];
  }
  for (const auto node : missed) lose(node, "is gone");
  if (missed.empty()) gone_news = false;
  if (missed.empty() || protocol.posted() == protocol.completed()) return;
  if (stop_said && in_flight.empty() && others_done) return finish(Phase::ended, {});
  fail({ErrorCode::cluster, "round " + std::to_string(protocol.posted().value) + ": " +
                                names(missed) + " of " + std::to_string(gone.size()) +
                                " is gone (its connection was lost), and the round cannot "
                                "complete without it"});
}

void Node::Inside::check_silence(Clock::time_point now) {
  if (finished()) return;
  if (protocol.posted() == protocol.completed()) return check_stop(now);
  const Nanoseconds limit = options.timeout, silent = now - last_progress;
  const auto text = [&] {
    return names(protocol.missing()) + " (of " + std::to_string(transport->size()) + ") for " +
           seconds(limit > 0ns && silent >= limit ? limit : silent) +
           (transport->broadcast_is_collective() ? ", or for one of them" : "");
  };
  if (limit > 0ns && silent >= limit)
    return fail({ErrorCode::timeout, "round " + std::to_string(protocol.posted().value) +
                                         ": waiting for " + text() +
                                         "; it may have ended without close() or be stopped"});
  const auto warn = limit > 0ns ? std::min(Nanoseconds(warn_after), limit / 2) : warn_after;
  if (silent < warn || warned_round) return;
  warned_round = true;
  trace.warn(protocol.posted(), "waiting for " + text());
}

/// While somebody waits in stop() and nothing is exchanged: a round now and then shows whether the
/// others live, and one line tells which of them have not called stop.
void Node::Inside::check_stop(Clock::time_point now) {
  if (stop_waiters == 0 || !stop_said) return;
  const Nanoseconds limit = options.timeout;
  if (limit > 0ns && now - last_progress > limit / pings_per_timeout) ping_wanted = true;
  const auto warn = limit > 0ns ? std::min(Nanoseconds(warn_after), limit / 2) : warn_after;
  if (warned_stop || now - stop_began < warn) return;
  warned_stop = true;
  std::vector<MemberId> running;
  for (std::uint32_t node = 0; node < said_stop.size(); ++node)
    if (protocol.member(MemberId{node}) && !said_stop[node]) running.push_back({node});
  trace.warn(protocol.completed(), "stop() waits for " + names(running) + " (of " +
                                       std::to_string(transport->size()) +
                                       ") to call stop() or close() too");
}

void Node::Inside::bid_farewell() {
  if (!protocol.may_post() || transport->broadcast_is_collective()) return;
  BatchHeader header;
  header.leave = true;
  header.oldest_snapshot = horizon;
  posted_.store(protocol.completed().next().value);
  protocol.post(header, {});
  for (auto& output : protocol.take_outputs())
    if (!output.to) (void)transport->broadcast(std::move(output.frame)).ok();
}

void Node::Inside::refuse_waiting(ErrorCode code, const std::string& text) {
  const auto refused = window.abandon();
  window.answered(refused.size());
  for (const auto& item : refused) item->answer({code, {}, text});
}

void Node::Inside::finish(Phase phase, Status why) {
  if (finished()) return;
  const char* const what = phase == Phase::ended ? "end" : phase == Phase::left ? "leave" : "fail";
  trace.event(protocol.completed(), [&] { return std::string(what) + " " + why.text(); });
  {
    const std::lock_guard lock(state_lock);
    failure_ = why;
  }
  const auto code = phase == Phase::failed ? why.code() : ErrorCode::cluster_stopped;
  const auto text = phase == Phase::failed ? why.text() : "the node stopped before this was sent";
  const auto unknown = phase == Phase::failed ? text : "the node left before the round completed";
  window.answered(in_flight.size());
  for (const auto& item : in_flight) item->answer({ErrorCode::unknown_outcome, {}, unknown});
  refuse_waiting(code, text);
  in_flight.clear();
  // After the answers: who sees that the node is finished finds its item answered.
  phase_.store(phase);
  for (std::uint32_t node = 0; node < lost.size(); ++node)
    if (node != self.value && !lost[node]) notifier.tell(Notification::disconnect, info(node));
  turn.wake_done();
  transport->wake();
  const std::lock_guard lock(state_lock);
  listening_changed.notify_all();
}

}  // namespace exdb
