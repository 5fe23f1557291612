// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One member of a cluster whose nodes come and go, whole but for threads, transport, window and
// consumer: what Member is where membership is fixed. Frames, links and what time it is go in;
// frames, final rounds and events come out. It is `protocol.md` §2 in code: rounds of an installed
// view, changes of view by ballots with a promise quorum and an accept quorum, and catching up.
//
// Invariants (letters as in cluster/README.md; I: protocol.md §3)
//   W1  A round is given out when members with more than half of the configured qrank hold it, in
//       order, each once, and is never taken back (I1, I5).
//   W2  promised() and accepted() never decrease in one life, and promised() is never behind (I4).
//   W3  From a promise on until a view is installed nothing is posted, completed or made final by a
//       watermark here (wedge).
//   W4  A view is installed only where it was accepted, its rounds are here, and nothing higher was
//       promised. What the view goes on from contains every round that was given out (I3); a view
//       change that would take back one fails this member with `inconsistent`; a learner, which has
//       what is final from others, keeps out of such a view.
//   W5  A node that starts is no voter: its state counts in no quorum until a view is installed that
//       such a quorum has accepted without it (H8). Fresh nodes form a cluster only when nobody they
//       reach has a state.
//   W6  Rounds that were cut off are dropped only in the same step that puts those of the new view,
//       or final ones, in their place, or takes this member past where a newer view has cut them off
//       (L4): so no majority forgets what it has said that it holds.
//   W7  What this member posted and a view change cut off is posted again, first and in its order
//       (I2, I18); what was kept is not. After a state came as a snapshot it cannot know, and posts
//       again: whoever certifies has the highest sequence of each origin in the agreed state.
//   W8  Frames of other clusters, former lives and other views are counted and change nothing (I13).
//   W9  No more than two batches of this member are unfinished at any time (I12): round r+1 is
//       complete only when all members hold r.
// Where quorumCallback lets a node go on without a majority (lineage.hpp, candidacy B6 to B9):
//   W10 W1, I3 and I5 hold of the rounds of views with a majority's word as long as those hold that
//       the failure budget is for; of the other views' only within one lineage. Their rounds are given
//       out when all their members hold them.
//   W11 A node gives up the state that it has only in the step that puts that of a lineage above its
//       own in its place, so no lineage is lost by two that give way to each other (rank() is a total
//       order, and what a node says of itself in one lineage never goes down).
//   W12 Consent is for one set of reached nodes; a node that does not consent is a member only of
//       views with a majority's weight. A node without a state is never asked.
// Where nodes are on disk (`store`):
//   W13 remember() has given the store all that ViewMemory is of, after the rounds that it speaks of
//       and before those that rest on it. So what is said and given out once all of that is stored
//       (OutputGate) binds the next life as it did this one, and a crash is a node that stood still
//       and lost its links. A new life takes part only in a view that names it.
//   W14 Who has a state of a history that was founded apart, or went on without a majority, changes
//       nothing here but for a warning; a node that was a member of no view in this life ends with
//       `inconsistent`, which names it.
//   W15 A round that ends the cluster ends only a life that was a member when it was made.
// Threads: none; the caller has one lock around it. No clock: `now` is passed in, and only its
//   differences on this node count (H16, I19).
// Failure: the event `finished` with a Status.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cluster/candidacy.hpp"
#include "cluster/member_phase.hpp"
#include "cluster/peers.hpp"
#include "cluster/stable_store.hpp"
#include "cluster/state_transfer.hpp"
#include "cluster/view_memory.hpp"
#include "cluster/view_rounds.hpp"

namespace exdb {

class ViewMember {
 public:
  using Time = ViewTime;
  using Phase = MemberPhase;
  using Offer = RoundOffer;

  struct Options {
    MemberId self;
    Incarnation incarnation;            ///< higher than that of any former life of this node
    std::vector<std::uint32_t> qranks;  ///< one a node, the same everywhere
    std::uint64_t cluster_id = 0;
    ViewTiming timing;
    std::uint64_t lag_max = 4096;         ///< rounds that who is taken in may be behind
    std::uint64_t window = 1024;          ///< rounds that may be complete and not applied somewhere
    std::size_t rounds_per_frame = 4096;  ///< in an answer to FETCH
    std::size_t bytes_per_frame = std::size_t{1} << 20;
    std::uint64_t chunk_credit = 4;
    /// Of the state given to each node that joins, while transactions are committed in the view; else
    /// as fast as it is taken.
    std::size_t state_bytes_per_second = std::size_t{46} << 20;
    /// Of fetched rounds that are not applied yet, or the size of the state before them if that is
    /// more.
    std::size_t ahead_bytes_min = std::size_t{64} << 20;
    ViewMutation mutation = ViewMutation::none;
    // Of a node on disk.
    /// What must not be forgotten goes there, as do the changes of the history; null: nowhere. It
    /// outlives the member.
    StableStore* store = nullptr;
    /// Of the life before. REQUIRES: `incarnation` is next_life() of it.
    std::optional<ViewMemory> memory = {};
    /// What the consumer has. REQUIRES: the history has the chain there, and the rounds after it.
    Round applied = {};
    Csn horizon = {};  ///< as of that round
  };

  struct Event {
    enum class Kind {
      connected,        ///< a node is reached that was not
      disconnected,     ///< is reached no more
      installed,        ///< this node is a member of view()
      wedged,           ///< and is none any more, until the next `installed`
      evicted,          ///< there is a view without this node; it joins again by itself
      quorum_lost,      ///< too few are reached to write
      quorum_regained,  ///< the first time: gained
      replaced,  ///< the state was replaced by a snapshot; applied_round() says of which round
      dropped,   ///< likewise, and by that of another history, of `member`: what was given out here
                 ///< is not in it
      warning,   ///< for people
      trace,     ///< for people who look for a fault
      finished,  ///< phase() has changed, for the reason `why`
    };
    Kind kind;
    MemberId member;
    Status why;
    Lineage before = {};  ///< dropped: of the state that was given up
  };

  struct Output {
    MemberId to;
    Frame frame;
  };

  struct Counters {
    std::uint64_t undecodable = 0, foreign = 0, old_lives = 0, other_views = 0;  ///< frames dropped
    std::uint64_t ballots = 0, views = 0, evictions = 0;
    std::uint64_t repeated = 0;  ///< batches posted again
    std::uint64_t rounds_fetched = 0, states_given = 0, states_taken = 0, transfers_broken = 0;
  };

  ViewMember(Options options, RoundHistory& history, StateSource& source, StateSink& sink,
             Time now);

  // --- inputs ---
  void on_frame(MemberId from, Bytes frame, Time now);
  void on_link_up(MemberId member, Time now);
  /// What was on its way to or from it is lost.
  void on_link_down(MemberId member, Time now);
  /// Time passes. To be called a few times a beat, whether anybody waits or not. O(nodes^2).
  void tick(Time now);
  void want_stop() { stop_wanted_ = true; }
  /// Asks the others to go on without this node; it goes on posting until they do.
  void want_leave(Time now);
  /// REQUIRES: may_post(); no items when owes().
  void post(Offer offer, Time now);
  /// The consumer has the round that next_final() gave.
  void applied();
  /// The consumer could not take it.
  void cannot_apply(const Status& why);
  void fail(const Status& why) { finish(Phase::failed, why); }
  /// Gives the store what has changed since the last time (W13). O(1).
  void remember();
  /// What quorumCallback says while asks() and `reach` are what they are now.
  void answer(const MemberSet& reach, bool consents);

  // --- outputs ---
  /// Takes the next complete round into the history. True when there was one.
  bool advance(Time now);
  /// The next round for the consumer, or null. Valid until applied() or the next input.
  const CompletedRound* next_final();
  /// Of the round that next_final() gave: no transaction with an older snapshot may commit from
  /// here on.
  [[nodiscard]] Csn horizon() const { return horizon_; }
  std::vector<Output> take_outputs();
  std::vector<Event> take_events() { return std::exchange(events_, {}); }

  // --- state ---
  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] bool may_post() const;
  /// Besides items: somebody waits for this member's batch, or it has something to say.
  [[nodiscard]] bool wants_post() const;
  /// The next batch is one that this member has posted before: no items are taken with it.
  [[nodiscard]] bool owes() const;
  /// Member of an installed view, with more than half of the qrank reached.
  [[nodiscard]] bool may_write() const { return seated_ && quorum_; }
  [[nodiscard]] bool seated() const { return seated_; }
  /// No majority of nodes with a state has been there for as long as makes it gone: quorumCallback is
  /// to be asked whether this node may go on with reach(). Not when the answer is known.
  [[nodiscard]] bool asks() const;
  [[nodiscard]] const MemberSet& reach() const { return reached_; }
  /// No majority is there, and what quorumCallback says to those that are reached is not known: it
  /// is asked, or will be. O(nodes^2).
  [[nodiscard]] bool undecided() const;
  /// It said yes for those that are reached now; that it said no.
  [[nodiscard]] bool consents() const { return answer_ && answer_->yes && fits(*answer_); }
  [[nodiscard]] bool declines() const { return answer_ && !answer_->yes && fits(*answer_); }
  [[nodiscard]] const Lineage& lineage() const { return lineage_; }
  /// This node's state counts in quorums.
  [[nodiscard]] bool voter() const { return voter_; }
  /// The newest installed view here. REQUIRES: one was installed in this life.
  [[nodiscard]] const View& view() const { return rounds_->view(); }
  [[nodiscard]] Ballot promised() const { return promised_; }
  [[nodiscard]] Ballot accepted() const { return accepted_; }
  [[nodiscard]] Round applied_round() const { return applied_; }
  [[nodiscard]] Round final_round() const { return final_; }
  [[nodiscard]] RoundHistory::Chain newest() const { return history_.chain(); }
  [[nodiscard]] std::size_t unfinished() const { return unfinished_.size(); }
  /// What all members of view() have applied, by their own word. REQUIRES: as view().
  [[nodiscard]] Round slowest_applied() const { return rounds_->slowest_applied(); }
  /// What one of them has. REQUIRES: as view().
  [[nodiscard]] Round applied_by(MemberId member) const { return rounds_->applied_by(member); }
  [[nodiscard]] bool was_seated() const { return rounds_.has_value(); }
  [[nodiscard]] bool reaches(MemberId member) const { return reached_.has(member); }
  /// What came from it last was of another cluster: id, schema or qranks differ.
  [[nodiscard]] bool foreign(MemberId member) const { return foreign_.has(member); }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  using Chain = RoundHistory::Chain;

  /// A batch of this member that is not final yet.
  struct Unfinished {
    std::vector<std::byte> payload;
    Ballot view;  ///< in which it was posted; none when it is owed
    Round round;
  };
  /// A proposed view that this member is about to accept.
  struct Pending {
    View view;
    Chain after;
    Ballot source;
    Lineage lineage;
    MemberId from;  ///< who has the rounds
    Chain base;     ///< staged rounds come after this one
    std::vector<CompletedRound> staged;
    Chain staged_upto;
  };
  struct CatchUp {
    MemberId from;
    Time since;
    bool parted = false;  ///< as in FETCH
    Time answered{};      ///< when a chunk was answered last
  };
  /// Of quorumCallback.
  struct Answer {
    MemberSet reach;
    bool yes = false;
    Time at;
  };
  struct Given {
    Donation donation;
    Time since;
    Time pumped;
    std::int64_t allowance = 0;  ///< bytes; less than none after a long chunk
    bool spending = false;       ///< until the allowance is used up
  };

  // view_member.cpp: rounds, and who gets which frame
  void note_foreign(MemberId from, bool another_cluster);
  [[nodiscard]] bool mutated(ViewMutation mutation) const { return options_.mutation == mutation; }
  void send(MemberId to, const ViewMessage& message, Ballot ballot = {});
  void take(MemberId from, const ViewHeader& header, const Ack& ack);
  void take(MemberId from, const ViewHeader& header, const BatchMessage& batch);
  bool of_this_view(MemberId from, const ViewHeader& header);
  void settle(CompletedRound&& round);
  void update_final();
  void set_final(Round upto);
  void end_if_over();
  void finish(Phase phase, const Status& why);
  void tell(Event::Kind kind, MemberId member = {}, std::string text = {});
  [[nodiscard]] Ack make_ack(bool want) const;
  /// REQUIRES: not older than what is applied.
  [[nodiscard]] Chain chain_known(Round round) const;
  void send_status(MemberId to, bool want = false);
  void look_at_links();
  void tick_rounds();

  // view_stable.cpp: from one life to the next
  void recall(const ViewMemory& memory);
  [[nodiscard]] ViewMemory memory() const;
  bool part_from_fork(MemberId from, const ViewMessage& message);
  bool part_from_fork(MemberId from, const Lineage* theirs);
  void tick_fork();
  void join_history(const Lineage& theirs);

  // view_change.cpp: ballots
  void take(MemberId from, const ViewHeader& header, const Prepare&);
  void take(MemberId from, const ViewHeader& header, const Promise& promise);
  void take(MemberId from, const ViewHeader& header, const NewView& view);
  void take(MemberId from, const ViewHeader& header, const ViewAck&);
  void take(MemberId from, const ViewHeader& header, const Install&);
  void take(MemberId from, const ViewHeader& header, const Leave&);
  void take(MemberId from, const ViewHeader& header, const Evicted& evicted);
  void take(MemberId from, const ViewHeader& header, const Join& join);
  [[nodiscard]] std::string reason_to_change() const;
  [[nodiscard]] std::string reason_while_seated() const;
  [[nodiscard]] std::string reason_while_apart() const;
  [[nodiscard]] MemberSet reachable_clique(const MemberSet& candidates) const;
  [[nodiscard]] bool out_of_view(MemberId member) const;
  [[nodiscard]] bool admissible(MemberId member) const;
  [[nodiscard]] bool level(Round there) const;
  [[nodiscard]] bool slow_to_apply(MemberId member) const;
  [[nodiscard]] std::uint32_t position() const;
  [[nodiscard]] Promise make_promise() const;
  void consider_change();
  void begin_ballot(const std::string& reason);
  void tick_ballot();
  void choose_view();
  void abandon(const std::string& why);
  void wedge();
  void prepare_pending();
  void accept_pending();
  void install_if_accepted();
  void install();
  void leave_view(const std::string& why);

  // view_lineage.cpp: going on without a majority, and what becomes of it
  [[nodiscard]] bool fits(const Answer& answer) const { return answer.reach == reached_; }
  [[nodiscard]] bool lacks_majority() const;
  [[nodiscard]] bool others_are_gone() const;
  [[nodiscard]] MemberSet voters_reached() const;
  [[nodiscard]] bool parted(MemberId member) const;
  [[nodiscard]] bool outranks(MemberId member) const;
  [[nodiscard]] std::optional<MemberId> outranking() const;
  [[nodiscard]] MemberSet consenting(const MemberSet& candidates) const;
  void hear_lineage(MemberId from, const Lineage& lineage, Round newest);
  void follow_lineage(const Lineage& theirs);
  [[nodiscard]] std::vector<CompletedRound> common_rounds(const SnapBegin& begin) const;
  void take_parted_state(const SnapBegin& begin);

  // view_join.cpp: catching up
  void take(MemberId from, const ViewHeader& header, const Fetch& fetch);
  void take(MemberId from, const ViewHeader& header, Rounds& rounds);
  void take(MemberId from, const ViewHeader& header, const SnapBegin& begin);
  void take(MemberId from, const ViewHeader& header, const SnapChunk& chunk);
  void take(MemberId from, const ViewHeader& header, const SnapAck& ack);
  void take(MemberId from, const ViewHeader& header, const SnapEnd& end);
  void tick_join();
  bool hears_final(MemberId donor);
  void stay_level(MemberId with);
  void stop_catching_up();
  [[nodiscard]] std::optional<MemberId> best_donor() const;
  [[nodiscard]] Rounds rounds_after(Chain after, Round upto) const;
  void take_staged(Rounds& rounds);
  void take_final(MemberId from, Rounds& rounds);
  bool append_final(CompletedRound&& round);
  void give_state(MemberId to);
  void stop_giving(MemberId to);
  void pump(MemberId to);
  void pump_all();
  [[nodiscard]] std::size_t ahead_bytes_max() const;
  bool full_of_rounds();
  void ask_ahead();
  void tick_intake();
  void take_state(MemberId from, const SnapBegin& begin);

  const Options options_;
  const Weights weights_;
  RoundHistory& history_;
  StateSource& source_;
  Peers peers_;
  Time now_, started_;
  Phase phase_ = Phase::running;

  // What must never go back.
  Ballot promised_, accepted_;
  bool voter_ = false;
  std::vector<Ballot> unconfirmed_;  ///< accepted before this node was a voter
  View accepted_view_;
  Chain accepted_after_;
  Ballot installed_;       ///< newest view known to be installed that has, or had, this node in it
  Ballot told_installed_;  ///< newest of which an INSTALL or a member of it spoke
  std::uint64_t counter_seen_ = 0;
  Ballot history_view_;  ///< whose rounds the complete ones are: accepted_, or none since another
                         ///< lineage was followed
  Lineage lineage_;
  std::optional<Answer> answer_;
  std::optional<ViewMemory> remembered_;  ///< what the store has
  Ballot first_installed_;                ///< in this life
  MemberSet forks_;                       ///< who is told of already
  std::optional<Time> fork_since_;        ///< W14: so that the other one hears of it, too
  Status fork_;

  // The view.
  std::optional<ViewRounds> rounds_;  ///< of the newest view installed here
  bool seated_ = false, quorum_ = false;
  MemberSet reached_, odd_, foreign_;
  std::vector<std::optional<Time>> apart_since_;  ///< members that are not seated in this view
  Round final_, applied_;
  Ballot final_view_, applied_view_;  ///< in which those were made
  Round last_round_;                  ///< of the newest round that ends the cluster; 0 = none
  Csn horizon_, horizon_applied_;     ///< of the round given out last, of that applied last
  std::deque<Unfinished> unfinished_;
  bool ack_due_ = false, stop_wanted_ = false, stop_said_ = false;
  std::optional<Time> leave_since_;
  Time progress_at_{0}, asked_again_at_{0};

  // The change of view.
  std::optional<Candidacy> candidacy_;
  bool proposed_ = false;
  MemberSet asked_, wanted_;  ///< of the ballot; whom a seated member began it for
  std::optional<Pending> pending_;
  std::optional<Time> change_since_, lacks_since_;
  Time ballot_began_{0}, ballot_activity_{0}, next_try_{0};
  std::uint32_t attempts_ = 0;

  // Catching up.
  Intake intake_;
  std::optional<CatchUp> catch_up_;
  Time next_catch_up_{0};
  std::optional<MemberId> level_with_;  ///< whose final rounds are all here
  RoundsAhead ahead_;
  std::size_t fetched_bytes_ = 0;            ///< of final rounds that were fetched, not applied yet
  std::optional<Time> full_since_;           ///< of them, and never without any in between
  bool slow_told_ = false;                   ///< since then
  std::vector<std::optional<Given>> given_;  ///< by receiver
  std::size_t giving_ = 0;                   ///< of those, how many there are
  Time items_at_ = Time::min();              ///< when a round with transactions was complete last
  std::uint64_t transfers_ = 0;

  std::vector<Output> outputs_;
  std::vector<Event> events_;
  Counters counters_;
};

}  // namespace exdb
