// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Value to the machine value of a field, with every check there is: kind, range, length, UTF-8,
// enumerators. Rows and search keys use the same functions, so that what cannot be stored cannot be
// searched for either.
//
// Threads: pure.
// Failure: Error 99 "Flight.month: 300 does not fit unsigned<1> (0..255)"; nothing is written.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "exdb/schema.hpp"
#include "exdb/value.hpp"

namespace exdb {

/// Where a value goes, for messages: a chain on the stack that costs nothing until there is
/// something to say.
struct Where {
  const Where* up = nullptr;
  std::string_view name;    ///< "Flight.month", or a field within `up`; empty for an element
  std::int64_t index = -1;  ///< of an element, counted from 0
  [[nodiscard]] std::string to_text() const;
};

/// Throws Error 99: "<where>: <value> does not fit <type of the field> (<range>)".
[[noreturn]] void throw_misfit(const Where& where, const std::string& value, const FieldDef& field);
/// The same for a value of the right kind; of another one "<value> is <kind>, and <type> takes …".
[[noreturn]] void throw_refused(const Where& where, const Value& value, const FieldDef& field);

/// Writes size_of(field.type) bytes. Precondition: is_scalar(field.type).
void convert_scalar(const FieldDef& field, const Value& value, std::byte* out, const Where& where);
/// Why a machine value may not stand in this field (an unknown enumerator, a time beyond midnight,
/// a boolean 2); null when it may. `value` points to size_of(field.type) bytes.
const char* scalar_fault(const FieldDef& field, const std::byte* value);

/// Checks text or bytes for a char<n>, string, binary<n> or blob field.
void check_bytes(const FieldDef& field, Bytes value, const Where& where);
/// The bytes of a text or bytes value, checked; a view into `value`.
Bytes convert_bytes(const FieldDef& field, const Value& value, const Where& where);

}  // namespace exdb
