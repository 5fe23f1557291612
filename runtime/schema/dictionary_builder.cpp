// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/dictionary_builder.hpp"

#include <algorithm>
#include <cstring>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "schema/key.hpp"
#include "schema/row_layout.hpp"

namespace exdb {
namespace {

void set_element_layout(FieldDef& field) {
  switch (field.type) {
    case FieldType::chars:
    case FieldType::binary:
      field.element_size = field.length;
      field.element_alignment = 1;
      break;
    case FieldType::string:
    case FieldType::blob:
      field.element_size = sizeof(Reference);
      field.element_alignment = alignof(Reference);
      break;
    case FieldType::structure:
      field.element_size = field.record->size;
      field.element_alignment = field.record->alignment;
      break;
    default:
      field.element_size = size_of(field.type);
      field.element_alignment = field.element_size;
  }
}

/// What a new record holds in this field; what may be absent stays zero. An enumerator defaults to
/// the first one declared, since 0 may be none.
void write_default(const FieldDef& field, std::vector<std::byte>& defaults) {
  if (field.is_vector || field.presence_bit >= 0) return;
  const std::uint32_t count = std::max<std::uint32_t>(field.array_length, 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    auto* at = defaults.data() + field.offset + std::size_t{i} * field.element_size;
    if (field.type == FieldType::enumeration)
      std::memcpy(at, &field.enumeration->values.front().second, sizeof(std::int32_t));
    if (field.type == FieldType::structure)
      std::memcpy(at, field.record->defaults.data(), field.record->size);
  }
}

bool lay_out(RecordDef& record) {
  record.nesting = 1;
  for (const auto& field : record.fields)
    if (field.record) record.nesting = std::max(record.nesting, field.record->nesting + 1);
  if (record.nesting > struct_nesting_max) return false;
  // The bitmap comes first and fields keep the order of the text: a layout that sorted them by
  // alignment would be smaller, and would not be the C struct that users know from elsewhere.
  record.presence_bits = 0;
  for (auto& field : record.fields)
    if (field.nullable || field.optional) field.presence_bit = std::int32_t(record.presence_bits++);
  std::uint64_t at = (record.presence_bits + 7) / 8;
  for (auto& field : record.fields) {
    set_element_layout(field);
    const auto alignment = field.is_vector ? alignof(Reference) : field.element_alignment;
    at = align_up(at, alignment);
    if (at + extent_of(field) > record_bytes_max) return false;
    field.offset = std::uint32_t(at);
    at += extent_of(field);
    record.alignment = std::max(record.alignment, std::uint32_t(alignment));
    record.has_references |= field.is_reference() || (field.record && field.record->has_references);
  }
  record.size = std::uint32_t(align_up(at, record.alignment));
  record.defaults.assign(record.size, std::byte{0});
  for (const auto& field : record.fields) write_default(field, record.defaults);
  return true;
}

/// IndexDef::key_bytes_max of these parts.
std::uint32_t key_bound(const std::vector<IndexPart>& parts) {
  // 0 = no bound: such keys are measured one by one when a row is checked.
  std::uint64_t bound = 0;
  for (const auto& part : parts) {
    const auto& field = *part.place.field;
    bound += part.nullable() ? 1 : 0;
    if (field.type == FieldType::string) return 0;
    // Every byte of text may be a zero that takes two, and the end takes two.
    bound += is_scalar(field.type) ? size_of(field.type) : 2 * std::uint64_t{field.length} + 2;
  }
  return bound > key_bytes_limit ? 0 : std::uint32_t(bound);
}

}  // namespace

const EnumDef* DictionaryBuilder::find_enum(std::string_view name) const {
  for (const auto& definition : dictionary_->enums_)
    if (definition.name == name) return &definition;
  return nullptr;
}

const RecordDef* DictionaryBuilder::find_struct(std::string_view name) const {
  for (const auto& definition : dictionary_->structs_)
    if (definition.name == name) return &definition;
  return nullptr;
}

bool DictionaryBuilder::is_type(std::string_view name) const {
  return find_enum(name) || find_struct(name) || dictionary_->find_class(name);
}

bool DictionaryBuilder::add_struct(RecordDef definition) {
  if (!lay_out(definition)) return false;
  dictionary_->structs_.push_back(std::move(definition));
  return true;
}

bool DictionaryBuilder::add_class(ClassDef definition) {
  definition.record.name = definition.name;
  if (!lay_out(definition.record)) return false;
  definition.id = ClassId{std::uint32_t(dictionary_->classes_.size())};
  dictionary_->classes_.push_back(std::move(definition));
  return true;
}

void DictionaryBuilder::add_index(IndexDef index) {
  auto& owner = dictionary_->classes_.back();
  index.id = IndexId{std::uint32_t(dictionary_->indexes_.size())};
  index.class_id = owner.id;
  index.class_name = owner.name;
  index.key_bytes_max = key_bound(index.parts);
  owner.indexes.push_back(index.id);
  dictionary_->indexes_.push_back(std::move(index));
}

std::shared_ptr<const Dictionary> DictionaryBuilder::finish() {
  auto& d = *dictionary_;
  // The hash is of the canonical text: two spellings of one schema are one schema (S4).
  d.text_ = canonical_text(d, d.enums_, d.structs_);
  d.hash_ = hash_bytes(as_bytes(d.text_));
  return std::shared_ptr<const Dictionary>(std::move(dictionary_));
}

}  // namespace exdb
