// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where two schemas differ, for people who have loaded different ones on different nodes.
//
// Invariants
//   I1  A function of the two texts alone: nodes that hold the same texts say the same.
// Threads: pure functions.
#pragma once
#include <string>
#include <string_view>

#include "exdb/schema.hpp"

namespace exdb {

/// What a node tells of its schema: its canonical text, or, where that is longer than `bytes_max`,
/// one hash a declaration in place of what it declares, as many as fit.
std::string outline_of(const Dictionary& dictionary, std::size_t bytes_max);

/// The first declaration, and within it the first field or index, in which two outlines differ:
/// "class Flight, field month is unsigned<1> on node 0 and unsigned<2> on node 2". Empty when they
/// do not show it.
std::string first_difference(std::string_view a, std::string_view b, std::string_view name_a,
                             std::string_view name_b);

}  // namespace exdb
