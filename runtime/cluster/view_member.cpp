// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_member.hpp"

#include <algorithm>
#include <map>

#include "base/assert.hpp"

namespace exdb {

ViewMember::ViewMember(Options options, RoundHistory& history, StateSource& source, StateSink& sink,
                       Time now)
    : options_(std::move(options)),
      weights_(options_.qranks, mutated(ViewMutation::half_is_quorum)),
      history_(history),
      source_(source),
      peers_(weights_.members(), options_.self, options_.timing),
      now_(now),
      started_(now),
      voter_(mutated(ViewMutation::amnesiac_votes)),
      apart_since_(weights_.members()),
      intake_(sink, options_.mutation),
      given_(weights_.members()) {
  EXDB_ASSERT(options_.self.value < weights_.members(), "a node is one of the nodes");
  reached_.add(options_.self);
  final_ = applied_ = options_.applied;
  horizon_ = horizon_applied_ = options_.horizon;
  if (options_.memory) recall(*options_.memory);
}

// --- frames ---

void ViewMember::send(MemberId to, const ViewMessage& message, Ballot ballot) {
  if (to == options_.self || !peers_.of(to).linked) return;
  outputs_.push_back(
      {to, encode_view_frame({options_.cluster_id, options_.self, options_.incarnation, ballot},
                             message)});
}

void ViewMember::on_frame(MemberId from, Bytes bytes, Time now) {
  now_ = now;
  if (phase_ != Phase::running && phase_ != Phase::ended) return;
  auto decoded = decode_view_frame(bytes);
  if (!decoded) {
    ++counters_.undecodable;
    return tell(Event::Kind::warning, from, decoded.status().text());
  }
  const auto& header = decoded->header;
  if (header.cluster_id != options_.cluster_id || header.sender != from ||
      from.value >= weights_.members() || from == options_.self) {
    ++counters_.foreign;
    return note_foreign(from, header.sender == from);
  }
  foreign_.remove(from);
  if (!peers_.hear(from, header.incarnation, now)) {
    ++counters_.old_lives;
    if (!mutated(ViewMutation::takes_old_lives))
      return send(from, Evicted{peers_.of(from).incarnation}, installed_);
  }
  // Who has ended gives the others what they still lack, and decides nothing any more.
  auto& message = decoded->message;
  const bool wants = std::holds_alternative<Ack>(message) || std::holds_alternative<Fetch>(message);
  if (phase_ == Phase::ended && !wants) return;
  if (part_from_fork(from, message)) return;
  counter_seen_ = std::max(counter_seen_, header.ballot.counter);
  std::visit([&](auto& body) { take(from, header, body); }, message);
}

/// Said once, until something of this cluster comes from there.
void ViewMember::note_foreign(MemberId from, bool another_cluster) {
  if (!another_cluster || foreign_.has(from)) return;
  foreign_.add(from);
  tell(Event::Kind::warning, from,
       "node " + std::to_string(from.value) +
           " is of another cluster (its schema, the qranks in nodes, or the cluster id differ): it "
           "is not let in");
}

void ViewMember::on_link_up(MemberId member, Time now) {
  now_ = now;
  peers_.link(member, true, now);
  if (phase_ != Phase::running) return;
  // Whatever was lost with the link before is said again.
  if (candidacy_ && !proposed_)
    send(member, Prepare{}, candidacy_->ballot());
  else if (candidacy_ && accepted_ == candidacy_->ballot() && accepted_view_.has(member))
    send(member, NewView{accepted_view_.seats, accepted_after_, accepted_, lineage_}, accepted_);
  send_status(member, seated_ && view().has(member));
}

void ViewMember::on_link_down(MemberId member, Time now) {
  now_ = now;
  peers_.link(member, false, now);
  stop_giving(member);
  if (!catch_up_ || catch_up_->from != member) return;
  // A state that is here as a whole needs nobody any more.
  if (intake_.whole())
    ahead_.end();
  else
    stop_catching_up();
}

RoundHistory::Chain ViewMember::chain_known(Round round) const {
  auto chain = history_.chain_at(round);
  EXDB_ASSERT(chain.ok(), "the chain is known from the newest applied round on");
  return *chain;
}

Ack ViewMember::make_ack(bool want) const {
  Ack ack;
  ack.want = want;
  ack.leaves = leave_since_.has_value();
  ack.recv = history_.chain().round;
  ack.applied = applied_;
  ack.final = chain_known(mutated(ViewMutation::gives_unfinal) ? ack.recv : final_);
  ack.reach = reached_;
  ack.lineage = lineage_;
  return ack;
}

/// What everybody is told each beat: of a member, how far it is; of another node, that it wants in.
void ViewMember::send_status(MemberId to, bool want) {
  peers_.of(to).spoken_to = now_;
  const auto ack = make_ack(want);
  if (seated_) return send(to, ack, installed_);
  send(to,
       Join{voter_, ack.leaves, consents(), promised_, ack.final, ack.recv, ack.applied, ack.reach,
            lineage_},
       accepted_);
}

std::vector<ViewMember::Output> ViewMember::take_outputs() {
  if (ack_due_ && seated_)
    for (const auto& seat : view().seats)
      if (seat.member != options_.self) send_status(seat.member);
  ack_due_ = false;
  return std::exchange(outputs_, {});
}

/// Whether a batch or watermark is of the view in which this member is. W8.
bool ViewMember::of_this_view(MemberId from, const ViewHeader& header) {
  auto& peer = peers_.of(from);
  peer.seated = peer.voter = true;
  peer.view = header.ballot;
  if (header.ballot > told_installed_ && (!parted(from) || outranks(from))) {
    told_installed_ = header.ballot;
    install_if_accepted();
  }
  if (seated_ && header.ballot == installed_ && view().has(from, header.incarnation)) {
    apart_since_[from.value].reset();
    return true;
  }
  ++counters_.other_views;
  if (seated_ && header.ballot < installed_) {
    if (!view().has(from, header.incarnation))
      send(from, Evicted{header.incarnation}, installed_);
    else if (!apart_since_[from.value])
      apart_since_[from.value] = now_;
  }
  const bool newer = header.ballot > installed_ && (!parted(from) || outranks(from));
  if (seated_ && newer) leave_view("there is a newer view");
  return mutated(ViewMutation::takes_other_views) && seated_ && view().has(from);
}

void ViewMember::take(MemberId from, const ViewHeader& header, const Ack& ack) {
  auto& peer = peers_.of(from);
  peer.leaves = ack.leaves;
  peer.final = ack.final;
  peer.reach = ack.reach;
  hear_lineage(from, ack.lineage, ack.recv);
  if (!of_this_view(from, header)) return;
  rounds_->on_watermark(from, ack.recv, ack.applied);
  update_final();
  if (!ack.want) return;
  for (auto& frame : rounds_->sent_after(ack.recv))
    if (peer.linked) outputs_.push_back({from, std::move(frame)});
}

void ViewMember::take(MemberId from, const ViewHeader& header, const BatchMessage& batch) {
  if (!of_this_view(from, header)) return;
  if (auto status = rounds_->on_batch(from, batch); !status) return fail(status);
  update_final();
}

// --- rounds ---

bool ViewMember::owes() const { return !unfinished_.empty() && unfinished_.back().view.none(); }

bool ViewMember::may_post() const {
  return phase_ == Phase::running && seated_ && rounds_->may_post() && last_round_ == Round{} &&
         rounds_->completed().value < rounds_->slowest_applied().value + options_.window;
}

bool ViewMember::wants_post() const {
  return may_post() && (rounds_->asked() || owes() || (stop_wanted_ && !stop_said_));
}

void ViewMember::post(Offer offer, Time now) {
  EXDB_ASSERT(may_post() && !(owes() && offer.items > 0), "what is owed goes first");
  now_ = now;
  const auto round = rounds_->completed().next();
  auto payload = std::move(offer.payload);
  for (auto& owed : unfinished_)
    if (owed.view.none()) {
      payload = owed.payload;
      owed.view = installed_;
      owed.round = round;
      ++counters_.repeated;
      break;
    }
  if (offer.items > 0) unfinished_.push_back({payload, installed_, round});
  EXDB_ASSERT(unfinished_.size() <= 2, "W9: what is not final is of two rounds at most");
  BatchHeader header;
  header.more = offer.more || owes();
  header.stop = stop_wanted_ && !header.more;
  header.oldest_snapshot = offer.oldest_snapshot;
  header.digest = offer.digest;
  header.digest_lag = std::uint32_t(rounds_->completed().value - applied_.value);
  stop_said_ |= header.stop;
  const BatchMessage message{round, history_.chain().round, applied_, header, payload};
  const auto frame = encode_view_frame(
      {options_.cluster_id, options_.self, options_.incarnation, installed_}, message);
  const auto checksum = batch_checksum(installed_, round, options_.self, header, payload);
  for (const auto& seat : view().seats)
    if (seat.member != options_.self && peers_.of(seat.member).linked)
      outputs_.push_back({seat.member, frame});
  ack_due_ = false;
  progress_at_ = now;
  rounds_->place({options_.self, header, std::move(payload), checksum}, frame);
}

bool ViewMember::advance(Time now) {
  now_ = now;
  if (giving_ > 0) pump_all();
  // What became complete before a promise and was not taken yet is not taken any more (W3).
  if (phase_ != Phase::running || !seated_) return false;
  auto round = rounds_->take_round();
  if (!round) return false;
  settle(std::move(*round));
  return true;
}

/// The members of which the digest is not the majority's, as Member has it: all when there is no
/// majority; nobody where the digests are of different rounds.
std::vector<MemberId> odd_ones(const CompletedRound& round) {
  std::map<std::uint64_t, std::size_t> votes;
  for (const auto& batch : round.batches) {
    if (batch.header.digest_lag != round.batches.front().header.digest_lag) return {};
    ++votes[batch.header.digest];
  }
  std::vector<MemberId> odd;
  for (const auto& batch : round.batches)
    if (2 * votes[batch.header.digest] <= round.batches.size()) odd.push_back(batch.member);
  return odd;
}

void ViewMember::settle(CompletedRound&& round) {
  progress_at_ = now_;
  for (const auto member : odd_ones(round)) {
    if (member == options_.self)
      return fail({ErrorCode::inconsistent,
                   "round " + std::to_string(round.round.value) +
                       ": the state of this node differs from the others' (digests in the batch "
                       "headers); it must not answer again: restart it" +
                       (options_.store ? " with an empty folder" : "")});
    if (!odd_.has(member))
      tell(Event::Kind::warning, member,
           "its state differs from the majority's: the others go on without it");
    odd_.add(member);
  }
  if (round.last) last_round_ = round.round;
  for (const auto& batch : round.batches)
    if (!batch.payload.empty()) items_at_ = now_;
  remember();
  if (const auto status = history_.append(std::move(round)); !status) return fail(status);
  rounds_->holds(history_.chain().round);
  ack_due_ = true;
  update_final();
}

void ViewMember::update_final() {
  if (!seated_ || phase_ != Phase::running) return;
  const auto newest = history_.chain().round;
  const auto held = mutated(ViewMutation::final_when_complete)
                        ? newest
                        : std::min(rounds_->held_by_majority(), newest);
  if (held > final_) {
    progress_at_ = now_;
    set_final(held);
  }
}

/// What of this member is in rounds that became final is finished.
void ViewMember::set_final(Round upto) {
  for (auto round = final_.next(); round <= upto; round = round.next()) {
    const auto& held = history_.held(round);
    for (const auto& batch : held.batches)
      if (batch.member == options_.self)
        std::erase_if(unfinished_, [&held](const Unfinished& one) {
          return one.view == held.view && one.round == held.round;
        });
    const bool of_this_life = !options_.store || mutated(ViewMutation::ends_again) ||
                              (was_seated() && held.view >= first_installed_);
    if (held.last && of_this_life) last_round_ = round;
    final_view_ = held.view;
  }
  final_ = std::max(final_, upto);
}

const CompletedRound* ViewMember::next_final() {
  if (phase_ != Phase::running || applied_ == final_) return nullptr;
  const auto& round = history_.held(applied_.next());
  auto oldest = Csn::max();
  for (const auto& batch : round.batches) oldest = std::min(oldest, batch.header.oldest_snapshot);
  horizon_ = std::max(horizon_applied_, oldest);
  return &round;
}

void ViewMember::applied() {
  EXDB_ASSERT(applied_ < final_, "W1: a round is applied after it was given out");
  applied_ = applied_.next();
  const auto& round = history_.held(applied_);
  applied_view_ = round.view;
  if (fetched_bytes_ > 0) fetched_bytes_ -= std::min(fetched_bytes_, payload_bytes(round));
  horizon_applied_ = horizon_;
  history_.release(applied_);
  // Who waits for the slowest is told before the window is shut.
  if (seated_) {
    rounds_->on_watermark(options_.self, history_.chain().round, applied_);
    if (rounds_->completed().value - applied_.value == options_.window / 2) ack_due_ = true;
  }
  end_if_over();
}

void ViewMember::end_if_over() {
  if (last_round_ > Round{} && applied_ >= last_round_) finish(Phase::ended, {});
}

void ViewMember::cannot_apply(const Status& why) {
  fail({why.code(),
        "round " + std::to_string(applied_.next().value) + " could not be applied: " + why.text()});
}

void ViewMember::finish(Phase phase, const Status& why) {
  if (phase_ != Phase::running) return;
  // The others finish the last round by this member's word that it holds it.
  if (phase == Phase::ended) ack_due_ = true;
  phase_ = phase;
  if (phase != Phase::ended) seated_ = false;
  events_.push_back({Event::Kind::finished, options_.self, why});
}

void ViewMember::tell(Event::Kind kind, MemberId member, std::string text) {
  const bool good = text.empty();
  events_.push_back({kind, member, good ? Status() : Status(ErrorCode::cluster, std::move(text))});
}

// --- time ---

void ViewMember::want_leave(Time now) {
  now_ = now;
  if (leave_since_) return;
  leave_since_ = now;
  for (const auto member : peers_.others()) send(member, Leave{}, accepted_);
}

void ViewMember::tick(Time now) {
  now_ = now;
  if (phase_ != Phase::running && phase_ != Phase::ended) return;
  look_at_links();
  for (const auto member : peers_.others())
    if (peers_.of(member).linked && now - peers_.of(member).spoken_to >= options_.timing.beat)
      send_status(member);
  if (phase_ == Phase::ended) return;
  tick_fork();
  tick_rounds();
  tick_ballot();
  consider_change();
  tick_join();
  // Without a majority nobody can go on without this node; it does not wait for ever.
  if (leave_since_ && phase_ == Phase::running &&
      (weights_.members() == 1 || now - *leave_since_ >= 4 * options_.timing.suspect))
    finish(Phase::left, {});
}

void ViewMember::look_at_links() {
  const auto reached = peers_.reach(now_);
  for (const auto member : peers_.others())
    if (reached.has(member) != reached_.has(member))
      tell(reached.has(member) ? Event::Kind::connected : Event::Kind::disconnected, member);
  // W12: nor does it say anything of the same nodes after others were reached.
  if (reached != reached_) answer_.reset();
  reached_ = reached;
  if (!lacks_majority())
    lacks_since_.reset();
  else if (!lacks_since_)
    lacks_since_ = now_;
  const bool quorum = seated_ && (weights_.majority(reached_) || consents());
  if (quorum != quorum_)
    tell(quorum ? Event::Kind::quorum_regained : Event::Kind::quorum_lost, options_.self);
  quorum_ = quorum;
}

/// A round that is not complete after a while: what was sent may have been lost with a link.
void ViewMember::tick_rounds() {
  if (!seated_ || rounds_->posted() == final_) return;
  if (now_ - progress_at_ < options_.timing.beat || now_ - asked_again_at_ < options_.timing.beat)
    return;
  asked_again_at_ = now_;
  for (const auto member : rounds_->missing())
    if (member != options_.self) send_status(member, true);
}

}  // namespace exdb
