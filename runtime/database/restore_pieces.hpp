// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a node gives of a copy to those that lack it, in pieces, and what these make of it: rounds as
// records of the log, and a state as the chunks of its checkpoint with the names of snapshots that are
// in files.
//
// Threads: one.
// Failure: cluster_protocol for pieces that cannot be read, those of the file and of who takes.
#pragma once
#include "database/replica_sink.hpp"
#include "database/restore_copies.hpp"
#include "database/restore_words.hpp"

namespace exdb {

/// The rounds of a copy after `after`.
Status give_rounds(HeldCopy& copy, const DatabaseIdentity& identity, Round after,
                   const EachPiece& each);
/// Those of a piece that come after `have`.
Status take_rounds(Bytes rounds, const DatabaseIdentity& identity, RoundHistory::Chain have,
                   const std::function<Status(CompletedRound&&)>& take);

/// The checkpoint of a copy, if it has one, and the names it has in files.
Status give_state(HeldCopy& copy, const EachPiece& each);
/// `at`: the round whose state is complete then.
Status take_state(Bytes piece, ReplicaSink& sink, RoundHistory::Chain& at,
                  std::vector<NamedSnapshot>& names);

}  // namespace exdb
