// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rules of changing membership that the simulation takes out, one at a time, to show that it would
// notice. None in production.
//
// Threads: a plain value.
#pragma once
#include <cstdint>

namespace exdb {

enum class ViewMutation : std::uint8_t {
  none,
  final_when_complete,     ///< what is complete is given out: OK before a majority holds it
  posting_acknowledges,    ///< who has posted a round is taken to hold it
  half_is_quorum,          ///< half of the qrank is enough
  amnesiac_votes,          ///< a node that has lost its memory says that its state counts
  no_accept_phase,         ///< a proposed view is installed without a quorum that accepted it
  longest_log_wins,        ///< the donor is who has most rounds
  keeps_on_after_promise,  ///< completes and gives out rounds after a promise
  promises_backwards,      ///< promises a lower ballot than it promised before
  installs_after_promise,  ///< installs a view although it has promised a higher ballot
  drops_before_fetch,      ///< forgets what a proposed view lacks before it has what that view has
  keeps_suffix,            ///< keeps complete rounds that the new view does not have
  forms_beside_state,      ///< a fresh majority forms although somebody has a state
  gives_unfinal,           ///< complete rounds are given to joiners as final
  takes_old_lives,         ///< frames of former incarnations count
  takes_other_views,       ///< batches and watermarks of other views count
  forgets_unfinished,      ///< what a view change cut off is not proposed again
  repeats_finished,        ///< what a view change kept is proposed again
  joins_broken_transfer,   ///< goes on with another snapshot where one broke off
  ignores_reach,           ///< a view need not be a clique
  never_admits,            ///< nodes that come back stay out
  // Of writing without a majority (lineage.hpp).
  override_beats_majority,  ///< a fork is not compared by what a majority may have given out
  ancestor_wins,            ///< who has not overridden is never an ancestor, always a fork
  confirms_early,          ///< an override counts as a majority's view as soon as it has the weight
  override_counts_weight,  ///< its rounds are final before all of its members hold them
  forms_without_consent,   ///< nodes take part in an override that have not said yes
  // Of nodes on disk (stable_store.hpp).
  says_before_stored,   ///< frames do not wait for the store
  gives_before_stored,  ///< nor do final rounds
  forgets_promise,      ///< a new life votes, and does not know what it has promised
  forgets_accepted,     ///< nor which view it has accepted
  ends_again,           ///< a round that ended a former life of the cluster ends this one
};

}  // namespace exdb
