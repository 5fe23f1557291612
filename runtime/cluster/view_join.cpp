// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ViewMember's catching up: rounds and states that others give, for a view change (complete rounds,
// which count only when the view is accepted) and beside it (final ones, which are true whatever
// view they come to).
#include <algorithm>

#include "base/assert.hpp"
#include "cluster/view_member.hpp"

namespace exdb {

using namespace std::chrono_literals;

// --- giving ---

Rounds ViewMember::rounds_after(Chain after, Round upto) const {
  Rounds answer;
  answer.final = make_ack(false).final;
  answer.lineage = lineage_;
  answer.upto = after;
  if (after.round >= upto) return answer;
  auto same = history_.chain_at(after.round);
  if (!same.ok()) {
    answer.state = Rounds::State::not_kept;
    return answer;
  }
  if (same->hash != after.hash) {
    answer.state = Rounds::State::differs;
    return answer;
  }
  std::size_t bytes = 0;
  const auto status =
      history_.read_from(after.round.next(), [&](const CompletedRound& round) -> Status {
        bytes += payload_bytes(round);
        const bool full = answer.rounds.size() == options_.rounds_per_frame ||
                          (!answer.rounds.empty() && bytes > options_.bytes_per_frame);
        if (round.round > upto || full) return {ErrorCode::interrupted, "enough"};
        answer.upto = {round.round, chained(answer.upto.hash, round)};
        answer.rounds.push_back(round);
        return {};
      });
  if (answer.rounds.empty() && !status) answer.state = Rounds::State::not_kept;
  return answer;
}

void ViewMember::take(MemberId from, const ViewHeader& header, const Fetch& fetch) {
  if (!header.ballot.none()) {
    // This node's rounds stand still: it is in that ballot, or has accepted its view.
    if (promised_ != header.ballot && accepted_ != header.ballot) return;
    ballot_activity_ = now_;
    return send(from, rounds_after(fetch.after, history_.chain().round), header.ballot);
  }
  auto& peer = peers_.of(from);
  if (!fetch.ahead && fetch.after.round > peer.final.round) peer.final = fetch.after;
  const auto upto = make_ack(false).final.round;
  auto answer = rounds_after(fetch.after, upto);
  // More than this node's rounds, or others: whoever gives way to it starts from its state.
  if (fetch.parted && fetch.after.round >= upto && fetch.after != chain_known(upto))
    answer.state = Rounds::State::differs;
  const bool state = answer.state == Rounds::State::not_kept ||
                     (fetch.parted && answer.state == Rounds::State::differs);
  if (state && !fetch.ahead) return give_state(from);
  send(from, answer);
}

void ViewMember::give_state(MemberId to) {
  const auto upto = chain_known(applied_);
  auto stream = source_.open(upto);
  if (!stream) {
    tell(Event::Kind::warning, to,
         "this node's state could not be given: " + stream.status().text());
    Rounds none;
    none.state = Rounds::State::not_kept;
    none.final = upto;
    return send(to, none);
  }
  ++counters_.states_given;
  send(to, SnapBegin{++transfers_, upto, applied_view_, horizon_applied_, lineage_});
  stop_giving(to);
  ++giving_;
  given_[to.value].emplace(
      Given{Donation(transfers_, std::move(*stream), options_.chunk_credit), now_, now_});
  pump(to);
}

void ViewMember::stop_giving(MemberId to) {
  if (!given_[to.value]) return;
  given_[to.value].reset();
  --giving_;
}

/// Giving takes time from who commits, and memory: 100 bytes take about as long to give as a commit.
void ViewMember::pump(MemberId to) {
  constexpr Time busy_for = std::chrono::milliseconds(20);
  constexpr std::int64_t pauses = 50;  // a second
  constexpr std::size_t unbounded = std::size_t{1} << 30;
  auto& given = *given_[to.value];
  const auto give = [&](const ViewMessage& message) { send(to, message); };
  const auto since = std::min(now_ - given.pumped, busy_for);
  if (!seated_ || now_ >= items_at_ + busy_for) {
    given.allowance = 0;
    given.pumped = now_;
    given.donation.pump(give, unbounded);
    return;
  }
  const auto earned = std::int64_t(options_.state_bytes_per_second) * since / 1s;
  if (earned > 0) given.pumped = now_;
  given.allowance += earned;
  // At intervals: a receiver that gets a chunk now and then polls all the time.
  given.spending |= given.allowance >= std::int64_t(options_.state_bytes_per_second) / pauses;
  if (given.spending && given.allowance > 0)
    given.allowance -= std::int64_t(given.donation.pump(give, std::size_t(given.allowance)));
  given.spending &= given.allowance > 0;
}

void ViewMember::pump_all() {
  for (std::uint32_t to = 0; to < given_.size(); ++to)
    if (given_[to]) pump(MemberId{to});
}

void ViewMember::take(MemberId from, const ViewHeader& /*header*/, const SnapAck& ack) {
  auto& given = given_[from.value];
  if (!given) return;
  given->since = now_;
  if (!given->donation.on_ack(ack)) return;
  pump(from);
  if (given->donation.over()) stop_giving(from);
}

// --- taking ---

void ViewMember::stop_catching_up() {
  if (intake_.under_way()) ++counters_.transfers_broken;
  intake_.abandon();
  ahead_.end();
  catch_up_.reset();
}

/// Of rounds that were fetched and wait until they are applied, or until the state before them is.
std::size_t ViewMember::ahead_bytes_max() const {
  return std::max(options_.ahead_bytes_min, intake_.bytes());
}

/// When they come as fast as they are applied, this node is never taken in: that is told, once.
bool ViewMember::full_of_rounds() {
  if (fetched_bytes_ < ahead_bytes_max()) return false;
  if (!full_since_) {
    full_since_ = now_;
    slow_told_ = false;
  }
  if (!slow_told_ && now_ - *full_since_ >= options_.timing.suspect) {
    slow_told_ = true;
    tell(Event::Kind::warning, options_.self,
         "this node applies rounds no faster than the others make them, so it is not taken in: " +
             std::to_string(final_.value - applied_.value) + " rounds (" +
             std::to_string(fetched_bytes_ >> 20) + " MiB) wait here");
  }
  return true;
}

void ViewMember::ask_ahead() {
  if (const auto after = ahead_.ask(ahead_bytes_max())) send(catch_up_->from, Fetch{*after, true});
}

/// Who has more final rounds than this node: a member of a view rather than another, then who has
/// most.
std::optional<MemberId> ViewMember::best_donor() const {
  std::optional<MemberId> best;
  for (const auto member : peers_.others()) {
    const auto& peer = peers_.of(member);
    if (!reached_.has(member) || peer.final.round <= final_ || parted(member)) continue;
    if (!best || std::pair(peer.seated, peer.final.round) >
                     std::pair(peers_.of(*best).seated, peers_.of(*best).final.round))
      best = member;
  }
  return best;
}

void ViewMember::tick_join() {
  for (const auto member : peers_.others()) {
    const auto& given = given_[member.value];
    if (given && now_ - given->since >= options_.timing.suspect) stop_giving(member);
  }
  if (catch_up_ && intake_.whole()) tick_intake();
  // A state may take long to begin, and its chunks to make and to take in; a donor that is gone is
  // noticed by its link or its silence. A state that is whole needs it no more.
  if (catch_up_ && !intake_.whole() && now_ - catch_up_->since >= options_.timing.suspect)
    stop_catching_up();
  if (applied_ == final_) {
    fetched_bytes_ = 0;  // some may have been cut off, unapplied
    full_since_.reset();
  }
  const bool busy = seated_ || pending_ || candidacy_ || catch_up_ || now_ < next_catch_up_;
  if (busy || phase_ != Phase::running || full_of_rounds()) return;
  const auto first = outranking();
  auto donor = first ? first : best_donor();
  const auto level = std::exchange(level_with_, {});
  if (!donor && level && reached_.has(*level) && !parted(*level)) donor = level;
  if (!donor || hears_final(*donor)) return;
  catch_up_ = CatchUp{*donor, now_, first.has_value()};
  send(*donor, Fetch{chain_known(final_), false, first.has_value()});
}

/// Rounds that came from the disk, or with a view that was not installed, are here and not known to be
/// final; they need not be fetched.
bool ViewMember::hears_final(MemberId donor) {
  const auto theirs = peers_.of(donor).final;
  if (!options_.store || theirs.round <= final_ || parted(donor)) return false;
  auto same = history_.chain_at(theirs.round);
  if (!same.ok() || *same != theirs) return false;
  set_final(theirs.round);
  return true;
}

void ViewMember::take(MemberId from, const ViewHeader& header, Rounds& rounds) {
  if (header.ballot.none()) {
    peers_.of(from).final = rounds.final;
    hear_lineage(from, rounds.lineage, std::max(peers_.of(from).newest, rounds.final.round));
    if (seated_ || pending_ || !catch_up_ || catch_up_->from != from) return;
    if (!intake_.under_way()) return take_final(from, rounds);
    // Of another lineage than the state: they are asked for again when it is in place.
    if (rounds.lineage.id != intake_.lineage().id)
      ahead_.end();
    else if (ahead_.take(rounds))
      ask_ahead();
  } else if (pending_ && pending_->view.ballot == header.ballot && pending_->from == from) {
    take_staged(rounds);
  }
}

void ViewMember::take_staged(Rounds& rounds) {
  auto& pending = *pending_;
  const auto ballot = pending.view.ballot;
  ballot_activity_ = now_;
  counters_.rounds_fetched += rounds.rounds.size();
  auto base = pending.staged_upto;
  for (auto& round : rounds.rounds) {
    if (round.round != base.round.next() || base.round >= pending.after.round) break;
    base = {round.round, chained(base.hash, round)};
    pending.staged.push_back(std::move(round));
  }
  const bool good = rounds.state == Rounds::State::some && base.round > pending.staged_upto.round;
  pending.staged_upto = base;
  if (good && base == pending.after) return accept_pending();
  if (good && base.round < pending.after.round) return send(pending.from, Fetch{base}, ballot);
  // From the newest final round on, if that was not tried yet; else this node cannot be in that
  // view, and catches up beside it.
  const auto known = chain_known(final_);
  if (pending.base == known) {
    pending_.reset();
    if (candidacy_) abandon("the donor's rounds could not be had");
    return;
  }
  pending.base = pending.staged_upto = known;
  pending.staged.clear();
  send(pending.from, Fetch{known}, ballot);
}

void ViewMember::take_final(MemberId from, Rounds& rounds) {
  // Only who was asked so has looked whether it has all that is final here.
  const bool asked = catch_up_->parted;
  catch_up_.reset();
  const bool some = rounds.state == Rounds::State::some;
  const bool changed = parted(from) && (!asked || !outranks(from) || !some);
  // Nor is what was asked of a history that has been given up since.
  if (changed || (!some && rounds.upto != chain_known(final_))) {
    next_catch_up_ = now_ + options_.timing.beat;
    return;
  }
  if (rounds.state == Rounds::State::differs) {
    // What is final is so for ever: one of the two has a history of its own.
    const std::string text = "the rounds that are final here, up to " +
                             std::to_string(final_.value) + ", are not those of node " +
                             std::to_string(from.value);
    return fail({ErrorCode::inconsistent, text + ": the histories have parted"});
  }
  if (rounds.state == Rounds::State::not_kept) {
    next_catch_up_ = now_ + options_.timing.patience;
    return;
  }
  // An answer to what this node had before it took a state, or another's rounds, is of no use.
  const auto before = final_;
  auto upto = chain_known(final_);
  for (const auto& round : rounds.rounds)
    if (round.round == upto.round.next()) upto = {round.round, chained(upto.hash, round)};
  if (upto != rounds.upto) {
    next_catch_up_ = now_ + options_.timing.beat;
    return;
  }
  join_history(rounds.lineage);
  for (auto& round : rounds.rounds)
    if (!append_final(std::move(round))) break;
  follow_lineage(rounds.lineage);
  if (final_ > before && final_ == rounds.final.round) stay_level(from);
  if (final_ == before && !lineage_.id.none()) next_catch_up_ = now_ + options_.timing.beat;
  tick_join();
}

/// Until it is taken in a node that has caught up asks on, and tells all members how far it is: any of
/// them may have to propose it, in its turn. Told with each beat, it would be further behind than
/// `lag_max` again when that turn comes, as often as not.
void ViewMember::stay_level(MemberId with) {
  constexpr int times_a_turn = 16;
  level_with_ = with;
  next_catch_up_ = now_ + options_.timing.stagger / times_a_turn;
  for (const auto member : peers_.others())
    if (peers_.of(member).linked) send_status(member);
}

/// Takes a round that is final elsewhere. What is complete here at its place and differs can never
/// become final, nor what follows it.
bool ViewMember::append_final(CompletedRound&& round) {
  const auto before = chain_known(final_);
  if (round.round != before.round.next()) return false;
  ++counters_.rounds_fetched;
  fetched_bytes_ += payload_bytes(round);
  const Chain now{round.round, chained(before.hash, round)};
  auto same = history_.chain_at(round.round);
  if (!same.ok() || *same != now) {
    remember();
    auto status = history_.drop_after(before.round);
    if (status) status = history_.append(std::move(round));
    if (!status) {
      fail(status);
      return false;
    }
  }
  set_final(now.round);
  return true;
}

void ViewMember::take(MemberId from, const ViewHeader& /*header*/, const SnapBegin& begin) {
  if (seated_ || pending_ || !catch_up_ || catch_up_->from != from || intake_.whole()) return;
  catch_up_->since = now_;
  hear_lineage(from, begin.lineage, std::max(peers_.of(from).newest, begin.upto.round));
  const bool apart = parted(from);
  auto same = history_.chain_at(begin.upto.round);
  if (apart ? !outranks(from) : begin.upto.round <= final_) {
    // Applying is behind there.
    next_catch_up_ = now_ + options_.timing.beat;
    return stop_catching_up();
  }
  if (same.ok() && *same == begin.upto && begin.upto.round > final_) {
    // Its rounds are here, and only were not known to be final. What follows them may be held by a
    // majority, so it must not go (W6).
    stop_catching_up();
    set_final(begin.upto.round);
    return follow_lineage(begin.lineage);
  }
  intake_.begin(begin, apart && final_ > Round{});
  ahead_.begin(begin.upto);
}

void ViewMember::take(MemberId from, const ViewHeader& /*header*/, const SnapChunk& chunk) {
  if (!catch_up_ || catch_up_->from != from) return;
  catch_up_->since = now_;
  // A giver hears at least as often that the receiver is there.
  auto ack = intake_.on_chunk(chunk, now_ - catch_up_->answered >= options_.timing.beat);
  if (!ack) {
    tell(Event::Kind::warning, from, ack.status().text());
    return stop_catching_up();
  }
  if (!*ack) return;
  catch_up_->answered = now_;
  send(from, **ack);
  ask_ahead();
}

void ViewMember::take(MemberId from, const ViewHeader& /*header*/, const SnapEnd& end) {
  if (!catch_up_ || catch_up_->from != from) return;
  if (const auto ack = intake_.owed(end.transfer)) send(from, *ack);
  if (auto status = intake_.on_end(end); !status) {
    tell(Event::Kind::warning, from, status.text());
    return stop_catching_up();
  }
  if (intake_.whole()) tick_intake();
}

/// All chunks are here, and the consumer makes a state of them; that takes as long as it takes.
void ViewMember::tick_intake() {
  catch_up_->since = now_;
  auto begun = intake_.ready();
  if (!begun) {
    tell(Event::Kind::warning, catch_up_->from, begun.status().text());
    return stop_catching_up();
  }
  if (!*begun) return ask_ahead();
  const auto from = catch_up_->from;
  level_with_ = from;  // as far as is known; more has become final since
  catch_up_.reset();
  take_state(from, **begun);
}

/// The consumer has the new state already.
void ViewMember::take_state(MemberId from, const SnapBegin& begin) {
  const bool parted = intake_.parted();
  const auto before = lineage_;
  EXDB_ASSERT(parted || begin.upto.round > final_, "W1: what was given out is never taken back");
  ++counters_.states_taken;
  auto common = parted ? common_rounds(begin) : std::vector<CompletedRound>();
  if (options_.store && parted)
    return fail({ErrorCode::unsupported, "a node on disk gives up no history for another one"});
  join_history(begin.lineage);
  auto status = history_.restart(begin.upto, parted);
  for (auto& round : common)
    if (status) status = history_.append(std::move(round));
  if (!status) return fail(status);
  if (parted) take_parted_state(begin);
  fetched_bytes_ = 0;
  final_ = applied_ = begin.upto.round;
  final_view_ = applied_view_ = begin.view;
  horizon_ = horizon_applied_ = begin.horizon;
  if (!parted) follow_lineage(begin.lineage);
  if (parted)
    events_.push_back({Event::Kind::dropped, from, {}, before});
  else
    tell(Event::Kind::replaced, options_.self);
  for (auto& round : ahead_.release())
    if (!append_final(std::move(round))) break;
  if (final_ > begin.upto.round) follow_lineage(begin.lineage);
  tick_join();
}

}  // namespace exdb
