// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a Node does beside the rounds where nodes come and go.
#include <algorithm>

#include "cluster/node_inside.hpp"

namespace exdb {

void Node::Inside::on_up(std::uint32_t node, std::uint32_t /*incarnation*/) {
  if (auto* const by = member.views()) by->on_up(MemberId{node}, now_.time_since_epoch());
}

/// quorumCallback may take as long as it likes: its answer is fetched when it is there, and says
/// nothing if others are reached by then.
void Node::Inside::ask_quorum() {
  auto& by = *member.views();
  if (asked_about) {
    const auto yes = quorum.take_answer();
    if (!yes) return;
    trace.event(member.completed(),
                [&] { return std::string("quorumCallback says ") + (*yes ? "yes" : "no"); });
    by.answer(*std::exchange(asked_about, std::nullopt), *yes, now_.time_since_epoch());
  }
  if (stop_wanted || !by.member().asks()) return;
  asked_about = by.member().reach();
  std::vector<std::uint32_t> neighbours;
  for (const auto node : asked_about->list())
    if (node != self) neighbours.push_back(node.value);
  quorum.ask(std::move(neighbours));
}

/// What is queued while there is no quorum is refused each time: a submit that was let in before
/// the quorum went may still put something there.
void Node::Inside::tick_views() {
  auto& by = *member.views();
  const auto before = by.quorum().version();
  const bool looked = by.tick(now_.time_since_epoch());
  handle_events();
  if (finished()) return;
  if (looked && options.quorum) ask_quorum();
  count_refusals();
  if (by.quorum().version() != before) {
    quorum.update(by.quorum());
    turn.wake_done();
  }
  const auto since = by.without_quorum_since();
  if (!since) return;
  if (!by.quorum().undecided() && !window.empty() && !window.is_shut()) {
    const auto refused = window.take_back();
    const auto text = by.quorum().explain();
    window.answered(refused.size());
    for (const auto& item : refused) item->answer({ErrorCode::cluster_no_quorum, {}, text});
    if (!refused.empty()) turn.wake_done();
  }
  // Members of a majority elsewhere may have made it final; here nobody can know.
  if (!in_flight.empty() && options.timeout.count() > 0 &&
      now_.time_since_epoch() - *since >= options.timeout) {
    answer_unknown("the quorum was lost before the round was known to be final: " +
                   by.quorum().explain());
    turn.wake_done();
  }
}

/// Of another node, why it and this one do not let each other in; of this one, why somebody who did
/// not say who he is was refused.
Status Node::Inside::refusal_of(std::uint32_t node) const {
  const auto& by = *member.views();
  if (by.member().reaches(MemberId{node}) && node != self.value) return {};
  if (auto status = transport->refused(node); !status.ok()) {
    const auto who = node == self.value ? std::string("a node that did not say who it is")
                                        : "node " + std::to_string(node);
    return {status.code(), "no link with " + who + ": " + status.text()};
  }
  if (!by.member().foreign(MemberId{node})) return {};
  return {ErrorCode::cluster_incompatible,
          "node " + std::to_string(node) +
              " is of another cluster: its schema, the qranks in nodes, or the cluster id differ "
              "from those of this node (" +
              std::to_string(self.value) + ")"};
}

/// The first refusal by a node that said who it is, where nobody is reached.
Status Node::Inside::refused() const {
  if (!member.views() || seated_) return {};
  Status first;
  for (std::uint32_t node = 0; node < transport->size(); ++node) {
    if (node == self.value) continue;
    if (member.views()->member().reaches(MemberId{node})) return {};
    if (first.ok()) first = refusal_of(node);
  }
  // What a stranger was refused for is no reason: anybody who reaches the port could make open fail.
  return first;
}

void Node::Inside::count_refusals() {
  if (seated_) return refused_by_too_many.store(false);
  std::uint64_t refusing = 0, total = 0;
  bool all = transport->size() > 1;
  for (std::uint32_t node = 0; node < transport->size(); ++node) {
    total += options.nodes[node].qrank;
    if (node == self.value) continue;
    const bool refuses = !refusal_of(node).ok();
    all &= refuses;
    refusing += refuses ? options.nodes[node].qrank : 0;
  }
  const bool too_many = all || (refusing > 0 && 2 * refusing > total);
  if (refused_by_too_many.exchange(too_many) != too_many) turn.wake_done();
}

void Node::Inside::flush_views() {
  Status failed;
  transport->hold(true);
  member.views()->send_all([&](MemberId to, const Frame& frame) {
    if (!failed.ok() || !transport->has_room(to.value)) return false;
    traffic.sent(to.value, frame->size());
    failed = transport->send(to.value, frame);
    return failed.ok();
  });
  transport->hold(false);
  if (!failed.ok()) member.fail(failed);
}

/// Rounds are counted on from what the view goes on from: who waits for a round that was cut off
/// waits for that one instead.
void Node::Inside::set_seated(bool seated) {
  if (seated) {
    posted_.store(member.completed().value);
    view_from_.store(member.completed().value);
    fresh_posted = {fresh_done.load(), {}, {}};
  }
  seated_.store(seated);
  turn.wake_done();
}

/// For the day on which this history is given up for another one. Rounds that this node already had
/// when it went on alone count as well: whether the other history has them is not known here.
void Node::Inside::count_apart(std::uint64_t commits) {
  const auto& line = member.views()->member().lineage();
  if (!line.unconfirmed()) return;
  if (apart.root != line.root) apart = {line.root, 0};
  apart.commits += commits;
}

/// The consumer has the other state already, so whoever begins now reads that. What is in flight may
/// be in a round that the other history has too, for all that can be known here.
void Node::Inside::drop_history(const ViewMember::Event& event) {
  const auto refused = window.begin_history(consumer.history());
  const auto why = history_given_up();
  window.answered(refused.size());
  for (const auto& item : refused) item->answer({why.code(), {}, why.text()});
  const auto other = "node " + std::to_string(event.member.value);
  answer_unknown("this node has given up the history in which it was sent for that of " + other);
  const auto& before = event.before;
  const bool apart_too = before.unconfirmed() && apart.root == before.root;
  const auto round = [](Round one) { return std::to_string(one.value); };
  std::string text = "this node's state of round " + round(Round{applied_}) +
                     " is given up for that of " + other + ", of round " +
                     round(member.views()->applied_round()) + " of another history";
  if (before.unconfirmed())
    text += "; dropped is what was committed without a majority since round " + round(before.base) +
            ", in it " + std::to_string(apart_too ? apart.commits : 0) +
            " commits of this node that it had given out (outcome() tells of each)";
  trace.warn(member.completed(), text);
  apart = {};
}

void Node::Inside::handle(const ViewMember::Event& event) {
  using Kind = ViewMember::Event::Kind;
  switch (event.kind) {
    case Kind::connected:
      trace.event(member.completed(),
                  [&] { return "node " + std::to_string(event.member.value) + " is reached"; });
      notifier.tell(Notification::connect, info(event.member.value));
      break;
    case Kind::disconnected:
      trace.event(member.completed(), [&] {
        return "node " + std::to_string(event.member.value) + " is reached no more";
      });
      notifier.tell(Notification::disconnect, info(event.member.value));
      break;
    case Kind::installed:
      trace.event(member.completed(), [&] { return event.why.text(); });
      ++views;
      member.views()->recount(now_.time_since_epoch());
      quorum.update(member.quorum());
      set_seated(true);
      break;
    case Kind::wedged:
      trace.event(member.completed(), [&] { return "out of the view: " + event.why.text(); });
      set_seated(false);
      break;
    case Kind::dropped:
      drop_history(event);
      [[fallthrough]];
    case Kind::replaced:
      ++states_taken;
      applied_.store(member.views()->applied_round().value);
      trace.event(member.completed(),
                  [] { return std::string("the state was taken from another node"); });
      turn.wake_done();
      break;
    case Kind::evicted:
      trace.warn(member.completed(), "the others went on without this node; it joins again");
      break;
    case Kind::quorum_lost:
    case Kind::quorum_regained:
      // tick_views() looks at the count itself.
      break;
    case Kind::warning:
      trace.warn(member.completed(), event.why.text());
      break;
    case Kind::trace:
      trace.event(member.completed(), [&] { return event.why.text(); });
      break;
    case Kind::finished:
      finish(member.phase(), event.why);
      break;
  }
}

}  // namespace exdb
