// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// "legs[2].airport" to a place in one row. (A place that is the same in every row is
// ClassDef::locate.)
//
// Threads: pure.
// Failure: Error 803 for an unknown field or a path that is none, Error 99 for an index beyond the
//   end.
#pragma once
#include <functional>
#include <string_view>

#include "schema/row.hpp"

namespace exdb {

struct Location {
  const FieldDef* field = nullptr;
  std::size_t base = 0;    ///< start of the record that holds the field
  std::size_t offset = 0;  ///< of the field, or of its element
  bool element = false;    ///< one element of an array or vector
  bool absent = false;     ///< within a struct that is absent
};

/// A presence bit as RowView::present counts: from the start of the row. -1 for a field that is
/// always there.
inline std::int64_t presence_at(const FieldDef& field, std::size_t base) {
  return field.presence_bit < 0 ? -1 : std::int64_t(base) * 8 + field.presence_bit;
}

/// Called for each absent struct on the way. A builder makes it present and gives true; a reader
/// gives false.
using EnterAbsent = std::function<bool(const FieldDef& field, std::size_t base)>;

/// `row` may change within enter_absent, but must not move.
Location locate_value(const RowView& row, std::string_view path, const EnterAbsent& enter_absent);

}  // namespace exdb
