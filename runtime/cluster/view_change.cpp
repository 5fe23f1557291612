// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ViewMember's changes of view: when one is wanted and who begins it, ballots, acceptance,
// installation, and how a member leaves a view.
#include <algorithm>
#include <limits>

#include "base/assert.hpp"
#include "cluster/view_member.hpp"

namespace exdb {
namespace {

/// Views that a learner remembers to have accepted. What is forgotten costs it its vote, not more.
constexpr std::size_t unconfirmed_max = 64;
constexpr std::uint32_t attempts_counted = 6;

}  // namespace

// --- when, and who ---

/// A member of the view that does not take part in it, though it may be heard.
bool ViewMember::out_of_view(MemberId member) const {
  const auto& peer = peers_.of(member);
  const auto& since = apart_since_[member.value];
  return peers_.suspected(member, now_) || !view().has(member, peer.incarnation) || peer.leaves ||
         odd_.has(member) || (since && now_ - *since >= options_.timing.patience);
}

/// A node outside of the view that could be taken in.
bool ViewMember::admissible(MemberId member) const {
  const auto& peer = peers_.of(member);
  return reached_.has(member) && !view().has(member) && !peer.seated && !peer.leaves &&
         !odd_.has(member) && !peers_.backs_off(member, now_) &&
         !(parted(member) && peer.final.round > Round{}) && !mutated(ViewMutation::never_admits) &&
         level(peer.final.round) && (level(peer.applied) || slow_to_apply(member));
}

bool ViewMember::level(Round there) const {
  return there.value + options_.lag_max >= history_.chain().round.value;
}

/// Who has had all rounds for so long, and does not apply them as fast as they are made, may only do
/// so when the members wait for it.
bool ViewMember::slow_to_apply(MemberId member) const {
  const auto& since = peers_.of(member).level_since;
  return since && now_ - *since >= options_.timing.patience / 4;
}

MemberSet ViewMember::reachable_clique(const MemberSet& candidates) const {
  CliqueChoice choice;
  choice.candidates = choice.counted = candidates;
  if (!leave_since_) {
    choice.candidates.add(options_.self);
    choice.counted.add(options_.self);
  }
  choice.ignores_reach = mutated(ViewMutation::ignores_reach);
  choice.reach.resize(weights_.members());
  for (const auto member : candidates.list())
    if (member != options_.self) choice.reach[member.value] = peers_.of(member).reach;
  choice.reach[options_.self.value] = reached_;
  return best_clique(choice, weights_);
}

std::string ViewMember::reason_to_change() const {
  if (phase_ != Phase::running || leave_since_ || last_round_ > Round{}) return {};
  return seated_ ? reason_while_seated() : reason_while_apart();
}

std::string ViewMember::reason_while_seated() const {
  std::string reason;
  MemberSet candidates, joiners;
  for (const auto member : peers_.others()) {
    const auto& peer = peers_.of(member);
    const bool member_here = view().has(member);
    if (member_here && out_of_view(member))
      reason += (reason.empty() ? "without node " : ", ") + std::to_string(member.value);
    if (admissible(member)) joiners.add(member);
    const bool fit = member_here && reached_.has(member) && !peer.leaves && !odd_.has(member);
    if (fit || joiners.has(member)) candidates.add(member);
  }
  if (reason.empty() && rounds_->posted() > final_ && now_ - progress_at_ >= options_.timing.stall)
    reason = "round " + std::to_string(rounds_->posted().value) + " gets no further";
  if (reason.empty() && joiners.empty()) return {};
  auto best = reachable_clique(candidates);
  if (best.empty() && consents()) best = consenting(candidates);
  if (best.empty() || !best.has(options_.self)) return {};
  if (!reason.empty()) return reason;
  const auto weight = weights_.of(best), weight_now = weights_.of(view().members());
  const bool more =
      weight != weight_now ? weight > weight_now : best.list().size() > view().seats.size();
  return more ? "with nodes " + text_of(joiners) : "";
}

std::string ViewMember::reason_while_apart() const {
  MemberSet candidates;
  bool state_somewhere = false;
  for (const auto member : peers_.others()) {
    const auto& peer = peers_.of(member);
    if (!reached_.has(member)) continue;
    // There is a view: this node waits until it is taken in; or gives way, or is given way to.
    if (outranks(member) || (peer.seated && !parted(member))) return {};
    state_somewhere |= peer.voter || peer.final.round > Round{};
    if (!peer.leaves) candidates.add(member);
  }
  if (consents() && lacks_majority())
    return "there is no majority, and quorumCallback says to go on";
  if (!weights_.majority(weights_.of(candidates) + weights_.of(options_.self))) return {};
  if (voter_ || lineage_.unconfirmed())
    return reachable_clique(candidates).empty() ? "" : "there is no view";
  // W5: a fresh node begins a view only with other fresh ones.
  const bool own_state = final_ > Round{} || history_.chain().round > Round{};
  if ((state_somewhere || own_state) && !mutated(ViewMutation::forms_beside_state)) return {};
  const bool all_here = candidates.list().size() + 1 == weights_.members();
  return all_here || now_ - started_ >= options_.timing.form_grace ? "nobody has a state" : "";
}

/// How many others would rather begin a ballot: those with a lower number.
std::uint32_t ViewMember::position() const {
  std::uint32_t before = 0;
  for (const auto member : peers_.others()) {
    if (member > options_.self || !reached_.has(member)) continue;
    before += peers_.of(member).voter == voter_ || peers_.of(member).voter;
  }
  return before;
}

void ViewMember::consider_change() {
  if (candidacy_) return;
  const auto reason = reason_to_change();
  if (reason.empty()) return change_since_.reset();
  if (!change_since_) change_since_ = now_;
  const auto turn = position() * options_.timing.stagger;
  auto begin_at = std::max(*change_since_ + turn, next_try_);
  // Somebody else's ballot is under way.
  if (!seated_ && promised_.member != options_.self && !promised_.none())
    begin_at = std::max(begin_at, ballot_activity_ + options_.timing.patience + turn);
  if (now_ >= begin_at) begin_ballot(reason);
}

// --- promises ---

void ViewMember::wedge() {
  if (!seated_) return;
  seated_ = ack_due_ = false;
  tell(Event::Kind::wedged, options_.self);
}

void ViewMember::leave_view(const std::string& why) {
  wedge();
  ++counters_.evictions;
  tell(Event::Kind::evicted, options_.self, why);
  if (leave_since_) finish(Phase::left, {});
}

Promise ViewMember::make_promise() const {
  Promise promise;
  promise.voter = voter_;
  promise.promised = promised_;
  promise.accepted = history_view_;
  promise.installed = installed_;
  promise.last = history_.chain();
  promise.final = make_ack(false).final;
  promise.reach = peers_.reach(now_);
  promise.unconfirmed = unconfirmed_;
  promise.leaves = leave_since_.has_value();
  promise.consents = consents();
  promise.lineage = lineage_;
  return promise;
}

void ViewMember::begin_ballot(const std::string& reason) {
  const Ballot ballot{std::max(counter_seen_, promised_.counter) + 1, options_.self,
                      options_.incarnation.value};
  EXDB_ASSERT(ballot > promised_, "W2: a ballot of one's own is above all promises");
  counter_seen_ = ballot.counter;
  promised_ = ballot;
  pending_.reset();
  wanted_ = {};
  for (const auto member : peers_.others())
    if (seated_ && admissible(member)) wanted_.add(member);
  wedge();
  ++counters_.ballots;
  ballot_began_ = ballot_activity_ = now_;
  proposed_ = false;
  asked_ = reached_;
  tell(Event::Kind::trace, options_.self, "begins ballot " + text_of(ballot) + ": " + reason);
  candidacy_.emplace(ballot, weights_, options_.mutation);
  candidacy_->add(options_.self, options_.incarnation, make_promise());
  for (const auto member : peers_.others()) send(member, Prepare{}, ballot);
  tick_ballot();
}

void ViewMember::take(MemberId from, const ViewHeader& header, const Prepare&) {
  const auto ballot = header.ballot;
  auto answer = make_promise();
  answer.refused = ballot < promised_ && !mutated(ViewMutation::promises_backwards);
  // A view that is well is not ended by somebody outside of it.
  answer.refused |= seated_ && !view().has(from, header.incarnation) && reason_to_change().empty();
  if (ballot.none() || ballot.member != from) return;
  if (answer.refused) return send(from, answer, ballot);
  if (ballot != promised_) {
    candidacy_.reset();
    pending_.reset();
  }
  promised_ = answer.promised = ballot;
  if (!mutated(ViewMutation::keeps_on_after_promise)) wedge();
  ballot_activity_ = now_;
  answer.last = history_.chain();
  send(from, answer, ballot);
}

void ViewMember::take(MemberId from, const ViewHeader& header, const Promise& promise) {
  counter_seen_ = std::max(counter_seen_, promise.promised.counter);
  auto& peer = peers_.of(from);
  peer.leaves = promise.leaves;
  peer.final = promise.final;
  peer.reach = promise.reach;
  peer.consents = promise.consents;
  hear_lineage(from, promise.lineage, promise.last.round);
  if (!candidacy_ || proposed_ || header.ballot != candidacy_->ballot()) return;
  if (promise.refused)
    candidacy_->add_refusal(from);
  else if (promise.promised == header.ballot)
    candidacy_->add(from, header.incarnation, promise);
  if (promise.refused && promise.promised > header.ballot) return abandon("a higher ballot");
  tick_ballot();
}

/// The coordinator's clock.
void ViewMember::tick_ballot() {
  const auto& timing = options_.timing;
  // What a proposed view lacks here does not come: this node catches up beside it.
  if (!candidacy_ && pending_ && now_ - ballot_activity_ >= timing.patience) pending_.reset();
  if (!candidacy_) return;
  if (proposed_ || pending_) {
    if (now_ - ballot_activity_ >= timing.patience) abandon("it was not accepted in time");
    return;
  }
  const auto asked = asked_.list();
  const bool all = std::all_of(asked.begin(), asked.end(), [this](MemberId member) {
    return candidacy_->answered(member) || member == options_.self;
  });
  // Whom this is for is given longer: a view that is the same again has cost the others as much, and
  // a node that is slow to answer would be left out each time.
  const auto wanted = wanted_.list();
  const bool late = std::any_of(wanted.begin(), wanted.end(), [this](MemberId member) {
    return !candidacy_->answered(member) && reached_.has(member);
  });
  const auto grace = late ? std::max(timing.grace, timing.patience / 2) : timing.grace;
  const bool waited = now_ - ballot_began_ >= grace;
  if (candidacy_->has_promises() && (all || waited)) return choose_view();
  if (now_ - ballot_began_ >= timing.patience || (all && waited)) abandon("too few promises");
}

void ViewMember::abandon(const std::string& why) {
  tell(Event::Kind::trace, options_.self,
       "abandons ballot " + text_of(candidacy_->ballot()) + ": " + why);
  candidacy_.reset();
  pending_.reset();
  attempts_ = std::min(attempts_ + 1, attempts_counted);
  next_try_ =
      now_ + position() * options_.timing.stagger + attempts_ * options_.timing.patience / 2;
}

void ViewMember::choose_view() {
  Candidacy::Besides besides{odd_, {}, options_.lag_max};
  for (const auto member : peers_.others()) {
    const auto& final = peers_.of(member).final;
    auto same = history_.chain_at(final.round);
    if (same.ok() && *same == final) besides.followers.add(member);
    if (peers_.backs_off(member, now_)) besides.kept_out.add(member);
  }
  auto choice = candidacy_->choose(besides);
  besides.kept_out = odd_;
  if (!choice) choice = candidacy_->choose(besides);
  // After a restart of all nobody knows how much of what is here is final: then all seem behind.
  besides.lag_max = std::numeric_limits<std::uint64_t>::max() / 2;
  if (!choice && options_.store) choice = candidacy_->choose(besides);
  if (!choice) return abandon(choice.status().text());
  // A state that came now would take the rounds away that the view is to go on from.
  stop_catching_up();
  pending_.emplace();
  pending_->view = {candidacy_->ballot(), choice->view.seats};
  pending_->after = choice->view.after;
  pending_->view.by_override = choice->view.lineage.unconfirmed();
  pending_->source = choice->view.source;
  pending_->lineage = choice->view.lineage;
  pending_->from = choice->donor;
  tell(Event::Kind::trace, choice->donor,
       "goes on from round " + std::to_string(pending_->after.round.value) + " of node " +
           std::to_string(choice->donor.value) + ": " + text_of(pending_->lineage));
  candidacy_->propose(*choice);
  ballot_activity_ = now_;
  prepare_pending();
}

// --- acceptance ---

void ViewMember::take(MemberId from, const ViewHeader& header, const NewView& view) {
  const auto ballot = header.ballot;
  if (ballot < promised_ || ballot <= accepted_ || ballot.member != from) return;
  if (pending_ && pending_->view.ballot == ballot) return;
  View proposed{ballot, view.seats, view.lineage.unconfirmed()};
  if (!proposed.has(options_.self, options_.incarnation)) return;
  if (options_.store && part_from_fork(from, &view.lineage)) return;
  promised_ = ballot;
  candidacy_.reset();
  wedge();
  stop_catching_up();
  ballot_activity_ = now_;
  pending_.emplace();
  pending_->view = std::move(proposed);
  pending_->after = view.after;
  pending_->source = view.source;
  pending_->lineage = view.lineage;
  pending_->from = from;
  prepare_pending();
}

/// What of this node's history the proposed view goes on from, and what it has to fetch. Nothing is
/// dropped before all of that is here (W6).
void ViewMember::prepare_pending() {
  auto& pending = *pending_;
  // Late: a later view has made rounds since, and they have come here.
  const bool behind = pending.after.round < final_ ||
                      (pending.after.round == final_ && pending.after != chain_known(final_));
  if (behind && final_view_ > pending.view.ballot) return pending_.reset();
  // Rounds that only this node's lineage has: it takes the other's state beside this, or is the one
  // that others give way to.
  if (behind && pending.lineage.id != lineage_.id) {
    pending_.reset();
    if (candidacy_) abandon("this node is of another lineage");
    return;
  }
  // A learner has them from others: they came after it had promised with less. It keeps out.
  if (behind && !voter_) {
    pending_.reset();
    if (candidacy_) abandon("final rounds have come since it began");
    return;
  }
  if (behind)
    return fail(
        {ErrorCode::inconsistent, "view " + text_of(pending.view.ballot) + " goes on from round " +
                                      std::to_string(pending.after.round.value) + ", round " +
                                      std::to_string(final_.value) + " was given out here"});
  const auto newest = history_.chain();
  if (mutated(ViewMutation::keeps_suffix) && newest.round > pending.after.round)
    pending.after = newest;
  auto same = history_.chain_at(pending.after.round);
  if (same.ok() && *same == pending.after) {
    pending.base = pending.staged_upto = pending.after;
    return accept_pending();
  }
  const bool prefix = history_view_ == pending.source && !history_view_.none() &&
                      newest.round < pending.after.round;
  if (mutated(ViewMutation::drops_before_fetch) && !history_.drop_after(final_)) return;
  pending.base =
      prefix && !mutated(ViewMutation::drops_before_fetch) ? newest : chain_known(final_);
  pending.staged_upto = pending.base;
  send(pending.from, Fetch{pending.base}, pending.view.ballot);
}

void ViewMember::accept_pending() {
  auto pending = std::move(*pending_);
  pending_.reset();
  const auto ballot = pending.view.ballot;
  EXDB_ASSERT(ballot >= promised_ && ballot >= accepted_, "W2: what is accepted never goes back");
  // Only what this node has and that view has not is dropped: between two of these steps it may
  // crash, and others count on the rest.
  auto same = pending.base;
  std::size_t kept = 0;
  for (; kept < pending.staged.size(); ++kept) {
    const Chain next{same.round.next(), chained(same.hash, pending.staged[kept])};
    auto here = history_.chain_at(next.round);
    if (!here.ok() || *here != next) break;
    same = next;
  }
  auto status = history_.drop_after(same.round);
  for (; kept < pending.staged.size(); ++kept)
    if (status) status = history_.append(std::move(pending.staged[kept]));
  if (!status) return fail(status);
  EXDB_ASSERT(history_.chain() == pending.after, "W4: a view goes on from the rounds it names");
  last_round_ = {};
  promised_ = accepted_ = history_view_ = ballot;
  lineage_ = pending.lineage;
  accepted_view_ = std::move(pending.view);
  accepted_after_ = pending.after;
  if (!voter_ && !accepted_view_.by_override) {
    if (unconfirmed_.size() == unconfirmed_max) unconfirmed_.erase(unconfirmed_.begin());
    unconfirmed_.push_back(ballot);
  }
  remember();
  const bool at_once = mutated(ViewMutation::no_accept_phase);
  if (candidacy_ && candidacy_->ballot() == ballot) {
    proposed_ = true;
    ballot_activity_ = now_;
    candidacy_->accepted(options_.self, options_.incarnation);
    for (const auto& seat : accepted_view_.seats)
      send(seat.member, NewView{accepted_view_.seats, accepted_after_, ballot, lineage_}, ballot);
    if (candidacy_->has_acceptances() || at_once) install_if_accepted();
    return;
  }
  send(ballot.member, ViewAck{}, ballot);
  if (at_once) told_installed_ = ballot;
  install_if_accepted();
}

void ViewMember::take(MemberId from, const ViewHeader& header, const ViewAck&) {
  if (seated_ && installed_ == header.ballot) return send(from, Install{}, installed_);
  if (!candidacy_ || !proposed_ || candidacy_->ballot() != header.ballot) return;
  ballot_activity_ = now_;
  candidacy_->accepted(from, header.incarnation);
  if (!candidacy_->has_acceptances()) return;
  for (const auto& seat : accepted_view_.seats) send(seat.member, Install{}, header.ballot);
  told_installed_ = header.ballot;
  install_if_accepted();
}

// --- installation ---

void ViewMember::take(MemberId /*from*/, const ViewHeader& header, const Install&) {
  told_installed_ = std::max(told_installed_, header.ballot);
  install_if_accepted();
}

/// By INSTALL, or by a batch or watermark of a member, which may overtake it.
void ViewMember::install_if_accepted() {
  const bool own = candidacy_ && proposed_ && candidacy_->ballot() == accepted_ &&
                   (candidacy_->has_acceptances() || mutated(ViewMutation::no_accept_phase));
  if (seated_ || accepted_.none() || (told_installed_ != accepted_ && !own)) return;
  // A former life of this node was to be a member, and nobody knows what it has posted.
  if (!accepted_view_.has(options_.self, options_.incarnation)) return;
  // This node has left it, or followed another lineage since.
  const bool left = accepted_ == installed_ || history_view_ != accepted_;
  if (left && !mutated(ViewMutation::installs_after_promise)) return;
  if (promised_ != accepted_ && !mutated(ViewMutation::installs_after_promise)) return;
  // Final rounds of a later view have come since: this one is over.
  if (history_.chain() != accepted_after_) return;
  install();
}

void ViewMember::install() {
  EXDB_ASSERT(accepted_ > installed_ || mutated(ViewMutation::installs_after_promise),
              "W4: a view is installed once");
  stop_catching_up();
  pending_.reset();
  candidacy_.reset();
  change_since_.reset();
  attempts_ = 0;
  next_try_ = now_;
  progress_at_ = now_;
  installed_ = accepted_;
  if (first_installed_.none()) first_installed_ = installed_;
  seated_ = true;
  // What it has forgotten of a majority's views an override does not give back.
  voter_ |= !accepted_view_.by_override;
  // Whom its frames have just told to live is reached now, not at the next tick: who sees that this
  // node is a member may write at once.
  look_at_links();
  if (voter_) unconfirmed_.clear();
  odd_ = {};
  stop_said_ = false;
  rounds_.emplace(options_.self, accepted_view_, accepted_after_.round, weights_,
                  options_.mutation);
  rounds_->on_watermark(options_.self, accepted_after_.round, applied_);
  const auto unfinished = unfinished_;
  set_final(accepted_after_.round);
  if (mutated(ViewMutation::repeats_finished)) unfinished_ = unfinished;
  if (mutated(ViewMutation::forgets_unfinished)) unfinished_.clear();
  for (auto& one : unfinished_) one.view = {};
  ++counters_.views;
  for (const auto member : peers_.others()) {
    const bool in = view().has(member);
    auto& peer = peers_.of(member);
    apart_since_[member.value].reset();
    if (in && !(peer.seated && peer.view == installed_)) apart_since_[member.value] = now_;
    if (in)
      peers_.taken_in(member, now_);
    else if (reached_.has(member) || peer.seated_at > Time{})
      peers_.left_out(member, now_);
    send_status(member, in);
  }
  tell(Event::Kind::installed, options_.self,
       "view " + text_of(installed_) + " of nodes " + text_of(view().members()) + " after round " +
           std::to_string(accepted_after_.round.value));
}

// --- leaving ---

void ViewMember::take(MemberId from, const ViewHeader& /*header*/, const Leave&) {
  peers_.of(from).leaves = true;
}

void ViewMember::take(MemberId from, const ViewHeader& header, const Evicted& evicted) {
  if (evicted.known > options_.incarnation)
    return fail({ErrorCode::cluster_duplicate_node,
                 "node " + std::to_string(from.value) +
                     " knows a later start of this node: another process has its number" +
                     (options_.store ? ", or this folder is an older copy of its own" : "")});
  if (evicted.known < options_.incarnation) return;
  if (leave_since_ && header.ballot > installed_) return finish(Phase::left, {});
  const bool newer = header.ballot > installed_ && (!parted(from) || outranks(from));
  if (seated_ && newer) leave_view("the others went on without this node");
}

void ViewMember::take(MemberId from, const ViewHeader& header, const Join& join) {
  auto& peer = peers_.of(from);
  peer.seated = false;
  peer.voter = join.voter;
  peer.leaves = join.leaves;
  peer.final = join.final;
  peer.applied = join.applied;
  if (!level(join.final.round))
    peer.level_since.reset();
  else if (!peer.level_since)
    peer.level_since = now_;
  peer.reach = join.reach;
  peer.consents = join.consents;
  hear_lineage(from, join.lineage, join.last);
  counter_seen_ = std::max(counter_seen_, join.promised.counter);
  if (seated_ && view().has(from, header.incarnation) && !apart_since_[from.value])
    apart_since_[from.value] = now_;
  // Who leaves waits for this word.
  if (seated_ && !view().has(from) && join.leaves)
    send(from, Evicted{header.incarnation}, installed_);
}

}  // namespace exdb
