// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "object.hpp"

#include <new>

#include "conversion.hpp"
#include "errors.hpp"
#include "exdb/row.hpp"
#include "fields.hpp"
#include "object_types.hpp"

namespace py = pybind11;

namespace exdb::python {

PyTypeObject* object_type = nullptr;

namespace {

ObjectBody& body(PyObject* self) { return *reinterpret_cast<ObjectBody*>(self); }

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  body(self).row.~Object();
  body(self).connection.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* get_attribute(PyObject* self, PyObject* name) {
  const ObjectBody& object = body(self);
  const FieldEntry* entry = object.table->find(name);
  if (entry == nullptr) {
    PyObject* const found = PyObject_GenericGetAttr(self, name);
    if (found == nullptr && PyErr_ExceptionMatches(PyExc_AttributeError) != 0)
      set_unknown_field(*object.table, name);
    return found;
  }
  try {
    require_unforked();
    return read_field(self, object.row, *entry);
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  ObjectBody& object = body(self);
  const FieldEntry* entry = object.table->find(name);
  if (entry == nullptr) {
    set_unknown_field(*object.table, name);
    return -1;
  }
  if (value == nullptr) {
    PyErr_SetString(PyExc_TypeError, "a field cannot be deleted; assign None to a nullable one");
    return -1;
  }
  try {
    require_unforked();
    write_field(object.row, *entry, value);
    return 0;
  } catch (...) {
    set_error_from_current();
    return -1;
  }
}

PyObject* compare(PyObject* left, PyObject* right, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(right) != object_type)
    Py_RETURN_NOTIMPLEMENTED;
  const bool equal = body(left).row == body(right).row;
  return PyBool_FromLong(static_cast<long>(equal == (operation == Py_EQ)));
}

PyObject* represent(PyObject* self) {
  try {
    const ObjectBody& object = body(self);
    std::string text = "<" + object.table->record->name;
    if (forked() || !object.row.valid()) {
      text += " (removed, or its transaction has ended)";
    } else {
      for (const auto& [name, value] : object.row.row().values())
        text += " " + name + "=" + value.to_text();
    }
    return py::str(text + ">").release().ptr();
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

PyObject* remove(PyObject* self, PyObject*) {
  try {
    require_unforked();
    body(self).row.remove();
    Py_RETURN_NONE;
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

PyObject* raw(PyObject* self, PyObject* path) {
  try {
    require_unforked();
    return raw_field(body(self).row, *body(self).table, py::cast<std::string>(py::handle(path)))
        .release()
        .ptr();
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

PyObject* directory(PyObject* self, PyObject*) {
  try {
    py::list names;
    for (const FieldEntry& entry : body(self).table->entries) names.append(entry.name);
    for (const char* method : {"raw", "remove", "to_dict", "valid"}) names.append(method);
    return names.release().ptr();
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

PyObject* valid(PyObject* self, void*) {
  try {
    return PyBool_FromLong(static_cast<long>(!forked() && body(self).row.valid()));
  } catch (...) {
    set_error_from_current();
    return nullptr;
  }
}

PyMethodDef methods[] = {
    {"remove", remove, METH_NOARGS, "Removes this row in the open transaction."},
    {"raw", raw, METH_O, "The field as it is stored: days, nanoseconds, an enumerator's number."},
    {"to_dict", to_dict, METH_NOARGS, "All fields, copied; structs as dicts."},
    {"__dir__", directory, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"valid", valid, nullptr, "Its transaction is open and it has not been removed.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                       {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
                       {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
                       {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
                       {Py_tp_hash, reinterpret_cast<void*>(PyObject_HashNotImplemented)},
                       {Py_tp_repr, reinterpret_cast<void*>(represent)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {0, nullptr}};

#if PY_VERSION_HEX >= 0x030A0000
constexpr unsigned no_constructor = Py_TPFLAGS_DISALLOW_INSTANTIATION;
#else
constexpr unsigned no_constructor = 0;
#endif
PyType_Spec spec = {"exdb._core.Object", sizeof(ObjectBody), 0, Py_TPFLAGS_DEFAULT | no_constructor,
                    slots};

}  // namespace

void set_unknown_field(const RecordTable& table, PyObject* name) {
  PyErr_Clear();
  const py::object wanted = py::reinterpret_steal<py::object>(PyObject_Str(name));
  if (!wanted) return;
  const char* text = PyUnicode_AsUTF8(wanted.ptr());
  if (text == nullptr) return;
  if (std::string_view(text).substr(0, 2) == "__") {
    PyErr_SetObject(PyExc_AttributeError, name);
    return;
  }
  std::string known;
  for (const FieldEntry& entry : table.entries)
    known += (known.empty() ? "" : ", ") + entry.field->name;
  set_error(ErrorCode::ddl_field_not_found,
            table.record->name + " has no field '" + text + "'; its fields are: " + known);
}

void make_struct_type(py::module_& module);

void make_object_types(py::module_& module) {
  object_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (object_type == nullptr) throw py::error_already_set();
  module.attr("Object") = py::handle(reinterpret_cast<PyObject*>(object_type));
  make_struct_type(module);
}

py::object wrap(const std::shared_ptr<ConnectionHandle>& connection, const Object& object) {
  PyObject* const made = object_type->tp_alloc(object_type, 0);
  if (made == nullptr) throw py::error_already_set();
  new (&body(made).row) Object(object);
  new (&body(made).connection) std::shared_ptr<ConnectionHandle>(connection);
  body(made).table = connection->dictionary().class_of(object.type().id).table;
  return py::reinterpret_steal<py::object>(made);
}

py::object wrap(const std::shared_ptr<ConnectionHandle>& connection,
                const std::optional<Object>& object) {
  return object ? wrap(connection, *object) : py::none();
}

Object& unwrap(py::handle value) {
  if (Py_TYPE(value.ptr()) != object_type)
    throw Error(ErrorCode::conversion,
                "an object of the database is needed, not " + py::repr(value).cast<std::string>());
  return body(value.ptr()).row;
}

void assign_fields(py::handle object, const py::dict& fields) {
  for (const auto& [name, value] : fields)
    if (set_attribute(object.ptr(), name.ptr(), value.ptr()) != 0) throw py::error_already_set();
}

bool is_record(py::handle value) {
  return Py_TYPE(value.ptr()) == object_type || Py_TYPE(value.ptr()) == struct_type;
}

}  // namespace exdb::python
