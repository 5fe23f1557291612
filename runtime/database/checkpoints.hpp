// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Checkpoints of all nodes of a cluster at one round, and such as are written while the program goes
// on. Whoever wants one says so in the agreed order (AgreedWords W1); each node that keeps a copy begins
// it right after that round, writes it beside the rounds, and says when it has.
//
// Invariants
//   A1  write_checkpoint() returns when every node that keeps a copy has one of the same state, in which
//       is all that was published here when it was called. It throws what one of them could not do,
//       naming the node. Nodes that have called stop are waited for too: they still say what they have
//       written. Those that leave meanwhile, or are gone, are not, and a line says so.
//   A2  close_node() takes the time it is given once: for the stop of the node and for the checkpoint
//       that it has begun for all.
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
using SteadyNow = std::chrono::steady_clock::time_point (*)() noexcept;
/// Stops the node and closes it, and waits for the checkpoint of all that it is at. Without a deadline
/// as long as it takes. The Status of Participant::stop(). A2.
Status close_node(DatabaseCore& core, std::optional<std::chrono::milliseconds> deadline,
                  SteadyNow now = std::chrono::steady_clock::now);
/// This node begins those that are asked for from here on. Before its first round.
void watch_checkpoints(DatabaseCore& core);
/// What nodes have said, as this process knows it. Asks the leader where there is one.
void look_at_words(DatabaseCore& core, AgreedWords& words);
/// A transaction that does nothing but say this word, or give or take this name. `of_engine`: also
/// where the program has stopped.
void commit_name(DatabaseCore& core, const std::string& name, bool drops, bool of_engine = false);

}  // namespace exdb
