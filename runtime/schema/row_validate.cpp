// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Walks a row in the order of its canonical form with a cursor in the tail: each reference must
// point exactly at the cursor. So no byte is visited twice and no set of crafted references can
// make the walk longer than the row.
#include <algorithm>

#include "schema/convert.hpp"
#include "schema/key.hpp"
#include "schema/row_layout.hpp"
#include "schema/utf8.hpp"

namespace exdb {
namespace {

class Validator {
 public:
  Validator(const ClassDef& type, Bytes row) : type_(type), row_(row), cursor_(type.record.size) {}

  Status run() {
    if (row_.size() > row_bytes_max || row_.size() < type_.record.size)
      return failure("", "a length of " + std::to_string(row_.size()) + " bytes");
    if (check_record(type_.record, 0) && cursor_ != row_.size())
      fail(nullptr, "bytes behind the last value");
    return fault_.empty() ? Status() : failure(fault_field_, fault_);
  }

 private:
  bool check_record(const RecordDef& record, std::size_t base) {
    if (!check_bitmap(record, base)) return false;
    std::size_t end = (record.presence_bits + 7) / 8;
    for (const auto& field : record.fields) {
      if (!zero(base + end, base + field.offset)) return fail(&field, "padding that is not zero");
      end = field.offset + extent_of(field);
      if (!check_field(field, base)) return false;
    }
    return zero(base + end, base + record.size) || fail(nullptr, "padding that is not zero");
  }

  bool check_bitmap(const RecordDef& record, std::size_t base) {
    if (record.presence_bits % 8 == 0) return true;
    const auto last = std::to_integer<unsigned>(row_[base + record.presence_bits / 8]);
    return (last >> (record.presence_bits % 8)) == 0 || fail(nullptr, "presence bits of no field");
  }

  bool check_field(const FieldDef& field, std::size_t base) {
    const auto at = base + field.offset;
    if (field.presence_bit >= 0) {
      const auto bit = std::size_t(field.presence_bit);
      if ((std::to_integer<unsigned>(row_[base + bit / 8]) >> (bit % 8) & 1) == 0)
        return zero(at, at + extent_of(field)) || fail(&field, "a null that is not zero");
    }
    return field.is_vector ? check_vector(field, at)
                           : check_elements(field, inline_count(field), at);
  }

  bool check_vector(const FieldDef& field, std::size_t at) {
    const auto ref = load_at<Reference>(row_, at);
    const auto bytes = std::size_t{ref.length} * field.element_size;
    return check_reference(field, ref, bytes, tail_alignment(field)) &&
           check_elements(field, ref.length, ref.offset);
  }

  bool check_elements(const FieldDef& field, std::size_t count, std::size_t at) {
    if (needs_no_check(field.type)) return true;
    for (std::size_t i = 0; i < count; ++i, at += field.element_size)
      if (!check_one(field, at)) return false;
    return true;
  }

  /// Any bits are a value of these types: a vector of a million numbers costs nothing to check.
  static bool needs_no_check(FieldType type) {
    return type == FieldType::binary || (is_scalar(type) && type != FieldType::boolean &&
                                         type != FieldType::time && type != FieldType::enumeration);
  }

  bool check_one(const FieldDef& field, std::size_t at) {
    switch (field.type) {
      case FieldType::structure:
        return check_record(*field.record, at);
      case FieldType::chars:
        return is_utf8(RowView(type_, row_).text_at(field, at)) ||
               fail(&field, "text that is not UTF-8");
      case FieldType::string:
      case FieldType::blob: {
        const auto ref = load_at<Reference>(row_, at);
        if (!check_reference(field, ref, ref.length, 1)) return false;
        return field.type == FieldType::blob ||
               is_utf8(as_text(row_.subspan(ref.offset, ref.length))) ||
               fail(&field, "text that is not UTF-8");
      }
      default: {
        const auto* fault = scalar_fault(field, row_.data() + at);
        return fault == nullptr || fail(&field, fault);
      }
    }
  }

  /// The reference must be the next in canonical order; moves the cursor behind what it refers to.
  bool check_reference(const FieldDef& field, Reference ref, std::size_t bytes,
                       std::size_t alignment) {
    if (bytes == 0) return ref.offset == 0 || fail(&field, "an empty reference with an offset");
    const auto at = align_up(cursor_, alignment);
    if (at > row_.size() || bytes > row_.size() - at)
      return fail(&field, "a reference beyond the end of the row");
    if (ref.offset != at) return fail(&field, "a reference out of order");
    if (!zero(cursor_, at)) return fail(&field, "padding that is not zero");
    cursor_ = at + bytes;
    return true;
  }

  [[nodiscard]] bool zero(std::size_t from, std::size_t to) const {
    return std::all_of(row_.begin() + std::ptrdiff_t(from), row_.begin() + std::ptrdiff_t(to),
                       [](std::byte b) { return b == std::byte{0}; });
  }

  bool fail(const FieldDef* field, std::string fault) {
    fault_ = std::move(fault);
    fault_field_ = field ? "." + field->name : "";
    return false;
  }

  Status failure(const std::string& field, const std::string& fault) const {
    return {ErrorCode::cluster_protocol,
            "not a row of class " + type_.name + ": " + type_.name + field + " has " + fault};
  }

  const ClassDef& type_;
  Bytes row_;
  std::size_t cursor_;
  std::string fault_;
  std::string fault_field_;
};

/// Only indexes whose keys have no bound of their own need measuring.
Status check_keys(std::span<const IndexDef> indexes, const RowView& row) {
  for (const auto& index : indexes) {
    if (index.class_id != row.type().id || index.parts.empty() || index.key_bytes_max != 0)
      continue;
    if (key_size(index, row) > key_bytes_limit)
      return {ErrorCode::key_too_long, "not a row of class " + index.class_name + ": its key in " +
                                           index.name + " is longer than " +
                                           std::to_string(key_bytes_limit) + " bytes"};
  }
  return {};
}

}  // namespace

Status validate_row(const ClassDef& type, std::span<const IndexDef> indexes, Bytes row) {
  auto status = Validator(type, row).run();
  return status.ok() ? check_keys(indexes, RowView(type, row)) : status;
}

Status validate_row(const Dictionary& dictionary, ClassId type, Bytes row) {
  if (type.value >= dictionary.classes().size())
    return {ErrorCode::cluster_protocol, "there is no class number " + std::to_string(type.value)};
  const auto& definition = dictionary.class_of(type);
  auto status = Validator(definition, row).run();
  if (!status.ok()) return status;
  for (const auto id : definition.indexes) {
    status = check_keys(std::span(&dictionary.index_of(id), 1), RowView(definition, row));
    if (!status.ok()) return status;
  }
  return {};
}

}  // namespace exdb
