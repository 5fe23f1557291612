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

/// What is queued while there is no quorum is refused each time: a submit that was let in before
/// the quorum went may still put something there.
void Node::Inside::tick_views() {
  auto& by = *member.views();
  const auto before = by.quorum().version();
  by.tick(now_.time_since_epoch());
  handle_events();
  if (finished()) return;
  if (!seated_) refused_by_majority = !refusal_by(Among::refusers).ok();
  if (by.quorum().version() != before) {
    quorum.update(by.quorum());
    turn.wake_done();
  }
  const auto since = by.without_quorum_since();
  if (!since) return;
  if (!window.empty() && !window.is_shut()) {
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

/// The first refusal by a node that, with the others that count, would make the majority that is
/// missing.
Status Node::Inside::refusal_by(Among whom) const {
  const auto& reached = member.quorum();
  if (reached.majority()) return {};
  auto count = reached;
  Status first;
  for (std::uint32_t node = 0; node < transport->size(); ++node) {
    const auto why = node == self.value ? Status() : transport->refusal(node);
    if (first.ok()) first = why;
    count.set_reached(MemberId{node},
                      !why.ok() || (whom == Among::all && reached.reaches(MemberId{node})));
  }
  return count.majority() ? first : Status();
}

void Node::Inside::flush_views() {
  Status failed;
  member.views()->send_all([&](MemberId to, const Frame& frame) {
    if (!failed.ok() || !transport->has_room(to.value)) return false;
    traffic.sent(to.value, frame->size());
    failed = transport->send(to.value, frame);
    return failed.ok();
  });
  if (!failed.ok()) member.fail(failed);
}

/// Rounds are counted on from what the view goes on from: who waits for a round that was cut off
/// waits for that one instead.
void Node::Inside::set_seated(bool seated) {
  if (seated) posted_.store(member.completed().value);
  seated_.store(seated);
  turn.wake_done();
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
