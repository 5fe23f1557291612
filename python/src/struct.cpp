// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <new>

#include "exdb/row.hpp"
#include "fields.hpp"
#include "record_type.hpp"

namespace py = pybind11;

namespace exdb::python {

PyTypeObject* struct_type = nullptr;

namespace {

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_DECREF(reinterpret_cast<PyObject*>(body_of<StructBody>(self).owner));
  body_of<StructBody>(self).prefix.~basic_string();
  type->tp_free(self);
  Py_DECREF(type);
}

constexpr const char* type_doc =
    "A struct within a row: a view. Its fields are attributes; what is written to them goes to "
    "the\nrow. Valid as long as the row's object. Reading and writing cost as with Object and do "
    "not\nblock. Raises as Object's attributes.";

PyMethodDef methods[] = {
    {"to_dict", to_dict<StructBody>, METH_NOARGS,
     "to_dict() -> dict\n--\n\nAll fields, copied; structs as dicts. Does "
     "not block. Raises InvalidHandleError when its transaction has ended."},
    {"__dir__", directory<StructBody>, METH_NOARGS, "The names of the fields."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(type_doc)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                       {Py_tp_getattro, reinterpret_cast<void*>(get_attribute<StructBody>)},
                       {Py_tp_setattro, reinterpret_cast<void*>(set_attribute<StructBody>)},
                       {Py_tp_repr, reinterpret_cast<void*>(represent<StructBody>)},
                       {Py_tp_methods, methods},
                       {0, nullptr}};

PyType_Spec spec = {"exdb._core.Struct", sizeof(StructBody), 0, Py_TPFLAGS_DEFAULT | no_constructor,
                    slots};

// The path of the struct itself: that of any of its fields without the last name.
std::string own_path(const StructBody& record) {
  const std::string field = record.prefix + record.table->entries.front().path;
  return field.substr(0, field.rfind('.'));
}

}  // namespace

PyObject* StructBody::read(const FieldEntry& entry) const {
  auto* const holder = reinterpret_cast<PyObject*>(owner);
  if (prefix.empty()) return read_field(holder, owner->row, entry);
  return read_element_field(holder, owner->row, entry, prefix).release().ptr();
}

void StructBody::write(const FieldEntry& entry, py::handle value) {
  if (prefix.empty())
    write_field(owner->row, entry, value);
  else
    write_element_field(owner->row, entry, prefix, value);
}

ValueRecord StructBody::values() const {
  const Value whole = owner->row.row().value(own_path(*this));
  return whole.is_null() ? ValueRecord() : whole.as_record();
}

void make_struct_type(py::module_& module) {
  struct_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (struct_type == nullptr) throw py::error_already_set();
  module.attr("Struct") = py::handle(reinterpret_cast<PyObject*>(struct_type));
}

py::object make_struct(PyObject* owner, const RecordTable& table, std::string prefix) {
  PyObject* const made = struct_type->tp_alloc(struct_type, 0);
  if (made == nullptr) throw py::error_already_set();
  Py_INCREF(owner);
  StructBody& body = body_of<StructBody>(made);
  body.owner = reinterpret_cast<ObjectBody*>(owner);
  body.table = &table;
  new (&body.prefix) std::string(std::move(prefix));
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace exdb::python
