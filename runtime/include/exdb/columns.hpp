// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Columns: the values of one field for many rows, as they lie in memory. Connection::insert_many
// makes rows of them.
//
// Threads: plain values; what they point to must stay as it is during the call.
#pragma once
#include <cstdint>
#include <span>

#include "exdb/schema.hpp"
#include "exdb/types.hpp"

namespace exdb {

struct Column {
  /// A top-level field of the class: no struct, and no vector or array of text, bytes or structs.
  const FieldDef* field = nullptr;
  /// Scalars, single ones, arrays and vectors: machine values of storage_of(field->type). Text: UTF-8.
  /// Each row's follow each other.
  Bytes bytes;
  /// Where `ends` is empty: every row has so many bytes. Of a char<n> or a string, zeros at the end
  /// are no part of the text, as in NumPy's 'S'.
  std::size_t row_bytes = 0;
  /// Else row i has the bytes from ends[i - 1] (0 for the first) up to ends[i].
  std::span<const std::uint64_t> ends;
};

}  // namespace exdb
