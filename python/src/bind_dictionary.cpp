// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/stl.h>

#include "dictionary.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

py::dict fields_of(const ClassHandle& handle) {
  py::dict result;
  for (const FieldDef& field : handle.definition->fields())
    result[py::str(field.name)] = field.type_text();
  return result;
}

py::tuple parts_of(const IndexHandle& handle) {
  py::list parts;
  for (const IndexPart& part : handle.definition->parts) parts.append(part.path);
  return py::tuple(parts);
}

constexpr const char* class_doc =
    "A class of a dictionary: ``dictionary.classes[name]``. Immutable; any thread may use it.";
constexpr const char* index_doc =
    "An index of a class: ``dictionary.classes[cls].indexes[name]``. Immutable; any thread may use "
    "it.";

void bind_class(py::module_& module) {
  py::class_<ClassHandle, std::shared_ptr<ClassHandle>>(module, "Class", class_doc)
      .def_property_readonly(
          "name", [](const ClassHandle& self) { return self.definition->name; },
          "As the schema has it.")
      .def_property_readonly(
          "local", [](const ClassHandle& self) { return self.definition->local; },
          "True: its rows stay on their node, and are not replicated.")
      .def_property_readonly("fields", fields_of, "dict: name of the field to its type's text.")
      .def_property_readonly(
          "indexes",
          [](const ClassHandle& self) { return self.dictionary->indexes_of(self.definition->id); },
          "dict: name of the index to its Index.")
      .def("__repr__", [](const ClassHandle& self) {
        return "<class " + self.definition->name + " of an exdb dictionary>";
      });
}

void bind_index(py::module_& module) {
  py::class_<IndexHandle, std::shared_ptr<IndexHandle>>(module, "Index", index_doc)
      .def_property_readonly(
          "name", [](const IndexHandle& self) { return self.definition->name; },
          "As the schema has it; unique within its class.")
      .def_property_readonly(
          "class_name", [](const IndexHandle& self) { return self.definition->class_name; },
          "The class that it is of.")
      .def_property_readonly(
          "kind",
          [](const IndexHandle& self) { return std::string(name_of(self.definition->kind)); },
          "'tree', 'hash', 'list' or 'autoid'.")
      .def_property_readonly(
          "unique", [](const IndexHandle& self) { return self.definition->unique; },
          "True: no two rows have one key; DuplicateKeyError.")
      .def_property_readonly("parts", parts_of, "tuple: the paths of the fields of its key.")
      .def("__repr__", [](const IndexHandle& self) {
        return "<index " + self.definition->class_name + "." + self.definition->name + ">";
      });
}

}  // namespace

void bind_dictionary(py::module_& module) {
  bind_class(module);
  bind_index(module);
  py::class_<DictionaryHandle, std::shared_ptr<DictionaryHandle>>(module, "Dictionary")
      .def_property_readonly("name",
                             [](const DictionaryHandle& self) { return self.dictionary()->name(); })
      .def_property_readonly("hash",
                             [](const DictionaryHandle& self) { return self.dictionary()->hash(); })
      .def_property_readonly(
          "text", [](const DictionaryHandle& self) { return self.dictionary()->to_text(); })
      .def_property_readonly("classes", &DictionaryHandle::classes)
      .def_property_readonly("enums", &DictionaryHandle::enumerations);
  module.def("parse", &DictionaryHandle::parse, py::arg("text"));
}

}  // namespace exdb::python
