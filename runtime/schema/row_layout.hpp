// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What writing, squeezing and checking rows have in common: where things lie within a field.
#pragma once
#include "base/bytes.hpp"
#include "exdb/schema.hpp"
#include "schema/row.hpp"

namespace exdb {

/// Values inline: 1, or the length of the array.
inline std::uint32_t inline_count(const FieldDef& field) {
  return field.is_array() ? field.array_length : 1;
}

/// Bytes of the field in the fixed part of its record.
inline std::size_t extent_of(const FieldDef& field) {
  return field.is_vector ? sizeof(Reference)
                         : std::size_t{inline_count(field)} * field.element_size;
}

/// Each value, single or element, holds references itself.
inline bool element_has_references(const FieldDef& field) {
  return field.type == FieldType::string || field.type == FieldType::blob ||
         (field.type == FieldType::structure && field.record->has_references);
}

/// Alignment in the tail (R3) of the block of a vector, or of the bytes of a string or blob.
inline std::size_t tail_alignment(const FieldDef& field) {
  if (!field.is_vector) return 1;
  return is_scalar(field.type) ? vector_alignment : 8;
}

inline std::size_t align_up(std::size_t at, std::size_t alignment) {
  return (at + alignment - 1) & ~(alignment - 1);
}

template <class T>
T load_at(Bytes bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void store_at(MutableBytes bytes, std::size_t at, const T& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// Writes the canonical form (R3) of `row`, whose references may be in any order and have gaps
/// between them. Precondition: R1 and R2 hold, no bytes are referred to twice.
void canonicalise(const RecordDef& record, Bytes row, std::vector<std::byte>& out);

}  // namespace exdb
