// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who can be in one view: members that all hear each other (H23). A view that is not a clique makes
// no round, and two members that do not hear each other would throw each other out for ever.
//
// Invariants
//   C1  The result depends on the arguments only. Of several equally good ones it is that with the
//       lowest members.
// Threads: a pure function.
// Cost: O(2^k n) for k members of which a pair misses each other, and never more than some
//   thousand steps: with more broken links than that it is a clique, but perhaps not the best.
#pragma once
#include <vector>

#include "cluster/view.hpp"

namespace exdb {

struct CliqueChoice {
  MemberSet candidates;
  std::vector<MemberSet> reach;  ///< whom each member hears, by its number
  MemberSet counted;             ///< a majority of the configured qrank is to be of these
  bool any_weight = false;       ///< no majority is asked for: an override
  bool ignores_reach = false;    ///< a rule that the simulation takes out
};

/// The heaviest clique with a majority in `counted`, the most members among equals; the empty set
/// when there is none.
[[nodiscard]] MemberSet best_clique(const CliqueChoice& choice, const Weights& weights);

}  // namespace exdb
