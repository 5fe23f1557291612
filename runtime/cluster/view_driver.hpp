// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A ViewMember as a Node drives it: with the functions that Member has, where they mean the same.
// Beside them the count of who is reached, what waits for room in the transport, how long a node
// that has ended stays to be asked, and a stop that nobody is left to agree to.
//
// Invariants
//   I1  Frames to one node keep their order; those that wait when its link breaks are lost with it.
//   I2  The count, as of the last tick or the last recount(), allows writes exactly while a majority
//       is reached, or quorumCallback consents, and this node is a member of a view or has not been
//       one for less than `timeout`: a change of view refuses nobody. Who is told that this node is
//       seated is told after a recount(), so that a commit is never refused for what the next tick
//       would have seen.
//   I3  While quorumCallback is to be asked, or has not answered, the count is undecided: nobody is
//       refused meanwhile, unless this node stops.
//   I4  Where the node is on disk nothing is said or given out before the store has all that it rests
//       on (OutputGate); a store that fails ends the node with its text.
// Threads: none; the caller has one lock around it.
#pragma once
#include <deque>
#include <limits>

#include "cluster/member.hpp"
#include "cluster/output_gate.hpp"
#include "cluster/view_member.hpp"

namespace exdb {

class ViewDriver {
 public:
  using Time = ViewMember::Time;
  using Phase = MemberPhase;

  /// `asks`: there is a quorumCallback, and answer() is given when member().asks().
  ViewDriver(ViewMember::Options options, Time timeout, bool asks, RoundHistory& history,
             StateSource& source, StateSink& sink, Time now);

  // --- as Member ---
  void on_frame(MemberId from, Bytes frame, Time now) {
    member_.on_frame(from, frame, now);
    look_at_final();
  }
  void on_gone(MemberId member, Time now);
  void on_up(MemberId member, Time now);
  void heard(Time /*now*/) {}
  /// True when it was time to look.
  bool tick(Time now);
  void want_stop(Time now);
  void want_leave(Time now) { member_.want_leave(now); }
  void post(RoundOffer offer, Time now) { member_.post(std::move(offer), now); }
  void tell_elsewhere(const std::vector<Elsewhere>& /*where*/) {}
  void set_kept(const std::vector<Elsewhere>& /*kept*/) {}
  void applied() { member_.applied(); }
  void cannot_apply(const Status& why) { member_.cannot_apply(why); }
  void fail(const Status& why);
  void go() { finish(Phase::left); }
  bool advance(Time now);
  const CompletedRound* next_final();
  [[nodiscard]] Csn horizon() const { return member_.horizon(); }
  std::vector<std::byte> room() { return {}; }
  [[nodiscard]] Phase phase() const { return over_.value_or(member_.phase()); }
  [[nodiscard]] bool may_post() const { return !over_ && member_.may_post(); }
  [[nodiscard]] bool wants_post() const { return !over_ && member_.wants_post(); }
  [[nodiscard]] bool ping_wanted() const { return false; }
  /// Has ended, and others may still ask for its last rounds.
  [[nodiscard]] bool parting() const;
  [[nodiscard]] bool active() const { return phase() == Phase::running || parting(); }
  [[nodiscard]] Round completed() const { return member_.newest().round; }
  [[nodiscard]] Round posted() const { return member_.newest().round; }
  [[nodiscard]] const QuorumCount& quorum() const { return count_; }
  [[nodiscard]] std::string awaited_names() const;

  // --- besides ---
  /// The next batch is one that was posted before: no items are taken with it.
  [[nodiscard]] bool owes() const { return member_.owes(); }
  /// Brings the count up to date: after a view was installed, before anybody hears of it.
  void recount(Time now) { count(now); }
  /// As ViewMember::answer().
  void answer(const MemberSet& reach, bool consents, Time now);
  [[nodiscard]] Round applied_round() const { return member_.applied_round(); }
  [[nodiscard]] bool seated() const { return phase() == Phase::running && member_.seated(); }
  /// Since when no majority was reached; nothing while one is.
  [[nodiscard]] std::optional<Time> without_quorum_since() const { return without_since_; }
  std::vector<ViewMember::Event> take_events();
  /// Moves what the member has to say to `backlog`; `send(to, frame)` takes one or says false: no
  /// room now.
  template <class Send>
  void send_all(Send&& send) {
    const auto queue = [this](ViewMember::Output&& output) {
      backlog_[output.to.value].push_back(std::move(output.frame));
    };
    auto outputs = member_.take_outputs();
    if (gate_) {
      look_at_final();
      gate_->hold(std::move(outputs));
      gate_->release(queue);
    } else {
      for (auto& output : outputs) queue(std::move(output));
    }
    for (std::uint32_t to = 0; to < backlog_.size(); ++to)
      while (!backlog_[to].empty() && send(MemberId{to}, backlog_[to].front()))
        backlog_[to].pop_front();
  }
  /// How often tick() has to be called, whoever waits.
  [[nodiscard]] static Time tick_every(const ViewTiming& timing);
  [[nodiscard]] const ViewMember& member() const { return member_; }

 private:
  void finish(Phase phase);
  void count(Time now);
  /// Before anything is stamped.
  void look_at_final() {
    if (!gate_) return;
    member_.remember();
    gate_->see_final(member_.final_round());
  }

  const MemberId self_;
  const Time timeout_, give_up_after_, give_up_alone_after_, every_;
  const bool asks_;
  StableStore* const store_;  ///< may be null
  ViewMember member_;
  std::optional<OutputGate> gate_;
  QuorumCount count_;
  std::vector<std::deque<Frame>> backlog_;  ///< by receiver
  std::optional<Phase> over_;               ///< ended by the caller, whatever the member does
  std::vector<ViewMember::Event> own_events_;
  Time next_tick_, apart_since_;
  std::optional<Time> without_since_;
  bool stop_wanted_ = false;
};

}  // namespace exdb
