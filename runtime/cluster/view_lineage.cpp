// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ViewMember where quorumCallback may let a node go on without a majority: when it is asked, which
// lineage gives way to which, and how.
#include <algorithm>

#include "base/assert.hpp"
#include "cluster/view_member.hpp"

namespace exdb {

// --- consent ---

MemberSet ViewMember::voters_reached() const {
  MemberSet voters;
  if (voter_) voters.add(options_.self);
  for (const auto member : peers_.others())
    if (reached_.has(member) && peers_.of(member).voter) voters.add(member);
  return voters;
}

/// Too few are there, or too few of those have a state that counts. Who has none itself, or is to
/// follow somebody first, has nothing to go on with; and a lineage that was overridden goes on with
/// whoever is there.
bool ViewMember::lacks_majority() const {
  const bool has_state = voter_ || !lineage_.id.none();
  if (phase_ != Phase::running || leave_since_ || last_round_ > Round{} || !has_state) return false;
  if (outranking()) return false;
  if (!weights_.majority(reached_)) return true;
  if (seated_) return false;
  bool unconfirmed = lineage_.unconfirmed();
  for (const auto member : peers_.others()) {
    const auto& peer = peers_.of(member);
    if (!reached_.has(member)) continue;
    if (peer.seated) return false;
    // It has accepted a view that was to confirm this lineage, and counts by that from now on.
    if (!parted(member) && peer.lineage.majority > lineage_.majority) unconfirmed = false;
  }
  if (unconfirmed) return false;
  return !weights_.majority(voters_reached());
}

bool ViewMember::others_are_gone() const {
  for (const auto member : peers_.others())
    if (!reached_.has(member) && !peers_.suspected(member, now_)) return false;
  return true;
}

/// W12. A no is asked about again, seldom.
bool ViewMember::asks() const {
  if (!lacks_since_ || !lacks_majority() || !others_are_gone()) return false;
  const bool all_there = weights_.majority(reached_);
  if (all_there && now_ - *lacks_since_ < 2 * options_.timing.patience) return false;
  if (!answer_ || !fits(*answer_)) return true;
  return !answer_->yes && now_ - answer_->at >= options_.timing.backoff_max;
}

bool ViewMember::undecided() const { return lacks_majority() && !(answer_ && fits(*answer_)); }

/// One that comes when others are reached than those that it is about says nothing.
void ViewMember::answer(const MemberSet& reach, bool consents) {
  if (reach != reached_) return;
  answer_ = Answer{reach, consents, now_};
  for (const auto member : peers_.others())
    if (peers_.of(member).linked) send_status(member);
}

/// This node and those of `candidates` that consent: who could go on without a majority.
MemberSet ViewMember::consenting(const MemberSet& candidates) const {
  MemberSet set;
  set.add(options_.self);
  for (const auto member : candidates.list())
    if (member != options_.self && reached_.has(member) &&
        (peers_.of(member).consents || (seated_ && view().has(member))))
      set.add(member);
  return set;
}

// --- lineages ---

namespace {

bool has_state(const Peer& peer) {
  return peer.voter || peer.newest > Round{} || !peer.lineage.id.none();
}

}  // namespace

bool ViewMember::parted(MemberId member) const {
  return peers_.of(member).lineage.id != lineage_.id;
}

/// It is of another lineage, which is the one to survive: before what this node and those of its own
/// lineage have that it reaches. Who has taken the half of a state would go back and forth otherwise.
bool ViewMember::outranks(MemberId member) const {
  const auto& peer = peers_.of(member);
  if (!parted(member)) return false;
  if (!has_state(peer)) return false;
  const bool fresh = !voter_ && history_.chain().round == Round{} && lineage_.id.none();
  auto own = rank(fresh ? Lineage() : lineage_, history_.chain().round, options_.mutation);
  for (const auto other : peers_.others())
    if (reached_.has(other) && !parted(other) && has_state(peers_.of(other)))
      own =
          std::max(own, rank(peers_.of(other).lineage, peers_.of(other).newest, options_.mutation));
  return rank(peer.lineage, peer.newest, options_.mutation) > own;
}

/// Whom to follow: the first of those that are reached; of one lineage a member of a view, then who
/// has most final rounds.
std::optional<MemberId> ViewMember::outranking() const {
  std::optional<MemberId> first;
  const auto key = [this](MemberId member) {
    const auto& peer = peers_.of(member);
    return std::tuple(rank(peer.lineage, {}, options_.mutation), peer.seated, peer.final.round);
  };
  for (const auto member : peers_.others())
    if (reached_.has(member) && outranks(member) && (!first || key(*first) < key(member)))
      first = member;
  return first;
}

void ViewMember::hear_lineage(MemberId from, const Lineage& lineage, Round newest) {
  auto& peer = peers_.of(from);
  peer.lineage = lineage;
  peer.newest = newest;
  if (seated_ && outranks(from))
    leave_view("node " + std::to_string(from.value) + " has a state that goes before this one's: " +
               text_of(lineage) + ", newest " + std::to_string(newest.value) + ", before " +
               text_of(lineage_) + ", newest " + std::to_string(history_.chain().round.value));
}

/// The final rounds here are those of a node of that lineage. L1, W6: what is complete beyond them
/// is of another lineage if this one was, and what of it a majority may hold is there, too.
void ViewMember::follow_lineage(const Lineage& theirs) {
  if (theirs.id != lineage_.id) {
    if (auto status = history_.drop_after(final_); !status) return fail(status);
    lineage_ = follow(lineage_, theirs, final_, final_view_);
    history_view_ = {};
    tell(Event::Kind::trace, options_.self,
         "follows to round " + std::to_string(final_.value) + ": " + text_of(lineage_));
  } else if (!theirs.id.none() && theirs.claim() > lineage_.claim()) {
    const auto made = follow(lineage_, theirs, final_, final_view_);
    // L4
    if (made.claim() > lineage_.claim())
      if (auto status = history_.drop_after(final_); !status) return fail(status);
    lineage_ = made;
  }
}

/// W6: what this node overrode may have been given out by a majority up to the base, with this node
/// among those that hold it, and who it gives way to need not know that it is final. As long as it is
/// kept here, and the state is of before any newer view (L4).
std::vector<CompletedRound> ViewMember::common_rounds(const SnapBegin& begin) const {
  std::vector<CompletedRound> rounds;
  const auto upto = begin.upto;
  auto same = history_.chain_at(upto.round);
  if (!lineage_.unconfirmed() || !same.ok() || *same != upto) return rounds;
  const auto made = follow(lineage_, begin.lineage, upto.round, begin.view);
  if (made.claim() > lineage_.claim(true)) return rounds;
  const auto status = history_.read_from(upto.round.next(), [&](const CompletedRound& round) {
    if (round.round > lineage_.base) return Status(ErrorCode::interrupted, "enough");
    rounds.push_back(round);
    return Status();
  });
  if (!status && status.code() != ErrorCode::interrupted) rounds.clear();
  return rounds;
}

/// W11. What is in flight here, and what clients have read, is of a history that is no more.
void ViewMember::take_parted_state(const SnapBegin& begin) {
  unfinished_.clear();
  last_round_ = {};
  lineage_ = follow(lineage_, begin.lineage, begin.upto.round, begin.view);
  history_view_ = {};
  tell(Event::Kind::trace, options_.self,
       "takes another history, to round " + std::to_string(begin.upto.round.value) + ": " +
           text_of(lineage_));
}

}  // namespace exdb
