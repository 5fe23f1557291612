// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/member.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "base/assert.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// Silence, and waiting in stop, after which a warning is written, where the timeout is not shorter
/// than twice that.
constexpr Member::Time warn_first = 10s;
/// How often a stop that waits sees whether the others live: often enough in any timeout, and each
/// second in a long one, so that an opposite order is told within some seconds.
constexpr int pings_per_timeout = 4;
constexpr Member::Time ping_longest = 1s;
/// Pings in which an opposite order must be seen.
constexpr int sightings_needed = 3;
std::string seconds(Member::Time time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

std::string round_text(Round round) { return "round " + std::to_string(round.value) + ": "; }

}  // namespace

std::string names_of(const std::vector<MemberId>& members) {
  std::string text = members.size() == 1 ? "node " : "nodes ";
  for (std::size_t i = 0; i < members.size(); ++i)
    text += (i ? ", " : "") + std::to_string(members[i].value);
  return text;
}

Member::Member(Options options, RoundHistory& history, Finality& finality, Time now)
    : options_(std::move(options)),
      history_(history),
      finality_(finality),
      asks_others_(finality.asks_others()),
      protocol_({.self = options_.self,
                 .nodes = size(),
                 .cluster_id = options_.cluster_id,
                 .broadcast_is_collective = options_.broadcast_is_collective,
                 .completed = history.chain().round}),
      quorum_(options_.voters ? QuorumCount(*options_.voters) : QuorumCount(options_.qranks)),
      gone_(size()),
      lost_(size()),
      said_stop_(size()),
      last_progress_(now),
      opposite_(size(), mutated(Mutation::accuses_at_sight) ? 1 : sightings_needed,
                mutated(Mutation::accuses_alone)) {
  applied_ = final_ = protocol_.completed();
}

void Member::on_frame(MemberId from, Bytes frame) {
  if (active()) take_notes(protocol_.on_frame(from, frame));
}

void Member::on_whole_frame(MemberId from, const Frame& frame) {
  if (active()) take_notes(protocol_.on_whole_frame(from, frame));
}

void Member::take_notes(const Status& read) {
  if (!read) return fail(read);
  for (const auto& note : protocol_.take_notes()) take_note(note);
  if (protocol_.has_kept())
    for (const auto& kept : protocol_.take_kept()) finality_.told(kept.from, kept.upto);
}

/// Looked at after the rounds that came before the news: a member may have ended properly just
/// before its link went.
void Member::on_gone(MemberId member) {
  gone_[member.value] = gone_news_ = !mutated(Mutation::ignores_gone);
}

void Member::want_stop(Time now) {
  if (stop_wanted_) return;
  stop_wanted_ = true;
  stop_began_ = now;
  next_stop_warning_ = now + warn_after();
}

bool Member::wants_post() const {
  if (!may_post()) return false;
  return protocol_.asked() || parting_ || leave_wanted_ || ping_wanted_ ||
         (stop_wanted_ && !stop_said_);
}

void Member::post(Offer offer, Time now) {
  BatchHeader header;
  header.leave = leave_wanted_ || parting_;
  header.more = offer.more && !parting_;
  // What is left over has to go before the stop: who says stop has nothing more to commit.
  header.stop = stop_wanted_ && !header.more && !parting_;
  header.oldest_snapshot = offer.oldest_snapshot;
  header.digest = offer.digest;
  header.digest_lag = std::uint32_t(protocol_.completed().value - applied_.value);
  stop_said_ |= header.stop;
  ping_wanted_ = warned_round_ = false;
  last_progress_ = now;
  if (offer.items > 0) carries_items_ = protocol_.completed().next();
  if (!protocol_.asked()) protocol_.ring();
  // Point to point the frame is on its way once the transport has it, and nobody need stay for the
  // round. A collective broadcast arrives when all have made theirs: parting goes on until then.
  if (parting_ && !options_.broadcast_is_collective) parting_ = false;
  protocol_.post(header, std::move(offer.payload), offer.head_room);
}

bool Member::advance(Time now) {
  auto round = protocol_.take_round();
  if (round) {
    last_progress_ = now;
    settle(std::move(*round));
  } else if (gone_news_ && active()) {
    look_at_links();
  }
  return round.has_value();
}

/// A round is complete: what concerns the members happens now, at the same place in the order of
/// rounds everywhere; what concerns the consumer when the round is final.
void Member::settle(CompletedRound&& round) {
  if (phase_ != Phase::running) {
    if (round.last || !protocol_.member(options_.self)) parting_ = false;
    return;
  }
  const auto odd = odd_ones(round);
  if (std::find(odd.begin(), odd.end(), options_.self) != odd.end())
    return fail({ErrorCode::inconsistent,
                 round_text(round.round) + "the state of node " +
                     std::to_string(options_.self.value) +
                     " differs from the others' after the round before (digests in the batch "
                     "headers; odd: " +
                     names_of(odd) + "); this replica must not answer again: restart it"});
  const auto number = round.round;
  for (const auto& batch : round.batches) {
    said_stop_[batch.member.value] = batch.header.stop;
    if (batch.header.leave && batch.member != options_.self) remove(number, batch.member, "left");
  }
  if (!round.last && !mutated(Mutation::keeps_odd))
    for (const auto member : odd) {
      protocol_.expel(member);
      remove(number, member, "was expelled: its state differs");
      warn("node " + std::to_string(member.value) +
           " is no member any more: its state differs from the majority's");
    }
  if (const auto status = history_.append(std::move(round)); !status) return cannot_apply(status);
  if (mutated(Mutation::ends_unapplied)) end_if_over();
}

/// The members whose digest is not the majority's: all of them when there is no majority. A member
/// that leaves with this round does not vote, and is not judged: it may leave because its state is
/// broken.
std::vector<MemberId> Member::odd_ones(const CompletedRound& round) const {
  const auto votes_here = [this](const Batch& batch) {
    return !batch.header.leave || mutated(Mutation::leavers_vote);
  };
  const BatchHeader* first = nullptr;
  bool differ = false;
  for (const auto& batch : round.batches) {
    if (!votes_here(batch)) continue;
    if (!first) first = &batch.header;
    differ |= batch.header.digest != first->digest;
    // Rounds become final at different times: these digests are of different states. There will be
    // a round whose digests can be compared.
    if (batch.header.digest_lag != first->digest_lag && !mutated(Mutation::compares_all_rounds))
      return {};
  }
  if (!differ) return {};
  std::map<std::uint64_t, std::size_t> votes;
  std::size_t voters = 0;
  for (const auto& batch : round.batches) {
    if (!votes_here(batch)) continue;
    ++votes[batch.header.digest];
    ++voters;
  }
  std::vector<MemberId> odd;
  for (const auto& batch : round.batches)
    if (votes_here(batch) && 2 * votes[batch.header.digest] <= voters) odd.push_back(batch.member);
  std::sort(odd.begin(), odd.end());
  return odd;
}

/// In the last round too: a collective close must not wait for who left with it.
void Member::remove(Round round, MemberId member, const char* how) {
  events_.push_back({Event::Kind::removed, member, {}});
  departures_.push_back({round, member});
  lose(member, how);
}

void Member::lose(MemberId member, const char* how) {
  if (lost_[member.value]) return;
  lost_[member.value] = true;
  if (asks_others_) finality_.gone(member);
  if (!mutated(Mutation::counts_leavers)) quorum_.lose(member);
  events_.push_back({Event::Kind::lost, member, {ErrorCode::cluster, how}});
}

/// Members of which the transport says that they are gone. A round that waits for one of them never
/// completes.
void Member::look_at_links() {
  std::vector<MemberId> missed;
  bool others_done = true;
  for (std::uint32_t id = 0; id < size(); ++id) {
    const MemberId member{id};
    if (!protocol_.member(member) || member == options_.self) continue;
    if (gone_[id] && !protocol_.leaving(member)) missed.push_back(member);
    others_done &= gone_[id] || said_stop_[id];
  }
  if (missed.empty()) gone_news_ = false;
  for (const auto member : missed) lose(member, "is gone");
  if (missed.empty() || protocol_.posted() == protocol_.completed()) return;
  parting_ = false;
  // Who has said stop may go as soon as it sees that all have; that this one does not see it any
  // more makes no difference, since nobody had anything left to commit.
  if (stop_said_ && carries_items_ <= applied_ && others_done) return finish(Phase::ended, {});
  fail({ErrorCode::cluster, round_text(protocol_.posted()) + names_of(missed) + " of " +
                                std::to_string(size()) +
                                " is gone (its connection was lost), and the round cannot "
                                "complete without it"});
}

const CompletedRound* Member::next_final() {
  if (phase_ != Phase::running) return nullptr;
  const auto newest = history_.chain().round;
  if (applied_ == newest) return nullptr;
  if (final_ == applied_) {
    const auto judged =
        mutated(Mutation::hands_over_early) ? newest : finality_.newest_final(history_);
    EXDB_ASSERT(judged >= final_ && judged <= newest, "what is final stays so, and is there");
    final_ = judged;
  }
  if (final_ == applied_) {
    if (const auto status = finality_.failure(); !status) cannot_apply(status);
    return nullptr;
  }
  const auto& round = history_.held(applied_.next());
  auto oldest = Csn::max();
  for (const auto& batch : round.batches) oldest = std::min(oldest, batch.header.oldest_snapshot);
  horizon_ = std::max(horizon_, oldest);
  return &round;
}

void Member::applied() {
  EXDB_ASSERT(applied_ < final_, "a round is applied after it was given out");
  applied_ = applied_.next();
  history_.release(applied_);
  protocol_.reuse(history_.spare());
  if (!departures_.empty())
    std::erase_if(departures_, [this](const Departure& one) {
      const bool over = one.round <= applied_;
      if (over) events_.push_back({Event::Kind::forget, one.member, {}});
      return over;
    });
  end_if_over();
}

void Member::end_if_over() {
  if (applied_ != protocol_.completed() && !mutated(Mutation::ends_unapplied)) return;
  if (protocol_.ended())
    finish(Phase::ended, {});
  else if (!protocol_.member(options_.self))
    finish(Phase::left, {});
}

void Member::cannot_apply(const Status& why) {
  if (phase_ != Phase::running) return;
  parting_ =
      !protocol_.ended() && protocol_.member(options_.self) && !mutated(Mutation::no_farewell);
  fail({why.code(),
        "round " + std::to_string(applied_.next().value) + " could not be applied: " + why.text()});
}

void Member::finish(Phase phase, const Status& why) {
  if (phase_ != Phase::running) return;
  phase_ = phase;
  events_.push_back({Event::Kind::finished, options_.self, why});
}

void Member::tick(Time now) {
  if (phase_ != Phase::running) return;
  if (protocol_.posted() == protocol_.completed()) return tick_stop(now);
  const auto limit = options_.timeout, silent = now - last_progress_;
  if (limit > 0s && silent >= limit && !mutated(Mutation::never_silent))
    return fail({ErrorCode::timeout, round_text(protocol_.posted()) + "waiting for " +
                                         silence(limit) +
                                         "; it may have ended without close() or be stopped"});
  if (silent < warn_after() || warned_round_) return;
  warned_round_ = true;
  warn("waiting for " + silence(silent));
}

/// While somebody waits in stop and nothing is exchanged: a round now and then shows whether the
/// others live, and a line, each time after twice as long, tells which of them have not stopped.
void Member::tick_stop(Time now) {
  if (!stop_said_) return;
  if (now - last_progress_ >= ping_every() && !mutated(Mutation::never_pings)) ping_wanted_ = true;
  if (mutated(Mutation::impatient) && now - stop_began_ >= options_.timeout)
    return fail({ErrorCode::timeout, "impatient"});
  if (now < next_stop_warning_) return;
  next_stop_warning_ = stop_began_ + 2 * (next_stop_warning_ - stop_began_);
  warn("stop() waits for " + awaited_names() + " (of " + std::to_string(size()) +
       ") to call stop() or close() too, for " + seconds(now - stop_began_) + " so far");
}

std::string Member::awaited_names() const {
  std::vector<MemberId> running;
  for (std::uint32_t id = 0; id < size(); ++id)
    if (protocol_.member(MemberId{id}) && !said_stop_[id] && id != options_.self.value)
      running.push_back({id});
  return names_of(running.empty() ? protocol_.missing() : running);
}

Member::Time Member::ping_every() const {
  const auto limit = options_.timeout;
  return limit > 0s ? std::min(limit / pings_per_timeout, ping_longest) : ping_longest;
}

Member::Time Member::warn_after() const {
  return options_.timeout > 0s ? std::min(warn_first, options_.timeout / 2) : warn_first;
}

std::string Member::silence(Time silent) const {
  return names_of(protocol_.missing()) + " (of " + std::to_string(size()) + ") for " +
         seconds(silent) + (options_.broadcast_is_collective ? ", or for one of them" : "");
}

void Member::tell_elsewhere(const std::vector<Elsewhere>& where) {
  const auto note = OppositeOrder::note_of(where);
  for (std::uint32_t id = 0; id < size(); ++id)
    if (protocol_.member(MemberId{id}) && said_stop_[id] && id != options_.self.value)
      protocol_.tell(MemberId{id}, note);
}

void Member::take_note(const RoundProtocol::Note& note) {
  const bool waits_here = stop_said_ && !said_stop_[note.from.value];
  const auto heard = opposite_.hear(note.from, note.round, note.bytes, waits_here);
  if (!heard)
    return fail({ErrorCode::cluster_protocol,
                 "from node " + std::to_string(note.from.value) + ": a note that cannot be read"});
  if (heard->sure) events_.push_back({Event::Kind::sure, note.from, {}});
  if (heard->both)
    events_.push_back({Event::Kind::opposite, note.from,
                       opposite_order_error({options_.self.value, options_.name, heard->kept_name,
                                             note.from.value, heard->circle})});
}

void Member::warn(std::string text) {
  events_.push_back({Event::Kind::warning, options_.self, {ErrorCode::cluster, std::move(text)}});
}

std::vector<Member::Event> Member::take_events() { return std::exchange(events_, {}); }

}  // namespace exdb
