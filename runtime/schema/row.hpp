// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A row: one object as one contiguous byte string, the same in memory, on the wire and on disk. The
// fixed part (a bitmap of presence bits, then every field at its aligned offset, structs and arrays
// inline) comes first; strings, blobs and vectors are a Reference in the fixed part to bytes in the
// tail behind it.
//
// Not a serialisation library's format: reading a field must be one load at a constant offset, a
// numeric vector must be readable in place, and equal values must have equal bytes (replicas
// compare rows by hash).
//
// Invariants
//   R1  A reference is {0, 0} when empty; else its bytes lie within the row. offset counts from the
//       row's start, `length` is bytes for string and blob, elements for a vector.
//   R2  What is absent (null, an absent struct) is all zero bytes; padding is zero.
//   R3  Canonical form: the tail holds the referenced bytes in the order of the fields, depth
//       first, a vector's block before what its elements refer to, with no gap but alignment: 64
//       for vectors of scalars, 8 for other vectors, 1 for strings and blobs. So equal values have
//       equal bytes, and no byte is referred to twice.
//   R4  A row is at most 4 GiB - 1. In a builder, what was replaced counts until it is squeezed
//       out.
// Threads: a RowView reads bytes it does not own; a RowBuilder is used by one thread at a time.
// Failure: setters throw Error (99 for a value that does not fit, 803 for an unknown field, 2002
//   for a row beyond R4) and leave the row as it was. A RowView trusts its bytes: those from
//   elsewhere go through validate_row first.
#pragma once
#include <cstring>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "exdb/row.hpp"
#include "exdb/schema.hpp"
#include "exdb/value.hpp"

namespace exdb {

inline constexpr std::uint32_t vector_alignment = 64;
inline constexpr std::uint64_t row_bytes_max = 0xffff'ffff;

/// Writes a row. Holds a working buffer: a row whose tail may have gaps. Reusable by reset(), so
/// that a loop over many rows allocates nothing once warm.
class RowBuilder {
 public:
  /// To be reset before anything else.
  RowBuilder() = default;
  /// A new object: RecordDef::defaults.
  explicit RowBuilder(const ClassDef& type) { reset(type); }
  /// Starts from an existing, valid row.
  RowBuilder(const ClassDef& type, Bytes row) { reset(type, row); }
  void reset(const ClassDef& type);
  void reset(const ClassDef& type, Bytes row);
  /// From a canonical row that stays where it is, and as it is, until the next reset. It is copied at
  /// the first change.
  void refer_to(const ClassDef& type, Bytes row);

  /// The row as set so far; valid until the next change.
  [[nodiscard]] RowView view() const {
    return {*type_, lent_ == nullptr ? Bytes(buffer_) : Bytes(lent_, lent_bytes_)};
  }

  template <class T>
  void set(const Field<T>& field, std::type_identity_t<T> value);
  /// Path as in RowView::value. Setting a field of an absent struct makes the struct present; null
  /// makes a nullable field null and an optional struct absent. A list sets a whole vector, or a
  /// whole array (of exactly its length); a record sets a whole struct: fields it does not name get
  /// their defaults.
  void set(std::string_view path, const Value& value);
  void set(const FieldDef& field, const Value& value);
  /// All elements of an array or vector of scalars from contiguous bytes of storage_of(its type)
  /// elements. `type` is what the caller's bytes are; it must be the field's storage.
  void set_raw(std::string_view path, FieldType type, Bytes elements);
  void set_raw(const FieldDef& field, FieldType type, Bytes elements);
  /// The object's own id; only the database gives it. No effect on a class without one.
  void set_autoid(std::uint64_t id);

  /// The canonical bytes; valid until the next change. The builder may go on being used.
  [[nodiscard]] Bytes finish();

 private:
  friend class RowWriter;
  friend class Object;  // its typed setters
  void compact();
  /// Before a change.
  void own() {
    if (lent_ != nullptr) reset(*type_, Bytes(lent_, lent_bytes_));
  }
  void store_scalar(const FieldPlace& place, const void* value, std::size_t size);
  void store_bytes(const FieldPlace& place, Bytes value);
  void store_elements(const FieldPlace& place, Bytes elements);

  const ClassDef* type_ = nullptr;
  std::vector<std::byte> buffer_;
  std::vector<std::byte> spare_;
  const std::byte* lent_ = nullptr;  ///< refer_to(): the row is there; buffer_ has no meaning
  std::uint32_t lent_bytes_ = 0;
  bool canonical_ = true;
  std::size_t compact_at_ =
      0;  // buffer size beyond which gaps are squeezed out: twice what was live the last time
};

/// Whether these bytes are a canonical row of this class: R1 to R4, valid enumerators, booleans,
/// times and UTF-8, and no index key beyond key_bytes_limit. Reads nothing outside `row`, whatever
/// it holds. Cost: one pass over the row.
Status validate_row(const ClassDef& type, std::span<const IndexDef> indexes, Bytes row);
Status validate_row(const Dictionary& dictionary, ClassId type, Bytes row);

template <class T>
void RowBuilder::set(const Field<T>& field, std::type_identity_t<T> value) {
  if constexpr (std::is_arithmetic_v<T>) {
    store_scalar(field.place(), &value, sizeof value);
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    store_bytes(field.place(), as_bytes(value));
  } else if constexpr (std::is_same_v<T, Bytes>) {
    store_bytes(field.place(), value);
  } else {
    store_elements(field.place(), std::as_bytes(value));
  }
}

}  // namespace exdb
