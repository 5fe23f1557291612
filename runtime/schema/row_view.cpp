// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <cstdint>
#include <cstring>

#include "base/assert.hpp"
#include "schema/row_path.hpp"

namespace exdb {
namespace {

Value read_scalar(const RowView& row, const FieldDef& field, std::size_t at) {
  switch (field.type) {
    case FieldType::int8:
      return row.load<std::int8_t>(at);
    case FieldType::int16:
      return row.load<std::int16_t>(at);
    case FieldType::int32:
    case FieldType::date:
      return row.load<std::int32_t>(at);
    case FieldType::int64:
    case FieldType::time:
    case FieldType::datetime:
      return row.load<std::int64_t>(at);
    case FieldType::uint8:
      return row.load<std::uint8_t>(at);
    case FieldType::uint16:
      return row.load<std::uint16_t>(at);
    case FieldType::uint32:
      return row.load<std::uint32_t>(at);
    case FieldType::uint64:
    case FieldType::autoid:
      return row.load<std::uint64_t>(at);
    case FieldType::float32:
      return row.load<float>(at);
    case FieldType::float64:
      return row.load<double>(at);
    case FieldType::boolean:
      return row.load<std::uint8_t>(at) != 0;
    case FieldType::enumeration: {
      const auto number = row.load<std::int32_t>(at);
      const auto* name = field.enumeration->name_of(number);
      return name ? Value(*name) : Value(number);
    }
    default:
      EXDB_ASSERT(false, "not a scalar type");
      return {};
  }
}

Value read_field(const RowView& row, const FieldDef& field, std::size_t base);

ValueRecord read_record(const RowView& row, const RecordDef& record, std::size_t base) {
  ValueRecord values;
  values.reserve(record.fields.size());
  for (const auto& field : record.fields)
    values.emplace_back(field.name, read_field(row, field, base));
  return values;
}

/// One value: of a single field or of an element.
Value read_one(const RowView& row, const FieldDef& field, std::size_t at) {
  switch (field.type) {
    case FieldType::chars:
    case FieldType::string:
      return row.text_at(field, at);
    case FieldType::binary:
    case FieldType::blob:
      return row.bytes_at(field, at);
    case FieldType::structure:
      return read_record(row, *field.record, at);
    default:
      return read_scalar(row, field, at);
  }
}

Value read_whole(const RowView& row, const FieldDef& field, std::size_t at) {
  if (field.is_single()) return read_one(row, field, at);
  std::size_t count = field.array_length;
  if (field.is_vector) {
    const auto ref = row.load<Reference>(at);
    at = ref.offset;
    count = ref.length;
  }
  ValueList list;
  list.reserve(count);
  for (std::size_t i = 0; i < count; ++i, at += field.element_size)
    list.push_back(read_one(row, field, at));
  return list;
}

Value read_field(const RowView& row, const FieldDef& field, std::size_t base) {
  if (!row.present(presence_at(field, base))) return {};
  return read_whole(row, field, base + field.offset);
}

RawArray raw_at(const RowView& row, const FieldDef& field, std::size_t at) {
  if (!is_scalar(field.type) || field.is_single())
    throw Error(ErrorCode::conversion,
                row.type().name + "." + field.name + " is " + field.type_text() +
                    ": only arrays and vectors of numbers are read in place");
  if (!field.is_vector) return {field.type, row.bytes().data() + at, field.array_length};
  const auto ref = row.load<Reference>(at);
  return {field.type, row.bytes().data() + ref.offset, ref.length};
}

Location locate(const RowView& row, std::string_view path) {
  return locate_value(row, path, [](const FieldDef&, std::size_t) { return false; });
}

}  // namespace

std::string_view RowView::text_at(const FieldDef& field, std::size_t offset) const {
  if (field.type == FieldType::string) {
    const auto ref = load<Reference>(offset);
    return as_text(row_.subspan(ref.offset, ref.length));
  }
  const auto text = as_text(row_.subspan(offset, field.length));
  // What is not used of a field is often most of it.
  std::size_t length = text.size();
  for (std::uint64_t word = 0; length >= sizeof word; length -= sizeof word) {
    std::memcpy(&word, text.data() + length - sizeof word, sizeof word);
    if (word != 0) break;
  }
  while (length != 0 && text[length - 1] == '\0') --length;
  return text.substr(0, length);
}

Bytes RowView::bytes_at(const FieldDef& field, std::size_t offset) const {
  if (field.type != FieldType::blob) return row_.subspan(offset, field.length);
  const auto ref = load<Reference>(offset);
  return row_.subspan(ref.offset, ref.length);
}

Value RowView::value(std::string_view path) const {
  const auto at = locate(*this, path);
  if (at.absent) return {};
  return at.element ? read_one(*this, *at.field, at.offset) : read_field(*this, *at.field, at.base);
}

Value RowView::value(const FieldDef& field) const { return read_field(*this, field, 0); }

ValueRecord RowView::values() const { return read_record(*this, type_->record, 0); }

RawArray RowView::raw(std::string_view path) const {
  const auto at = locate(*this, path);
  if (at.element)
    throw Error(ErrorCode::conversion,
                type_->name + "." + std::string(path) + " is one element: read its value");
  // Not even an absent struct's array: its zeros would look like values.
  if (at.absent && is_scalar(at.field->type)) return {at.field->type, row_.data(), 0};
  return raw_at(*this, *at.field, at.offset);
}

RawArray RowView::raw(const FieldDef& field) const { return raw_at(*this, field, field.offset); }

}  // namespace exdb
