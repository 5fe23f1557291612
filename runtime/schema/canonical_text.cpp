// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The canonical DDL: enums, structs and classes in their order of declaration, one spelling for
// everything. It is what nodes compare (by hash) before they form a cluster, so what has no effect
// on data or behaviour is not in it.
#include "schema/dictionary_builder.hpp"

namespace exdb {
namespace {

void write_field(const FieldDef& field, std::string& out) {
  FieldDef element = field;
  element.array_length = 0;  // the length follows the name
  out += "  " + element.type_text() + " " + field.name;
  if (field.is_array()) out += "[" + std::to_string(field.array_length) + "]";
  out += ";\n";
}

void write_index(const IndexDef& index, const ClassDef& owner, std::string& out) {
  out += "  ";
  if (index.kind == IndexKind::hash) out += index.unique ? "unique " : "nonunique ";
  if (index.kind == IndexKind::tree && index.unique) out += "unique ";
  out += name_of(index.kind);
  const bool implicit = index.kind == IndexKind::autoid && owner.autoid->implicit;
  if (!index.parts.empty() && !implicit) {
    const char* separator = "<";
    for (const auto& part : index.parts) {
      out += separator + part.path + (part.descending ? " desc" : "");
      separator = ", ";
    }
    out += ">";
  }
  out += " " + index.name;
  if (index.size_hint != 0) out += "[" + std::to_string(index.size_hint) + "]";
  out += ";\n";
}

void write_enum(const EnumDef& definition, std::string& out) {
  out += "enum " + definition.name + " {\n";
  const char* separator = "  ";
  for (const auto& [name, number] : definition.values) {
    out += separator + name + " = " + std::to_string(number);
    separator = ",\n  ";
  }
  out += "\n};\n";
}

}  // namespace

std::string canonical_text(const Dictionary& dictionary, const std::deque<EnumDef>& enums,
                           const std::deque<RecordDef>& structs) {
  std::string out;
  if (!dictionary.name().empty()) out += "declare database " + dictionary.name() + ";\n";
  for (const auto& definition : enums) write_enum(definition, out);
  for (const auto& definition : structs) {
    out += "struct " + definition.name + " {\n";
    for (const auto& field : definition.fields) write_field(field, out);
    out += "};\n";
  }
  for (const auto& definition : dictionary.classes()) {
    if (definition.local) out += "local ";
    if (definition.persistent) out += "persistent ";
    if (definition.transient) out += "transient ";
    out += "class " + definition.name + " {\n";
    for (const auto& field : definition.fields())
      if (!field.implicit) write_field(field, out);
    for (const auto id : definition.indexes) write_index(dictionary.index_of(id), definition, out);
    out += "};\n";
  }
  return out;
}

}  // namespace exdb
