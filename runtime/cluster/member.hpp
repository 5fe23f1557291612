// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One member of the rounds, whole but for threads, transport, window and consumer: what arrives and
// what time it is go in, frames, final rounds and events come out. So the simulator runs everything
// that is decided here, in any order of arrivals and at any speed of the clock.
//
// Invariants
//   I1  Rounds are given out in order, each once, and none before it is final. They go on where the
//       history ends that it was made with, which is the same on all members.
//   I2  A member whose digest is not the majority's fails with `inconsistent`, and all others expel
//       it in that same round; with no majority all fail. A member that leaves does not vote, and
//       digests of different rounds are not compared.
//   I3  It ends once: ended (all said stop), left, or failed. Ended and left come after the last
//       round was applied.
//   I4  While somebody waits, a round that is silent for `timeout` fails it, naming who is missing;
//       members that answer are waited for as long as it takes. A stop that waits asks for a round
//       every ping_every(), so that the two can be told apart.
//   I5  Databases that are closed in opposite order, or in a circle, are recognised by all concerned
//       or by none: nobody says so before it knows that the others have seen the same.
// Threads: none; the caller has one lock around it.
// Failure: the event `failed`; after cannot_apply() it still posts one batch that says leave
//   (parting()), so that the others need not wait for the timeout.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cluster/member_phase.hpp"
#include "cluster/opposite_order.hpp"
#include "cluster/quorum_count.hpp"
#include "cluster/round_history.hpp"
#include "cluster/round_protocol.hpp"

namespace exdb {

class Member {
 public:
  /// Of a clock that never goes back; its zero is the caller's.
  using Time = std::chrono::nanoseconds;
  using Phase = MemberPhase;
  using Offer = RoundOffer;

  /// Rules that the simulator takes out, one at a time. None in production.
  enum class Mutation : std::uint8_t {
    none,
    never_silent,         ///< silence never fails
    impatient,            ///< a stop fails after the timeout although the others answer
    never_pings,          ///< a stop that waits asks for no rounds
    keeps_odd,            ///< a member with another digest is not expelled
    counts_leavers,       ///< who has left still counts in the quorum
    leavers_vote,         ///< the digest of who leaves is compared too
    compares_all_rounds,  ///< digests of different rounds are compared
    hands_over_early,     ///< gives out rounds before they are final
    ends_unapplied,       ///< ends when the last round is complete, not applied
    ignores_gone,         ///< a lost link changes nothing
    no_farewell,          ///< a member that cannot apply says nothing
    accuses_at_sight,     ///< takes the first sign of an opposite order for certain
    accuses_alone,        ///< does not wait until the other side is sure as well
  };

  struct Options {
    MemberId self;
    std::vector<std::uint32_t> qranks;  ///< one a member
    std::optional<Voters> voters;       ///< none: the members
    std::uint64_t cluster_id = 0;
    bool broadcast_is_collective = false;
    Time timeout{0};   ///< 0 = for ever
    std::string name;  ///< of the database, for texts
    Mutation mutation = Mutation::none;
  };

  struct Event {
    enum class Kind {
      removed,   ///< takes no part in broadcasts from here on
      forget,    ///< what it had sent in parts is not wanted any more
      lost,      ///< is gone for the program: `why` says how
      warning,   ///< for people
      sure,      ///< an opposite order was recognised here: the other side is to know
      opposite,  ///< and there: the stop that waits here is to fail with `why`
      finished,  ///< phase() has changed, for the reason `why`
    };
    Kind kind;
    MemberId member;
    Status why;
  };

  Member(Options options, RoundHistory& history, Finality& finality, Time now);

  // --- inputs ---
  void on_frame(MemberId from, Bytes frame);
  /// The same for a frame that is kept until its round is released, rather than copied.
  void on_whole_frame(MemberId from, const Frame& frame);
  /// Something arrived.
  void heard(Time now) { last_progress_ = now; }
  /// The transport knows that this member is gone.
  void on_gone(MemberId member);
  /// A node that `member` speaks for has ended: its qrank counts no more.
  void on_node_ended(MemberId member, NodeId node) { quorum_.lose_node(member, node); }
  /// Time passes while somebody waits. Cheap; to be called now and then.
  void tick(Time now);
  void want_stop(Time now);
  void want_leave() { leave_wanted_ = true; }
  /// REQUIRES: may_post().
  void post(Offer offer, Time now);
  /// Says to those who wait in stop here that whoever would stop this database waits elsewhere. To
  /// be called before post().
  void tell_elsewhere(const std::vector<Elsewhere>& where);
  /// While somebody waits in stop: what that thread keeps open besides, and has not stopped.
  void set_kept(std::vector<Elsewhere> kept) { opposite_.set_kept(std::move(kept)); }
  /// The consumer has the round that next_final() gave.
  void applied();
  /// The consumer could not take it: this member cannot go on, and says so if it can.
  void cannot_apply(const Status& why);
  void fail(const Status& why) { finish(Phase::failed, why); }
  /// Ends without the others' knowledge, and says nothing more.
  void go() {
    finish(Phase::left, {});
    parting_ = false;
  }

  // --- outputs ---
  /// Takes the next complete round into the history, or sees who is gone. True when there was one.
  bool advance(Time now);
  /// Tells the others what the disk here has, where they wait for that. To be called after
  /// next_final(), and before what it gave is applied: this member may end with that.
  void tell_kept() {
    if (!asks_others_ || !active()) return;
    if (const auto kept = finality_.to_tell()) protocol_.tell_kept(*kept);
  }
  /// The next round for the consumer, or null. Valid until applied().
  const CompletedRound* next_final();
  /// Of the round that next_final() gave: no transaction with an older snapshot may commit from
  /// here on.
  [[nodiscard]] Csn horizon() const { return horizon_; }
  [[nodiscard]] bool has_outputs() const { return protocol_.has_outputs(); }
  std::vector<RoundProtocol::Output> take_outputs() { return protocol_.take_outputs(); }
  /// The same, into a vector that keeps its memory. REQUIRES: it is empty.
  void take_outputs(std::vector<RoundProtocol::Output>& into) { protocol_.take_outputs(into); }
  /// An empty payload for post(), with the memory of an old one if there is one.
  std::vector<std::byte> room() { return protocol_.room(); }
  [[nodiscard]] bool has_events() const { return !events_.empty(); }
  std::vector<Event> take_events();

  // --- state ---
  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] bool may_post() const { return active() && protocol_.may_post(); }
  /// Besides items: somebody waits for this member's batch, or it has something to say.
  [[nodiscard]] bool wants_post() const;
  /// A ping is due: the caller should read the clock and post.
  [[nodiscard]] bool ping_wanted() const { return ping_wanted_; }
  /// Has failed, and its leave is still to be heard.
  [[nodiscard]] bool parting() const { return parting_; }
  [[nodiscard]] bool active() const { return phase_ == Phase::running || parting_; }
  [[nodiscard]] Round posted() const { return protocol_.posted(); }
  [[nodiscard]] Round completed() const { return protocol_.completed(); }
  [[nodiscard]] Round applied_round() const { return applied_; }
  [[nodiscard]] const QuorumCount& quorum() const { return quorum_; }
  /// Members whose batch of the round that this one has posted is missing here.
  [[nodiscard]] std::vector<MemberId> missing() const {
    return posted() > completed() ? protocol_.missing() : std::vector<MemberId>{};
  }
  /// "nodes 1, 2": members that have not said stop; if all have, those whose batch is missing.
  [[nodiscard]] std::string awaited_names() const;
  /// In its newest batch: it has nothing more to commit.
  [[nodiscard]] bool said_stop(MemberId member) const { return said_stop_[member.value]; }
  [[nodiscard]] Time ping_every() const;
  /// Where those wait for whom this member waits in stop, as far as they have said.
  [[nodiscard]] std::vector<Elsewhere> beyond() const {
    return opposite_.beyond(protocol_.completed(), said_stop_);
  }

 private:
  void take_notes(const Status& read);
  struct Departure {
    Round round;
    MemberId member;
  };

  [[nodiscard]] std::uint32_t size() const { return std::uint32_t(options_.qranks.size()); }
  [[nodiscard]] bool mutated(Mutation mutation) const { return options_.mutation == mutation; }
  [[nodiscard]] std::vector<MemberId> odd_ones(const CompletedRound& round) const;
  void settle(CompletedRound&& round);
  void remove(Round round, MemberId member, const char* how);
  void lose(MemberId member, const char* how);
  void look_at_links();
  void tick_stop(Time now);
  void take_note(const RoundProtocol::Note& note);
  void end_if_over();
  void finish(Phase phase, const Status& why);
  void warn(std::string text);
  [[nodiscard]] Time warn_after() const;
  [[nodiscard]] std::string silence(Time silent) const;

  const Options options_;
  RoundHistory& history_;
  Finality& finality_;
  const bool asks_others_;  ///< Finality::asks_others()
  RoundProtocol protocol_;
  QuorumCount quorum_;
  Phase phase_ = Phase::running;
  bool stop_wanted_ = false, stop_said_ = false, leave_wanted_ = false, ping_wanted_ = false;
  bool parting_ = false;
  Round applied_, final_;
  Csn horizon_;
  std::vector<bool> gone_, lost_,
      said_stop_;  ///< told by the transport; told on; in its last batch
  bool gone_news_ = false;
  Round carries_items_;  ///< the newest batch of this member that had any
  std::vector<Departure> departures_;
  Time last_progress_, stop_began_{0}, next_stop_warning_{0};
  bool warned_round_ = false;
  OppositeOrder opposite_;
  std::vector<Event> events_;
};

/// "node 3", "nodes 1, 2".
[[nodiscard]] std::string names_of(const std::vector<MemberId>& members);

}  // namespace exdb
