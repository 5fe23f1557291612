// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where a history comes from, once a view was formed without a majority because quorumCallback said
// so (an override): enough of it to tell an ancestor, whose rounds the other has too, from a fork,
// of which one side has to give its state up; and an order that says which.
//
// Every override names a lineage by its ballot, and so does every further view without the word of
// a majority on top of it; a view that has that word again confirms the lineage, which keeps the
// name. Nodes of one lineage are one history: all rules of protocol.md hold among them. Between two
// lineages rank() decides, alone, the same way everywhere.
//
// Invariants
//   L1  rank() says no more than the history holds: what it names as newest, or as the base, is
//       there. What a node takes from another lineage it claims by follow(), step by step.
//   L2  Of two histories the one with the newer view of a majority is first. Of two with the same
//       one, that which may hold more of what such a view has given out: rounds after the base of
//       an override can only be final if nodes that had no part in it are a majority; when they are
//       not, the override is complete, and comes before all that has no override on top.
//   L3  Otherwise the heavier override is first, then the newer one; and a child before its parent.
//   L4  Who claims a newer view keeps nothing of its own after the rounds that it has taken for it:
//       that view began before those, so no majority has given out what an older one has there, and
//       it would pass for rounds of the newer one.
//   L5  Histories that nodes without a state began apart have different names, `founded`, and nothing
//       else in common: rank() knows nothing of them. Where nodes are on disk, two that have states
//       of such histories have nothing to say to each other (ViewMember W14).
// Threads: plain values.
#pragma once
#include <algorithm>
#include <limits>
#include <tuple>

#include "cluster/mutation.hpp"
#include "cluster/round_history.hpp"
#include "cluster/view.hpp"

namespace exdb {

struct Lineage {
  Ballot id;        ///< the newest view that nobody answers for: without a majority's word, or
                    ///< with it, on top of such a view none of whose members was heard; none: never
  Ballot majority;  ///< the newest view with it that this history has
  Ballot root;      ///< the first view without it since; none while the lineage is confirmed
  Round base;       ///< after which that began
  bool complete = false;     ///< L2
  std::uint64_t weight = 0;  ///< qrank of its members
  Ballot held;               ///< the newest view since the root whose beginning this history has
  Round since;               ///< after which its newest view began
  Ballot founded = {};       ///< the view in which nodes without a state began this history
  bool operator==(const Lineage&) const = default;

  /// Nobody but those who took part answers for it.
  [[nodiscard]] bool unconfirmed() const { return !root.none(); }
  /// The newest view that it claims to have; `of_majority`: before what is without one's word.
  [[nodiscard]] auto claim(bool of_majority = false) const {
    return std::pair(majority, of_majority ? Ballot() : held);
  }
};

/// L2, L3: the higher one survives. Two of different lineages are never equal.
[[nodiscard]] inline auto rank(const Lineage& line, Round newest, ViewMutation mutation) {
  const bool overrides = line.unconfirmed();
  const auto all = std::numeric_limits<std::uint64_t>::max();
  auto of_majority = !overrides ? newest.value : line.complete ? all : line.base.value;
  if (overrides && mutation == ViewMutation::override_beats_majority) of_majority = all;
  if (overrides && mutation == ViewMutation::ancestor_wins) of_majority = 0;
  return std::tuple(line.majority, of_majority, overrides, line.weight, line.root, line.held,
                    newest.value);
}

/// What a history of lineage `mine` is when it has become that of `theirs`, up to the round `upto`
/// of view `view` and no further. L1.
[[nodiscard]] inline Lineage follow(const Lineage& mine, const Lineage& theirs, Round upto,
                                    Ballot view) {
  auto made = theirs;
  if (upto >= theirs.since) return made;
  if (theirs.unconfirmed() && upto >= theirs.base) {
    made.held = std::max(view, theirs.root);
    return made;
  }
  made = {};
  made.id = theirs.id;
  made.founded = theirs.founded;
  made.majority = std::min(std::max(view, mine.majority), theirs.majority);
  return made;
}

/// "id 6.0, majority 5.1, root 6.0 after round 9 (complete, weight 1), held 6.0, since 9".
inline std::string text_of(const Lineage& line) {
  auto text = "id " + text_of(line.id) + ", majority " + text_of(line.majority);
  if (line.unconfirmed())
    text += ", root " + text_of(line.root) + " after round " + std::to_string(line.base.value) +
            (line.complete ? " (complete, weight " : " (weight ") + std::to_string(line.weight) +
            "), held " + text_of(line.held);
  return text + ", since round " + std::to_string(line.since.value) + ", founded " +
         text_of(line.founded);
}

}  // namespace exdb
