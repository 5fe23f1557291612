// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "base/assert.hpp"
#include "exdb/schema.hpp"

namespace exdb {

std::string_view name_of(FieldType type) {
  switch (type) {
    case FieldType::int8:
      return "signed<1>";
    case FieldType::int16:
      return "signed<2>";
    case FieldType::int32:
      return "signed<4>";
    case FieldType::int64:
      return "signed<8>";
    case FieldType::uint8:
      return "unsigned<1>";
    case FieldType::uint16:
      return "unsigned<2>";
    case FieldType::uint32:
      return "unsigned<4>";
    case FieldType::uint64:
      return "unsigned<8>";
    case FieldType::float32:
      return "float";
    case FieldType::float64:
      return "double";
    case FieldType::boolean:
      return "boolean";
    case FieldType::date:
      return "date";
    case FieldType::time:
      return "time";
    case FieldType::datetime:
      return "datetime";
    case FieldType::enumeration:
      return "enum";
    case FieldType::autoid:
      return "autoid_t";
    case FieldType::chars:
      return "char";
    case FieldType::binary:
      return "binary";
    case FieldType::string:
      return "string";
    case FieldType::blob:
      return "blob";
    case FieldType::structure:
      return "struct";
  }
  return "unknown";
}

std::string_view name_of(IndexKind kind) {
  switch (kind) {
    case IndexKind::tree:
      return "tree";
    case IndexKind::hash:
      return "hash";
    case IndexKind::list:
      return "list";
    case IndexKind::autoid:
      return "autoid";
  }
  return "unknown";
}

FieldType storage_of(FieldType type) {
  switch (type) {
    case FieldType::date:
    case FieldType::enumeration:
      return FieldType::int32;
    case FieldType::time:
    case FieldType::datetime:
      return FieldType::int64;
    case FieldType::autoid:
      return FieldType::uint64;
    default:
      return type;
  }
}

std::uint32_t size_of(FieldType type) {
  switch (storage_of(type)) {
    case FieldType::int8:
    case FieldType::uint8:
    case FieldType::boolean:
      return 1;
    case FieldType::int16:
    case FieldType::uint16:
      return 2;
    case FieldType::int32:
    case FieldType::uint32:
    case FieldType::float32:
      return 4;
    case FieldType::int64:
    case FieldType::uint64:
    case FieldType::float64:
      return 8;
    default:
      EXDB_ASSERT(false, "size_of is for scalar types");
      return 0;
  }
}

const std::int32_t* EnumDef::find(std::string_view enumerator) const {
  for (const auto& [name_, number] : values)
    if (name_ == enumerator) return &number;
  return nullptr;
}

const std::string* EnumDef::name_of(std::int32_t number) const {
  for (const auto& [name_, value] : values)
    if (value == number) return &name_;
  return nullptr;
}

std::string FieldDef::type_text() const {
  std::string text;
  if (type == FieldType::enumeration && enumeration != nullptr) {
    text = enumeration->name;
  } else if (type == FieldType::structure && record != nullptr) {
    text = record->name;
  } else {
    text = exdb::name_of(type);
  }
  if (length != 0) text += "<" + std::to_string(length) + ">";
  if (is_vector) text = "vector<" + text + ">";
  if (array_length != 0) text += "[" + std::to_string(array_length) + "]";
  if (nullable) text = "nullable " + text;
  if (optional) text = "optional " + text;
  return text;
}

}  // namespace exdb
