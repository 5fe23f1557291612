// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// RowView: one object's bytes, read in place. How rows are laid out, and how they are written, is
// in runtime/schema/row.hpp.
//
// Threads: a RowView reads bytes it does not own; any number of threads may.
// Failure: a RowView trusts its bytes; asking for a field that does not exist, or as another shape,
//   throws Error.
#pragma once
#include <cstring>
#include <type_traits>

#include "exdb/schema.hpp"
#include "exdb/types.hpp"
#include "exdb/value.hpp"

namespace exdb {

struct Reference {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

/// Reads a row. The bytes must be canonical or a RowBuilder's own, aligned to 8 (to 64 when vectors
/// are read in place).
class RowView {
 public:
  RowView() = default;
  RowView(const ClassDef& type, Bytes row) : type_(&type), row_(row) {}

  [[nodiscard]] const ClassDef& type() const { return *type_; }
  [[nodiscard]] Bytes bytes() const { return row_; }

  /// One load, or one load and a pointer. Zero or empty for null. Precondition: the handle is of
  /// this row's class.
  template <class T>
  [[nodiscard]] T get(const Field<T>& field) const;
  template <class T>
  [[nodiscard]] bool is_null(const Field<T>& field) const {
    return !present(field.presence());
  }

  /// Any field; arrays and vectors as lists, structs as records. Throws Error 803 for an unknown
  /// field. A path goes through structs and elements: "month", "origin.airport", "legs[2].airport",
  /// "samples[7]"; an index beyond the end throws Error 99. Through an absent struct it gives null.
  [[nodiscard]] Value value(std::string_view path) const;
  /// A top-level field of this row's class.
  [[nodiscard]] Value value(const FieldDef& field) const;
  /// All top-level fields.
  [[nodiscard]] ValueRecord values() const;

  /// The elements of an array or vector of scalars in place. Throws Error 99 for a field of another
  /// shape.
  /// Within an absent struct there are none.
  [[nodiscard]] RawArray raw(std::string_view path) const;
  [[nodiscard]] RawArray raw(const FieldDef& field) const;

  /// `bit` as FieldPlace::presence; true for -1.
  [[nodiscard]] bool present(std::int64_t bit) const {
    return bit < 0 || (std::to_integer<unsigned>(row_[std::size_t(bit) / 8]) >> (bit % 8) & 1) != 0;
  }
  template <class T>
  [[nodiscard]] T load(std::size_t offset) const {
    T value;
    std::memcpy(&value, row_.data() + offset, sizeof value);
    return value;
  }
  /// Text of the string or char<n> field, bytes of the binary<n> or blob field, at `offset` from
  /// the row's start.
  [[nodiscard]] std::string_view text_at(const FieldDef& field, std::size_t offset) const;
  [[nodiscard]] Bytes bytes_at(const FieldDef& field, std::size_t offset) const;

 private:
  const ClassDef* type_ = nullptr;
  Bytes row_;
};

// ---- the fast path ----

template <class T>
T RowView::get(const Field<T>& field) const {
  if constexpr (std::is_arithmetic_v<T>) {
    return load<T>(field.offset());
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    return text_at(*field.place().field, field.offset());
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return bytes_at(*field.place().field, field.offset());
  } else {
    using Element = typename T::value_type;
    if (const auto bytes = field.inline_bytes())
      return {reinterpret_cast<const Element*>(row_.data() + field.offset()),
              bytes / sizeof(Element)};
    const auto ref = load<Reference>(field.offset());
    return {reinterpret_cast<const Element*>(row_.data() + ref.offset), ref.length};
  }
}

}  // namespace exdb
