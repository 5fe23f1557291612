// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The ids of objects: the number of the node in the upper 24 bits, and a count of its own below, so that
// no node asks another one.
//
// Invariants
//   U1  No id is given to a second object, in whatever life of a node: it begins above the clock's count
//       (1,024 a second since 2025, until 2059), above what its disk says was given, and above the count
//       of any row of any node that the state has ever had (Replica R8).
//   U2  Where nodes come and go that state comes after the open. As long as it has not, ids are those of
//       the clock. A commit with them is not accepted before it has, and then only if they are above it
//       (but for local classes, whose objects end with this life). The first one after it is above it.
// Threads: any.
#pragma once
#include <algorithm>

#include "database/core.hpp"
#include "durability/file_head.hpp"

namespace exdb {

/// Of a node that begins its life at this time since 1970, and remembers nothing.
std::uint64_t autoids_from(std::uint64_t life_ns);
/// What was given out by this node, and by those that it applies rounds of.
Marks marks_of(const DatabaseCore& core);
/// U2: above what has come of the state; each time that ids are taken, until this node is a member. False
/// as long as it is none.
bool settle_autoids(DatabaseCore& core);

}  // namespace exdb
