// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/node_inside.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// How long a node that has failed polls on to let the others hear of it, and one that gives up a
/// stop: an exchange takes far less where the others live, and a program that ends will not wait.
constexpr auto leave_cap = 1000ms;

}  // namespace

/// Ends whatever is left, without anybody's knowledge. REQUIRES: the drive lock.
void Node::Inside::go() {
  member.go();
  handle_events();
  parting = false;
}

/// Whoever drove has gone with the failure, and where there is no listener nobody polls any more.
void Node::Inside::part() {
  const auto until = Clock::now() + leave_cap;
  while (parting && Clock::now() < until) {
    {
      const std::lock_guard lock(drive_lock);
      if (step()) continue;
    }
    std::this_thread::sleep_for(100us);
  }
}

void Node::used() { inside_->closing.used(); }

Status Node::stop(std::optional<std::chrono::milliseconds> deadline) {
  auto& in = *inside_;
  const bool over = in.finished();
  const auto until = deadline ? Inside::Clock::now() + *deadline : Inside::Clock::time_point::max();
  if (!in.stop_wanted) {
    const std::lock_guard lock(in.drive_lock);
    in.trace.event(in.member.completed(), [] { return std::string("stop"); });
    in.window.shut();
    in.member.want_stop(Inside::Clock::now().time_since_epoch());
    in.stop_wanted = true;
  }
  in.quorum.end();
  in.turn.wake_done();  // whoever waited on behalf of the program, and need not any more
  if (in.napper.load() == Inside::Napper::driver) in.transport->wake();
  {
    const Closing::Waiting waiting(in.closing);
    ++in.stop_waiters;
    (void)in.drive_until([&in] { return in.finished() || in.stop_refused.load(); }, until);
    --in.stop_waiters;
  }
  // An opposite order is an error on both sides, also where this one might still have ended: the
  // other side gives up on the word of this one.
  if (in.stop_refused || !in.finished()) return in.give_up_stop(*this, deadline);
  if (in.phase() == Inside::Phase::left && !over)
    return {ErrorCode::interrupted,
            "stop() was interrupted: the node left the cluster before all others had stopped"};
  return in.failure();
}

/// The first reason stays: whoever stops again, or closes, is told the same.
void Node::Inside::refuse_stop(const Status& why) {
  const std::lock_guard lock(state_lock);
  if (stop_refused) return;
  stop_refusal_ = why;
  stop_refused = true;
}

/// The others go on without this node; they must not wait for it as it waited for them.
Status Node::Inside::give_up_stop(Node& node, std::optional<std::chrono::milliseconds> deadline) {
  if (!stop_refused) {
    const std::lock_guard lock(drive_lock);
    refuse_stop({ErrorCode::timeout, "stop() waited " + std::to_string(deadline->count()) +
                                         " ms for " + member.awaited_names() + " (of " +
                                         std::to_string(transport->size()) +
                                         ") to call stop() or close() too; this node has left"});
  }
  node.leave(leave_cap);
  const std::lock_guard lock(state_lock);
  return stop_refusal_;
}

void Node::leave(std::chrono::milliseconds cap) {
  auto& in = *inside_;
  in.quorum.end();
  // What the window holds stays here: to know that it is not committed is worth more than a last
  // attempt whose outcome this node may not live to hear. First, for who drives posts what the
  // window has as soon as leaving is wanted.
  in.refuse_waiting(ErrorCode::cluster_stopped,
                    "not committed: this node left before the transaction was sent");
  in.leave_wanted = true;
  in.turn.wake_done();
  if (in.napper.load() == Inside::Napper::driver) in.transport->wake();
  (void)in.drive_until([&in] { return in.finished(); }, Inside::Clock::now() + cap);
  const std::lock_guard lock(in.drive_lock);
  in.go();
}

void Node::close(bool collective) {
  auto& in = *inside_;
  std::thread listener;
  in.part();
  {
    const std::lock_guard lock(in.drive_lock);
    in.go();
  }
  {
    const std::lock_guard lock(in.state_lock);
    listener.swap(in.listener);
  }
  if (listener.joinable()) listener.join();
  in.notifier.close();
  in.finality->on_change({});
  if (in.options.membership && in.options.membership->store)
    in.options.membership->store->on_change({});
  const std::lock_guard lock(in.drive_lock);
  // Nodes that have left are not waited for by the others, who free what is common without them.
  // Where they come and go nobody can be sure to end together with anybody.
  in.transport->close(collective && in.phase() == Inside::Phase::ended && !in.options.membership);
}

NodeState Node::state() const {
  const auto& in = *inside_;
  using Phase = NodeState::Phase;
  NodeState state;
  switch (in.phase()) {
    case Inside::Phase::running:
      state.phase = stopped() || in.leave_wanted ? Phase::stopping : Phase::open;
      break;
    case Inside::Phase::ended:
      state.phase = Phase::stopped;
      break;
    case Inside::Phase::left:
      state.phase = Phase::left;
      break;
    case Inside::Phase::failed:
      state.phase = Phase::failed;
      break;
  }
  const bool asks = !in.quorum.allows() && in.quorum.callback_decides();
  const bool quorum = in.quorum.allows() || asks;
  state.writes = state.phase == Phase::open && quorum;
  // A node that stops still hears of what the others commit; after the common end it has it all.
  state.fresh_reads =
      state.phase != Phase::left && state.phase != Phase::failed && !in.leave_wanted && quorum;
  state.text = in.refusal().text();
  if (state.text.empty() && !in.quorum.allows())
    state.text = asks ? "the quorumCallback decides; " + in.quorum.explain() : in.quorum.explain();
  return state;
}

}  // namespace exdb
