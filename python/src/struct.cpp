// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <new>

#include "conversion.hpp"
#include "errors.hpp"
#include "exdb/row.hpp"
#include "fields.hpp"
#include "object.hpp"
#include "object_types.hpp"

namespace py = pybind11;

namespace exdb::python {

PyTypeObject* struct_type = nullptr;

namespace {

StructBody& body(PyObject* self) { return *reinterpret_cast<StructBody*>(self); }

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_DECREF(reinterpret_cast<PyObject*>(body(self).owner));
  body(self).prefix.~basic_string();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* get_attribute(PyObject* self, PyObject* name) {
  const StructBody& record = body(self);
  const FieldEntry* entry = record.table->find(name);
  if (entry == nullptr) {
    PyObject* const found = PyObject_GenericGetAttr(self, name);
    if (found == nullptr && PyErr_ExceptionMatches(PyExc_AttributeError) != 0)
      set_unknown_field(*record.table, name);
    return found;
  }
  try {
    require_unforked();
    auto* const owner = reinterpret_cast<PyObject*>(record.owner);
    if (record.prefix.empty()) return read_field(owner, record.owner->row, *entry);
    return read_element_field(owner, record.owner->row, *entry, record.prefix).release().ptr();
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  StructBody& record = body(self);
  const FieldEntry* entry = record.table->find(name);
  if (entry == nullptr) {
    set_unknown_field(*record.table, name);
    return -1;
  }
  if (value == nullptr) {
    PyErr_SetString(PyExc_TypeError, "a field cannot be deleted; assign None to a nullable one");
    return -1;
  }
  try {
    require_unforked();
    if (record.prefix.empty())
      write_field(record.owner->row, *entry, value);
    else
      write_element_field(record.owner->row, *entry, record.prefix, value);
    return 0;
  } catch (...) {
    set_error_from_current();
    return -1;
  }
}

PyObject* represent(PyObject* self) {
  try {
    std::string text = "<struct " + body(self).table->record->name;
    if (!forked() && body(self).owner->row.valid())
      text += " " + py::repr(record_to_dict(self)).cast<std::string>();
    return py::str(text + ">").release().ptr();
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

PyObject* to_dict(PyObject* self, PyObject*) {
  try {
    require_unforked();
    return record_to_dict(self).release().ptr();
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

PyMethodDef methods[] = {{"to_dict", to_dict, METH_NOARGS, "All fields, copied; structs as dicts."},
                         {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                       {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
                       {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
                       {Py_tp_repr, reinterpret_cast<void*>(represent)},
                       {Py_tp_methods, methods},
                       {0, nullptr}};

#if PY_VERSION_HEX >= 0x030A0000
constexpr unsigned no_constructor = Py_TPFLAGS_DISALLOW_INSTANTIATION;
#else
constexpr unsigned no_constructor = 0;
#endif
PyType_Spec spec = {"exdb._core.Struct", sizeof(StructBody), 0, Py_TPFLAGS_DEFAULT | no_constructor,
                    slots};

// The path of the struct itself: that of any of its fields without the last name.
std::string own_path(const StructBody& record) {
  const std::string field = record.prefix + record.table->entries.front().path;
  return field.substr(0, field.rfind('.'));
}

}  // namespace

void make_struct_type(py::module_& module) {
  struct_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (struct_type == nullptr) throw py::error_already_set();
  module.attr("Struct") = py::handle(reinterpret_cast<PyObject*>(struct_type));
}

py::object make_struct(PyObject* owner, const RecordTable& table, std::string prefix) {
  PyObject* const made = struct_type->tp_alloc(struct_type, 0);
  if (made == nullptr) throw py::error_already_set();
  Py_INCREF(owner);
  body(made).owner = reinterpret_cast<ObjectBody*>(owner);
  body(made).table = &table;
  new (&body(made).prefix) std::string(std::move(prefix));
  return py::reinterpret_steal<py::object>(made);
}

py::dict record_to_dict(py::handle value) {
  if (Py_TYPE(value.ptr()) == object_type) {
    const auto& object = *reinterpret_cast<ObjectBody*>(value.ptr());
    return from_record(*object.table, object.row.row().values());
  }
  const StructBody& record = body(value.ptr());
  const Value whole = record.owner->row.row().value(own_path(record));
  return whole.is_null() ? py::dict() : from_record(*record.table, whole.as_record());
}

}  // namespace exdb::python
