// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/candidacy.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/assert.hpp"

namespace exdb {

void Candidacy::add(MemberId from, Incarnation incarnation, Promise promise) {
  EXDB_ASSERT(promise.promised == ballot_ && !promise.refused, "a promise to this ballot");
  answers_[from] = {incarnation, std::move(promise)};
}

bool Candidacy::nobody_has_state() const {
  return std::all_of(answers_.begin(), answers_.end(), [](const auto& entry) {
    const auto& promise = entry.second.promise;
    return !promise.voter && promise.last.round == Round{} && promise.final.round == Round{};
  });
}

/// B2. Where a history was overridden, who has accepted the newest view of its lineage counts before
/// anybody knows it to be installed, too: nobody may be left who could know.
MemberSet Candidacy::counted() const {
  MemberSet set;
  const bool forms = nobody_has_state() || mutated(ViewMutation::forms_beside_state);
  Ballot newest;
  for (const auto& [member, answer] : answers_)
    if (!answer.promise.lineage.id.none())
      newest = std::max(newest, answer.promise.lineage.majority);
  for (const auto& [member, answer] : answers_) {
    bool counts = answer.promise.voter || forms;
    counts |= !newest.none() && answer.promise.accepted == newest;
    for (const auto ballot : answer.promise.unconfirmed)
      counts |= std::any_of(answers_.begin(), answers_.end(), [ballot](const auto& entry) {
        return entry.second.promise.voter && entry.second.promise.installed == ballot;
      });
    if (counts) set.add(member);
  }
  return set;
}

bool Candidacy::has_promises() const {
  const auto voters = counted();
  if (weights_.majority(voters)) return true;
  const auto own = answers_.find(ballot_.member);
  const bool consents = own != answers_.end() && own->second.promise.consents;
  return std::any_of(answers_.begin(), answers_.end(), [&](const auto& entry) {
    const auto& promise = entry.second.promise;
    return promise.lineage.unconfirmed() || (consents && promise.voter) ||
           (consents && !promise.lineage.id.none());
  });
}

/// B6. That of a voter, or of who has a part of an overridden history.
const Lineage& Candidacy::first_lineage(const MemberSet& counted) const {
  static const Lineage none;
  const Promise* first = nullptr;
  for (const auto& [member, answer] : answers_) {
    const auto& promise = answer.promise;
    if (!counted.has(member) && promise.lineage.id.none()) continue;
    if (!first || rank(promise.lineage, promise.last.round, mutation_) >
                      rank(first->lineage, first->last.round, mutation_))
      first = &promise;
  }
  return first ? first->lineage : none;
}

MemberId Candidacy::donor_of(const MemberSet& counted, const Lineage& first) const {
  const auto rank_of = [&](MemberId member) {
    const auto& promise = answers_.at(member).promise;
    const auto accepted = std::max(promise.lineage.majority, promise.lineage.held);
    if (mutated(ViewMutation::longest_log_wins))
      return std::tuple(Ballot{}, promise.last.round, false);
    // Among equals the coordinator: then it need not fetch first.
    return std::tuple(accepted, promise.last.round, member == ballot_.member);
  };
  std::optional<MemberId> donor;
  for (const auto& [member, answer] : answers_) {
    const auto& promise = answer.promise;
    if (!counted.has(member) && promise.lineage.id.none()) continue;
    if (promise.lineage.id != first.id) continue;
    if (!donor || rank_of(*donor) < rank_of(member)) donor = member;
  }
  EXDB_ASSERT(donor, "B6: the first lineage is somebody's");
  return *donor;
}

/// B7, B8: with a majority's weight if that is to be had; else of those who consent.
MemberSet Candidacy::members_of(CliqueChoice choice, const Lineage& first) const {
  const bool voters_enough = weights_.majority(choice.counted);
  if (first.unconfirmed()) choice.counted = choice.candidates;
  if (voters_enough || first.unconfirmed()) {
    auto members = best_clique(choice, weights_);
    if (members.has(ballot_.member)) return members;
  }
  choice.any_weight = true;
  for (const auto member : choice.candidates.list())
    if (!answers_.at(member).promise.consents &&
        !(mutated(ViewMutation::forms_without_consent) && member != ballot_.member))
      choice.candidates.remove(member);
  // Every clique has the coordinator: whoever does not hear it is none of its members.
  for (const auto member : choice.candidates.list())
    if (!choice.reach[member.value].has(ballot_.member)) choice.candidates.remove(member);
  if (!choice.candidates.has(ballot_.member)) return {};
  return best_clique(choice, weights_);
}

Lineage Candidacy::next_lineage(const Choice& made, const Lineage& first, const MemberSet& counted,
                                const MemberSet& members) const {
  auto line = first;
  const auto after = made.view.after.round;
  line.since = after;
  if (line.founded.none()) line.founded = ballot_;
  MemberSet voters;
  for (const auto member : members.list())
    if (counted.has(member)) voters.add(member);
  const auto known = weights_.of(counted);
  const bool nobody_else = 2 * known >= weights_.total() || answers_.size() == weights_.members() ||
                           mutated(ViewMutation::confirms_early);
  const bool has_word =
      first.unconfirmed() ? weights_.majority(members) && nobody_else : weights_.majority(voters);
  // Who only followed may lack what members of that view have made since: they are another lineage
  // from here on.
  const bool member_heard = std::any_of(answers_.begin(), answers_.end(), [&](const auto& entry) {
    const auto& promise = entry.second.promise;
    return promise.lineage.id == first.id && promise.accepted == first.held;
  });
  if (has_word) {
    // B10
    const bool begins_anew = nobody_has_state() && !first.id.none();
    if (begins_anew) line.founded = ballot_;
    if (begins_anew || (first.unconfirmed() && !member_heard)) line.id = ballot_;
    line.majority = ballot_;
    line.root = line.held = {};
    line.base = {};
    line.complete = false;
    line.weight = 0;
    return line;
  }
  if (!first.unconfirmed()) {
    line.root = ballot_;
    line.base = after;
    line.complete = 2 * known >= weights_.total();
    line.weight = weights_.of(members);
  }
  line.id = line.held = ballot_;
  return line;
}

Result<Candidacy::Choice> Candidacy::choose(const Besides& besides) const {
  EXDB_ASSERT(has_promises(), "a view is chosen from the promises of a quorum");
  CliqueChoice choice;
  choice.counted = counted();
  choice.ignores_reach = mutated(ViewMutation::ignores_reach);
  choice.reach.resize(weights_.members());
  const auto first = first_lineage(choice.counted);
  const auto donor = donor_of(choice.counted, first);
  const auto& source = answers_.at(donor).promise;
  for (const auto& [member, answer] : answers_) {
    const auto& promise = answer.promise;
    choice.reach[member.value] = promise.reach;
    // Its answer has come, whatever it says of whom it hears; and the coordinator hears it.
    choice.reach[member.value].add(ballot_.member);
    choice.reach[ballot_.member.value].add(member);
    const bool behind = promise.final.round.value + besides.lag_max < source.last.round.value;
    const bool parted = promise.lineage.id != first.id && promise.final.round > Round{} &&
                        !besides.followers.has(member);
    if (!promise.leaves && !besides.kept_out.has(member) && !behind && !parted)
      choice.candidates.add(member);
  }
  if (!choice.candidates.has(ballot_.member))
    return Status(ErrorCode::cluster_no_quorum,
                  "the coordinator leaves, or is too far behind: it has final rounds up to " +
                      std::to_string(answers_.at(ballot_.member).promise.final.round.value) +
                      ", and node " + std::to_string(donor.value) + " round " +
                      std::to_string(source.last.round.value));
  const auto members = members_of(choice, first);
  if (!members.has(ballot_.member))
    return Status(ErrorCode::cluster_no_quorum,
                  "no majority of nodes with a state that reach each other: nodes " +
                      text_of(choice.candidates) + " could be members, the states of " +
                      text_of(choice.counted) + " count");
  Choice made;
  made.donor = donor;
  made.view.after = source.last;
  made.view.source = source.accepted;
  for (const auto member : members.list())
    made.view.seats.push_back(
        {member, answers_.at(member).incarnation, choice.counted.has(member)});
  made.view.lineage = next_lineage(made, first, choice.counted, members);
  MemberSet voters;
  for (const auto member : members.list())
    if (choice.counted.has(member)) voters.add(member);
  made.all_accept = first.unconfirmed() || !weights_.majority(voters);
  return made;
}

void Candidacy::accepted(MemberId from, Incarnation incarnation) {
  for (const auto& seat : proposed_.view.seats)
    if (seat.member == from && seat.incarnation == incarnation) accepted_.add(from);
}

bool Candidacy::has_acceptances() const {
  MemberSet voters;
  for (const auto& seat : proposed_.view.seats)
    if (proposed_.all_accept) {
      if (!accepted_.has(seat.member)) return false;
    } else if (seat.counted && accepted_.has(seat.member)) {
      voters.add(seat.member);
    }
  return proposed_.all_accept || weights_.majority(voters);
}

}  // namespace exdb
