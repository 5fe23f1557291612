// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a search asks for, as bounds [low, high) on the bytes of keys.
// Threads: pure functions.
// Failure: misuse throws Error, which names the index and says what to use instead.
#pragma once
#include "exdb/connection.hpp"
#include "schema/key.hpp"

namespace exdb {

/// Whether this search can be done there, without a look at the values. Throws unsupported for an
/// index (null: none) without keys, and for an operation that needs a tree; conversion for values
/// that are too many, none, or for a hash too few.
void require_searchable(const ClassDef& type, const IndexDef* index, Operation operation,
                        std::size_t values);

/// REQUIRES: require_searchable. Throws conversion and key_too_long as make_key does.
KeyRange search_bounds(const IndexDef& index, Operation operation, std::span<const Value> values);

/// Of Connection::range. Throws unsupported unless the index is a tree, and as search_bounds.
KeyRange range_bounds(const IndexDef& index, std::span<const Value> low,
                      std::span<const Value> high);

/// The keys in both. An empty `high` is no bound, as everywhere.
KeyRange common(KeyRange a, const KeyRange& b);

/// Is there no key between them?
inline bool empty(const KeyRange& bounds) {
  return !bounds.high.empty() && bounds.low >= bounds.high;
}

}  // namespace exdb
