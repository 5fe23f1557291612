// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One ballot as its coordinator sees it: who has promised, what follows from that for the next view,
// and who has accepted it. Decisions only; nothing is sent from here.
//
// Invariants (letters as in cluster/README.md; I, H: protocol.md)
//   B1  A view is proposed only when voters with more than half of the qrank have promised; or, when
//       nobody who answered has any state, when fresh nodes with more than half have (H8, H9).
//   B2  Who was a learner counts as a voter when somebody who answered knows a view to be installed
//       that it accepted: it has what that view has, and was only not told.
//   B3  The donor is the voter with the highest (accepted ballot, last round), never the one with
//       the longest history (H10).
//   B4  The members hear each other, and voters among them are a majority (H23, I14).
//   B5  The view is installed only when such voters with more than half of the qrank have accepted
//       it, each in the life that it promised in (H8, H24).
// Where a history has been overridden, or is to be (lineage.hpp):
//   B6  The donor is of the first lineage among all that answered, and the members are of it, or have
//       nothing, or are known to have no more than it. Who has a state of another lineage counts in
//       B1 all the same: it has forgotten nothing that it knew of a majority's views.
//   B7  A view on top of an override has the word of a majority when its members are one, and those
//       that count have half, or all nodes have answered: then no view of a majority can be anywhere
//       that nobody here knows of. Else it is one more override.
//   B8  Members with no majority are such as consent; without consent there is no view of them.
//   B9  A view that B5 has no majority of voters for is installed when all its members accepted it.
//   B10  A view of nodes that all have no state begins a lineage of its own, though they may have
//       heard of one: who is of that one, and not heard, may have given out rounds since, after the
//       same beginning. Where there never was an override such histories have one name, none (L5).
// Threads: a plain value.
#pragma once
#include <map>
#include <string>

#include "cluster/clique.hpp"
#include "cluster/mutation.hpp"
#include "cluster/view_messages.hpp"

namespace exdb {

class Candidacy {
 public:
  struct Choice {
    MemberId donor;
    NewView view;
    bool all_accept = false;  ///< B9
  };
  /// What the coordinator knows besides.
  struct Besides {
    MemberSet kept_out;         ///< not to be members
    MemberSet followers;        ///< what they have of final rounds it has, too
    std::uint64_t lag_max = 0;  ///< rounds that a member may be behind
  };

  Candidacy(Ballot ballot, const Weights& weights, ViewMutation mutation)
      : ballot_(ballot), weights_(weights), mutation_(mutation) {}

  [[nodiscard]] Ballot ballot() const { return ballot_; }
  /// REQUIRES: a promise to this ballot.
  void add(MemberId from, Incarnation incarnation, Promise promise);
  /// A node that was asked and said no.
  void add_refusal(MemberId from) { refused_.add(from); }
  [[nodiscard]] bool answered(MemberId member) const {
    return answers_.contains(member) || refused_.has(member);
  }
  /// B1, or what an override needs: a state, and consent or a former override.
  [[nodiscard]] bool has_promises() const;
  /// The next view. Fails with no_quorum when there is none. REQUIRES: has_promises().
  [[nodiscard]] Result<Choice> choose(const Besides& besides) const;

  /// The accept phase of that view.
  void propose(Choice choice) { proposed_ = std::move(choice); }
  void accepted(MemberId from, Incarnation incarnation);
  /// B5, B9.
  [[nodiscard]] bool has_acceptances() const;
  [[nodiscard]] bool accepted_by(MemberId member) const { return accepted_.has(member); }

 private:
  struct Answer {
    Incarnation incarnation;
    Promise promise;
  };

  [[nodiscard]] bool mutated(ViewMutation mutation) const { return mutation_ == mutation; }
  [[nodiscard]] MemberSet counted() const;
  [[nodiscard]] bool nobody_has_state() const;
  [[nodiscard]] const Lineage& first_lineage(const MemberSet& counted) const;
  [[nodiscard]] MemberId donor_of(const MemberSet& counted, const Lineage& first) const;
  [[nodiscard]] Lineage next_lineage(const Choice& made, const Lineage& first,
                                     const MemberSet& counted, const MemberSet& members) const;
  [[nodiscard]] MemberSet members_of(CliqueChoice choice, const Lineage& first) const;

  Ballot ballot_;
  const Weights& weights_;
  ViewMutation mutation_;
  std::map<MemberId, Answer> answers_;
  MemberSet refused_;
  Choice proposed_;
  MemberSet accepted_;
};

}  // namespace exdb
