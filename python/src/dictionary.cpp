// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "dictionary.hpp"

#include "arguments.hpp"
#include "exdb/errors.hpp"
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

std::size_t hash_of(const PyObject* name) {
  return (reinterpret_cast<std::uintptr_t>(name) >> 4) * 0x9e3779b97f4a7c15ULL >> 20;
}

Shape shape_of(const FieldDef& field) {
  if (field.type == FieldType::structure)
    return field.is_single() ? Shape::structure : Shape::structures;
  if (field.is_single()) return Shape::scalar;
  return is_scalar(field.type) ? Shape::numbers : Shape::items;
}

template <class Names>
std::string listed(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? "none" : text;
}

// The presence bit is that of the innermost optional struct when the field has none of its own.
std::int64_t presence_of(const FieldDef& field, std::uint32_t record_offset, std::int64_t around) {
  return field.presence_bit < 0 ? around : std::int64_t{record_offset} * 8 + field.presence_bit;
}

}  // namespace

void RecordTable::index() {
  std::size_t size = 8;
  while (size < entries.size() * 2) size *= 2;
  slots_.assign(size, nullptr);
  for (const FieldEntry& entry : entries) {
    std::size_t at = hash_of(entry.name.ptr());
    while (slots_[at & (size - 1)] != nullptr) ++at;
    slots_[at & (size - 1)] = &entry;
  }
}

const FieldEntry* RecordTable::find(PyObject* name) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash_of(name); slots_[at & mask] != nullptr; ++at)
    if (slots_[at & mask]->name.ptr() == name) return slots_[at & mask];
  if (PyUnicode_CHECK_INTERNED(name)) return nullptr;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(name, &size);
  if (text == nullptr) {
    PyErr_Clear();  // a lone surrogate names no field
    return nullptr;
  }
  return find(std::string_view(text, std::size_t(size)));
}

const FieldEntry* RecordTable::find(std::string_view name) const {
  for (const FieldEntry& entry : entries)
    if (entry.field->name == name) return &entry;
  return nullptr;
}

std::shared_ptr<DictionaryHandle> DictionaryHandle::parse(const std::string& text) {
  auto parsed = Dictionary::parse(text);
  auto handle = std::make_shared<DictionaryHandle>();
  handle->dictionary_ = std::move(parsed).value();
  handle->build();
  return handle;
}

const EnumTable* DictionaryHandle::table_of(const EnumDef* definition) {
  if (definition == nullptr) return nullptr;
  EnumTable& table = enums_[definition];
  if (!table.type) {
    py::list pairs;
    for (const auto& [name, number] : definition->values)
      pairs.append(py::make_tuple(name, number));
    table.type = package("exdb._enums", "make")(definition->name, pairs);
    for (const auto& [name, number] : definition->values)
      table.members.try_emplace(number, table.type(number));
  }
  return &table;
}

const RecordTable* DictionaryHandle::make_table(const RecordDef& record, std::uint32_t offset,
                                                std::int64_t presence, const std::string& prefix,
                                                bool fixed) {
  RecordTable& table = tables_.emplace_back();
  table.record = &record;
  table.entries.reserve(record.fields.size());
  for (const FieldDef& field : record.fields) {
    FieldEntry& entry = table.entries.emplace_back();
    entry.field = &field;
    PyObject* name = PyUnicode_InternFromString(field.name.c_str());
    if (name == nullptr) throw py::error_already_set();
    entry.name = py::reinterpret_steal<py::str>(name);
    entry.path = prefix + field.name;
    entry.offset = offset + field.offset;
    entry.presence = presence_of(field, offset, presence);
    entry.shape = shape_of(field);
    entry.top_level = fixed && prefix.empty();
    entry.enumeration = table_of(field.enumeration);
    if (entry.shape == Shape::structure)
      entry.record =
          make_table(*field.record, entry.offset, entry.presence, entry.path + ".", fixed);
    else if (entry.shape == Shape::structures)
      entry.record = make_table(*field.record, 0, -1, "", false);
  }
  table.index();
  return &table;
}

void DictionaryHandle::build() {
  for (const ClassDef& definition : dictionary_->classes()) {
    const RecordTable* table = make_table(definition.record, 0, -1, "", true);
    classes_.push_back(ClassHandle{&definition, table, this});
  }
  for (const IndexDef& definition : dictionary_->indexes()) {
    std::vector<const EnumTable*> enumerations;
    for (const IndexPart& part : definition.parts)
      enumerations.push_back(table_of(part.place.field->enumeration));
    indexes_.push_back(
        IndexHandle{&definition, &classes_[definition.class_id.value], std::move(enumerations)});
  }
}

const ClassHandle& DictionaryHandle::resolve_class(py::handle which) const {
  if (PyUnicode_Check(which.ptr())) {
    const std::string name = text_argument(which, "cls");
    if (const ClassDef* found = dictionary_->find_class(name)) return classes_[found->id.value];
  } else if (py::isinstance<ClassHandle>(which)) {
    const auto& handle = which.cast<const ClassHandle&>();
    if (handle.dictionary == this) return handle;
    throw Error(ErrorCode::invalid_handle, "class " + handle.definition->name +
                                               " is of another dictionary than the database's: "
                                               "use database.dictionary.classes");
  } else {
    throw Error(ErrorCode::conversion,
                "cls must be the name of a class or dictionary.classes[name], not " + shown(which));
  }
  std::vector<std::string> names;
  for (const auto& known : classes_) names.push_back(known.definition->name);
  throw Error(ErrorCode::not_found, "there is no class '" + text_argument(which, "cls") + "'" +
                                        "; the classes are: " + listed(names));
}

const IndexHandle& DictionaryHandle::resolve_index(const ClassHandle& owner,
                                                   py::handle which) const {
  const ClassDef& definition = *owner.definition;
  std::string name;
  if (PyUnicode_Check(which.ptr())) {
    name = text_argument(which, "index");
    if (const IndexDef* found = dictionary_->find_index(definition.id, name))
      return indexes_[found->id.value];
  } else if (py::isinstance<IndexHandle>(which)) {
    const auto& handle = which.cast<const IndexHandle&>();
    if (handle.owner_class == &owner) return handle;
    name = handle.definition->class_name + "." + handle.definition->name;
  } else {
    throw Error(ErrorCode::conversion,
                "index must be the name of an index or "
                "dictionary.classes[class].indexes[name], not " +
                    shown(which));
  }
  std::vector<std::string> names;
  for (const IndexId id : definition.indexes) names.push_back(dictionary_->index_of(id).name);
  throw Error(ErrorCode::not_found, "class " + definition.name + " has no index '" + name + "'" +
                                        "; its indexes are: " + listed(names));
}

py::dict DictionaryHandle::classes() const {
  py::dict result;
  for (const ClassHandle& handle : classes_)
    result[py::str(handle.definition->name)] =
        std::shared_ptr<const ClassHandle>(shared_from_this(), &handle);
  return result;
}

py::dict DictionaryHandle::enumerations() const {
  py::dict result;
  for (const auto& [definition, table] : enums_) result[py::str(definition->name)] = table.type;
  return result;
}

py::dict DictionaryHandle::indexes_of(ClassId id) const {
  py::dict result;
  for (const IndexId index : dictionary_->class_of(id).indexes) {
    const IndexHandle& handle = indexes_[index.value];
    result[py::str(handle.definition->name)] =
        std::shared_ptr<const IndexHandle>(shared_from_this(), &handle);
  }
  return result;
}

}  // namespace exdb::python
