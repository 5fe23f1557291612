// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/candidacy.hpp"

#include <algorithm>
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

/// B2.
MemberSet Candidacy::counted() const {
  MemberSet set;
  const bool forms = nobody_has_state() || mutated(ViewMutation::forms_beside_state);
  for (const auto& [member, answer] : answers_) {
    bool counts = answer.promise.voter || forms;
    for (const auto ballot : answer.promise.unconfirmed)
      counts |= std::any_of(answers_.begin(), answers_.end(), [ballot](const auto& entry) {
        return entry.second.promise.voter && entry.second.promise.installed == ballot;
      });
    if (counts) set.add(member);
  }
  return set;
}

bool Candidacy::has_promises() const { return weights_.majority(counted()); }

MemberId Candidacy::donor_of(const MemberSet& counted) const {
  const auto rank = [this](MemberId member) {
    const auto& promise = answers_.at(member).promise;
    if (mutated(ViewMutation::longest_log_wins))
      return std::tuple(Ballot{}, promise.last.round, false);
    // Among equals the coordinator: then it need not fetch first.
    return std::tuple(promise.accepted, promise.last.round, member == ballot_.member);
  };
  const auto members = counted.list();
  return *std::max_element(members.begin(), members.end(), [&rank](MemberId one, MemberId other) {
    return rank(one) < rank(other);
  });
}

Result<Candidacy::Choice> Candidacy::choose(const MemberSet& kept_out,
                                            std::uint64_t lag_max) const {
  EXDB_ASSERT(has_promises(), "a view is chosen from the promises of a quorum");
  CliqueChoice choice;
  choice.counted = counted();
  choice.ignores_reach = mutated(ViewMutation::ignores_reach);
  choice.reach.resize(weights_.members());
  const auto donor = donor_of(choice.counted);
  const auto& source = answers_.at(donor).promise;
  for (const auto& [member, answer] : answers_) {
    const auto& promise = answer.promise;
    choice.reach[member.value] = promise.reach;
    // Its answer has come, whatever it says of whom it hears; and the coordinator hears it.
    choice.reach[member.value].add(ballot_.member);
    choice.reach[ballot_.member.value].add(member);
    const bool behind = promise.final.round.value + lag_max < source.last.round.value;
    if (!promise.leaves && !kept_out.has(member) && !behind) choice.candidates.add(member);
  }
  if (!choice.candidates.has(ballot_.member))
    return Status(ErrorCode::cluster_no_quorum, "the coordinator is too far behind, or leaves");
  const auto members = best_clique(choice, weights_);
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
  return made;
}

void Candidacy::accepted(MemberId from, Incarnation incarnation) {
  for (const auto& seat : proposed_.seats)
    if (seat.member == from && seat.incarnation == incarnation) accepted_.add(from);
}

bool Candidacy::has_acceptances() const {
  MemberSet voters;
  for (const auto& seat : proposed_.seats)
    if (seat.counted && accepted_.has(seat.member)) voters.add(seat.member);
  return weights_.majority(voters);
}

}  // namespace exdb
