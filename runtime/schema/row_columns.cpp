// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/row_columns.hpp"

#include <algorithm>
#include <functional>
#include <string>

#include "exdb/errors.hpp"
#include "schema/convert.hpp"
#include "schema/row_layout.hpp"

namespace exdb {
namespace {

bool is_text(const FieldDef& field) {
  return field.type == FieldType::chars || field.type == FieldType::string;
}

/// Any bits are a value of these.
bool any_bits(FieldType type) {
  return is_scalar(type) && type != FieldType::boolean && type != FieldType::time &&
         type != FieldType::enumeration;
}

[[noreturn]] void refuse(const ClassDef& type, const FieldDef& field, const std::string& what) {
  throw Error(ErrorCode::conversion,
              type.name + "." + field.name + " (" + field.type_text() + "): " + what);
}

void set_present(MutableBytes row, std::int32_t bit) {
  if (bit >= 0) row[std::size_t(bit) / 8] |= std::byte(1U << (unsigned(bit) % 8));
}

}  // namespace

RowsOfColumns::RowsOfColumns(const ClassDef& type, std::size_t rows,
                             std::span<const Column> columns)
    : type_(type), rows_(rows), defaults_(type.record.defaults) {
  for (const auto& column : columns) {
    check_column(column);
    const auto& field = *column.field;
    parts_.push_back({column, field.is_reference() ? 0 : extent_of(field)});
    set_present(defaults_, field.presence_bit);
  }
  std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) {
    return std::less<>()(a.column.field, b.column.field);
  });
  const auto twice = std::adjacent_find(
      parts_.begin(), parts_.end(),
      [](const Part& a, const Part& b) { return a.column.field == b.column.field; });
  if (twice != parts_.end()) refuse(type, *twice->column.field, "two columns are of this field");
  for (const auto& part : parts_) check_values(part);

  bytes_ = rows_ * defaults_.size();
  if (std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.inline_bytes; }))
    return;
  bytes_ = 0;
  for (std::size_t at = 0; at < rows_; ++at) {
    auto size = defaults_.size();
    for (const auto& part : parts_) {
      const auto length = part.inline_bytes != 0 ? 0 : value_of(part.column, at).size();
      if (length != 0) size = align_up(size, tail_alignment(*part.column.field)) + length;
    }
    if (size > row_bytes_max)
      throw Error(ErrorCode::too_large, type.name + ": row " + std::to_string(at) + " of " +
                                            std::to_string(size) +
                                            " bytes is more than a row may have, 4 GiB");
    bytes_ += size;
  }
}

/// As a whole, before its values are looked at.
void RowsOfColumns::check_column(const Column& column) const {
  const auto* first = type_.record.fields.data();
  const auto* field = column.field;
  if (field == nullptr || std::less<>()(field, first) ||
      !std::less<>()(field, first + type_.record.fields.size()))
    throw Error(ErrorCode::ddl_field_not_found,
                "a column is of no top-level field of class " + type_.name);
  if (field == type_.autoid) refuse(type_, *field, "the database gives it");
  if (field->type == FieldType::structure || (!field->is_single() && !is_scalar(field->type)))
    refuse(type_, *field, "this type cannot come as a column; set it row by row");
  if (column.ends.empty()) {
    if (column.bytes.size() != rows_ * column.row_bytes)
      refuse(type_, *field,
             std::to_string(column.bytes.size()) + " bytes are not " + std::to_string(rows_) +
                 " rows of " + std::to_string(column.row_bytes));
  } else if (column.ends.size() != rows_ || column.ends.back() != column.bytes.size() ||
             !std::is_sorted(column.ends.begin(), column.ends.end())) {
    refuse(type_, *field,
           "the ends of its " + std::to_string(column.ends.size()) + " rows are not those of " +
               std::to_string(rows_));
  }
}

void RowsOfColumns::check_values(const Part& part) const {
  const auto& column = part.column;
  const auto& field = *column.field;
  const std::string name = type_.name + "." + field.name;
  const Where whole{nullptr, name};
  const bool fixed = column.ends.empty();
  if (is_scalar(field.type)) {
    for (std::size_t at = 0; at < (fixed ? std::min<std::size_t>(rows_, 1) : rows_); ++at) {
      const auto size = value_of(column, at).size();
      if (field.is_vector ? size % field.element_size != 0 : size != part.inline_bytes)
        refuse(type_, field, std::to_string(size) + " bytes in row " + std::to_string(at));
    }
    if (any_bits(field.type)) return;
    for (std::size_t i = 0; i < column.bytes.size() / field.element_size; ++i) {
      const auto* fault = scalar_fault(field, column.bytes.data() + i * field.element_size);
      if (fault != nullptr)
        refuse(type_, field, std::string(fault) + ", element " + std::to_string(i));
    }
    return;
  }
  for (std::size_t at = 0; at < rows_; ++at) {
    const Where in_row{&whole, {}, std::int64_t(at)};
    check_bytes(field, value_of(column, at), in_row);
  }
}

Bytes RowsOfColumns::value_of(const Column& column, std::size_t at) {
  if (!column.ends.empty()) {
    const auto from = at == 0 ? 0 : column.ends[at - 1];
    return column.bytes.subspan(from, column.ends[at] - from);
  }
  auto value = column.bytes.subspan(at * column.row_bytes, column.row_bytes);
  if (is_text(*column.field))
    while (!value.empty() && value.back() == std::byte{0}) value = value.first(value.size() - 1);
  return value;
}

std::size_t RowsOfColumns::build(std::size_t at, std::uint64_t autoid, std::byte* to) const {
  std::memcpy(to, defaults_.data(), defaults_.size());
  if (type_.autoid != nullptr) std::memcpy(to + type_.autoid->offset, &autoid, sizeof autoid);
  auto size = defaults_.size();
  for (const auto& part : parts_) {
    const auto& column = part.column;
    const auto& field = *column.field;
    if (part.inline_bytes != 0 && column.ends.empty()) {
      // Zeros at the end of text are in the row as well: nothing has to be measured.
      const auto bytes = std::min(column.row_bytes, part.inline_bytes);
      if (bytes != 0)
        std::memcpy(to + field.offset, column.bytes.data() + at * column.row_bytes, bytes);
      continue;
    }
    const auto value = value_of(column, at);
    if (value.empty()) continue;
    if (part.inline_bytes != 0) {
      std::memcpy(to + field.offset, value.data(), value.size());
      continue;
    }
    const auto from = align_up(size, tail_alignment(field));
    std::memset(to + size, 0, from - size);
    std::memcpy(to + from, value.data(), value.size());
    const auto count = value.size() / (field.is_vector ? field.element_size : 1);
    const Reference reference{std::uint32_t(from), std::uint32_t(count)};
    std::memcpy(to + field.offset, &reference, sizeof reference);
    size = from + value.size();
  }
  return size;
}

}  // namespace exdb
