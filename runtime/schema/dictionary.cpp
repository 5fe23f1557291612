// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/schema.hpp"

#include "schema/dictionary_builder.hpp"
#include "schema/lexer.hpp"
#include "schema/parser.hpp"

namespace exdb {
namespace {

std::string field_names(const RecordDef& record) {
  std::string names;
  for (const auto& field : record.fields) names += (names.empty() ? "" : ", ") + field.name;
  return names;
}

}  // namespace

Dictionary::Dictionary() = default;
Dictionary::~Dictionary() = default;

Result<std::shared_ptr<const Dictionary>> Dictionary::parse(std::string_view ddl_text) {
  try {
    DictionaryBuilder builder;
    parse_schema(ddl_text, builder);
    return builder.finish();
  } catch (const SchemaError& error) {
    return Status(ErrorCode::schema, error.what());
  }
}

const ClassDef* Dictionary::find_class(std::string_view class_name) const {
  for (const auto& definition : classes_)
    if (definition.name == class_name) return &definition;
  return nullptr;
}

const IndexDef* Dictionary::find_index(ClassId owner, std::string_view index_name) const {
  if (owner.value >= classes_.size()) return nullptr;
  for (const auto id : classes_[owner.value].indexes)
    if (index_of(id).name == index_name) return &index_of(id);
  return nullptr;
}

const FieldDef* RecordDef::find(std::string_view field_name) const {
  for (const auto& field : fields)
    if (field.name == field_name) return &field;
  return nullptr;
}

const FieldDef& RecordDef::at(std::string_view field_name) const {
  if (const auto* field = find(field_name)) return *field;
  throw Error(ErrorCode::ddl_field_not_found, name + " has no field '" + std::string(field_name) +
                                                  "'; its fields are " + field_names(*this));
}

FieldPlace ClassDef::locate(std::string_view path) const {
  const auto whole = path;
  const auto* inside = &record;
  FieldPlace place;
  while (true) {
    const auto dot = path.find('.');
    const auto& field = inside->at(path.substr(0, dot));
    if (field.presence_bit >= 0)
      place.presence = std::int64_t{place.offset} * 8 + field.presence_bit;
    place.field = &field;
    place.offset += field.offset;
    if (dot == std::string_view::npos) return place;
    if (field.type != FieldType::structure || !field.is_single())
      throw Error(ErrorCode::ddl_field_not_found,
                  name + "." + std::string(whole) + ": '" + field.name + "' is " +
                      field.type_text() + ", and only a single struct has a fixed field within");
    inside = field.record;
    path.remove_prefix(dot + 1);
  }
}

std::uint32_t ClassDef::check_handle(const FieldPlace& place, std::string_view path,
                                     FieldType storage, bool single) const {
  const auto& field = *place.field;
  auto actual = field.type;
  if (actual == FieldType::chars) actual = FieldType::string;
  if (actual == FieldType::binary) actual = FieldType::blob;
  if (is_scalar(actual)) actual = storage_of(actual);
  if (actual != storage || field.is_single() != single)
    throw Error(ErrorCode::conversion, name + "." + std::string(path) + " is " + field.type_text() +
                                           ": ask for its exact type, not " +
                                           (single ? "" : "elements of ") +
                                           std::string(name_of(storage)));
  if (field.is_reference()) return 0;
  return field.is_array() ? field.array_length * field.element_size : field.element_size;
}

}  // namespace exdb
