// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Checkpoints of all nodes of a cluster at one round, and such as are written while the program goes
// on. Whoever wants one says so in the agreed order (AgreedWords W1); each node that keeps a copy begins
// it right after that round, writes it beside the rounds, and says when it has.
//
// Invariants
//   A1  write_checkpoint() returns when every node that keeps a copy has one of the same state, in which
//       is all that was published here when it was called; nodes that have left or stopped meanwhile
//       are not waited for. It throws what one of them could not do, naming the node.
// Threads: any.
// Failure: as Database::checkpoint().
#pragma once
#include <thread>

#include "database/core.hpp"
#include "exdb/checkpoint.hpp"

namespace exdb {

/// Blocks. Alone the state of now; of a cluster A1.
void write_checkpoint(DatabaseCore& core);
/// The same in a thread of its own, which ends with the database.
std::shared_ptr<Checkpoint> begin_checkpoint(const std::shared_ptr<DatabaseCore>& core);
/// This node begins those that are asked for from here on. Before its first round.
void watch_checkpoints(DatabaseCore& core);
/// What nodes have said, as this process knows it. Asks the leader where there is one.
void look_at_words(DatabaseCore& core, AgreedWords& words);
/// A transaction that does nothing but say this word, or give or take this name. `of_engine`: also
/// where the program has stopped.
void commit_name(DatabaseCore& core, const std::string& name, bool drops, bool of_engine = false);

}  // namespace exdb
