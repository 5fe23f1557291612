// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The sessions that this process has left without its neighbours: their communicators wait here
// until all their ranks meet again. The next opening over the same ranks is such a meeting, and
// collective in any case: each rank tells which sessions it has left, and those that all of them
// have left are drained and freed by all.
//
// Rejected: freeing in the background by a protocol of its own (a thread that polls after the
// database is gone), and MPI_Comm_disconnect (collective too).
//
// Invariants
//   I1  A session is freed when all its ranks have left it and all are in the same opening; by all,
//       in the same order.
//   I2  A session is tried once. What cannot be drained is kept for good.
// Threads: any; two openings at a time share the list out between them.
// Failure: none; what cannot be freed stays.
#pragma once
#include <memory>

#include "calls.hpp"

namespace exdb::mpi {

struct Session;

/// Takes a session of a closed transport over.
void leave_behind(std::shared_ptr<Session> session);

/// COLLECTIVE over `communicator`, within opening. `deadline` bounds the whole. A Status only when
/// the communicator itself fails.
Status collective_free_left(MPI_Comm communicator, const Deadline& deadline);

/// Sessions that wait here: for tests.
std::size_t left_sessions();

}  // namespace exdb::mpi
