// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "object.hpp"

#include <new>

#include "arguments.hpp"
#include "conversion.hpp"
#include "exdb/row.hpp"
#include "fields.hpp"
#include "record_type.hpp"

namespace py = pybind11;

namespace exdb::python {

PyTypeObject* object_type = nullptr;

namespace {

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  body_of<ObjectBody>(self).row.~Object();
  body_of<ObjectBody>(self).connection.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* compare(PyObject* left, PyObject* right, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(right) != object_type)
    Py_RETURN_NOTIMPLEMENTED;
  const bool equal = body_of<ObjectBody>(left).row == body_of<ObjectBody>(right).row;
  return PyBool_FromLong(static_cast<long>(equal == (operation == Py_EQ)));
}

PyObject* remove(PyObject* self, PyObject*) {
  return guarded(static_cast<PyObject*>(nullptr), [&]() -> PyObject* {
    require_unforked();
    body_of<ObjectBody>(self).row.remove();
    Py_RETURN_NONE;
  });
}

PyObject* raw(PyObject* self, PyObject* path) {
  return guarded(static_cast<PyObject*>(nullptr), [&] {
    require_unforked();
    const ObjectBody& body = body_of<ObjectBody>(self);
    return raw_field(body.row, *body.table, text_argument(path, "path")).release().ptr();
  });
}

PyObject* valid(PyObject* self, void*) {
  return guarded(static_cast<PyObject*>(nullptr), [&] {
    return PyBool_FromLong(static_cast<long>(!forked() && body_of<ObjectBody>(self).row.valid()));
  });
}

constexpr const char* type_doc =
    "One row within its transaction; its fields are attributes.\n\n"
    "Found by find, cursors and new(); valid until the transaction ends or the row is removed,\n"
    "used by the thread that uses its connection. Reading an attribute is one load from this\n"
    "process's memory; writing is seen by this transaction at once, by others after its commit.\n"
    "Neither blocks. A datetime without a time zone is taken as UTC; reading gives UTC.\n\n"
    "A field hides a method of its name: exdb.Object.raw(obj, 'field') then. Raises\n"
    "UnknownFieldError (an AttributeError) for a field that the class does not have, DataError "
    "for\n"
    "a value that does not fit, TooLargeError for one beyond what a row or a commit may have,\n"
    "before it is copied, DuplicateKeyError as Connection.new says, and changes nothing then;\n"
    "ReadOnlyError in a read-only transaction, InvalidHandleError when\n"
    "the row was removed or its transaction has ended (TransactionNotActiveError when no other is "
    "open).";

PyMethodDef methods[] = {
    {"remove", remove, METH_NOARGS,
     "remove() -> None\n--\n\nRemoves this row in the open transaction. Does not block. Raises "
     "ReadOnlyError and\nInvalidHandleError."},
    {"raw", raw, METH_O,
     "raw(path, /) -> object\n--\n\nThe field as it is stored: days, nanoseconds, an enumerator's "
     "number. By name or path, as\n'origin.when' or 'legs[2].when'. Does not block. Raises "
     "UnknownFieldError and\nInvalidHandleError."},
    {"to_dict", to_dict<ObjectBody>, METH_NOARGS,
     "to_dict() -> dict\n--\n\nAll fields, copied; structs as dicts. Does not block. Raises "
     "InvalidHandleError."},
    {"__dir__", directory<ObjectBody>, METH_NOARGS, "The names of the fields and methods."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"valid", valid, nullptr, "Its transaction is open and it has not been removed.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(type_doc)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                       {Py_tp_getattro, reinterpret_cast<void*>(get_attribute<ObjectBody>)},
                       {Py_tp_setattro, reinterpret_cast<void*>(set_attribute<ObjectBody>)},
                       {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
                       {Py_tp_hash, reinterpret_cast<void*>(PyObject_HashNotImplemented)},
                       {Py_tp_repr, reinterpret_cast<void*>(represent<ObjectBody>)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {0, nullptr}};

PyType_Spec spec = {"exdb._core.Object", sizeof(ObjectBody), 0, Py_TPFLAGS_DEFAULT | no_constructor,
                    slots};

}  // namespace

PyObject* ObjectBody::read(const FieldEntry& entry) const {
  return read_field(reinterpret_cast<PyObject*>(const_cast<ObjectBody*>(this)), row, entry);
}

void ObjectBody::write(const FieldEntry& entry, py::handle value) {
  write_field(row, entry, value);
}

ValueRecord ObjectBody::values() const { return row.row().values(); }

py::list list_type_names(PyTypeObject* type) {
  return py::reinterpret_steal<py::list>(PyObject_Dir(reinterpret_cast<PyObject*>(type)));
}

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
  ObjectBody& body = body_of<ObjectBody>(made);
  new (&body.row) Object(object);
  new (&body.connection) std::shared_ptr<ConnectionHandle>(connection);
  body.table = connection->dictionary().class_of(object.type().id).table;
  return py::reinterpret_steal<py::object>(made);
}

py::object wrap(const std::shared_ptr<ConnectionHandle>& connection,
                const std::optional<Object>& object) {
  return object ? wrap(connection, *object) : py::none();
}

Object& unwrap(py::handle value) {
  if (Py_TYPE(value.ptr()) != object_type)
    throw Error(ErrorCode::conversion,
                "obj must be an object of the database, not " + shown(value));
  return body_of<ObjectBody>(value.ptr()).row;
}

void assign_fields(py::handle object, const py::dict& fields) {
  for (const auto& [name, value] : fields)
    if (set_attribute<ObjectBody>(object.ptr(), name.ptr(), value.ptr()) != 0)
      throw py::error_already_set();
}

bool is_record(py::handle value) {
  return Py_TYPE(value.ptr()) == object_type || Py_TYPE(value.ptr()) == struct_type;
}

py::dict record_to_dict(py::handle value) {
  if (Py_TYPE(value.ptr()) == object_type) {
    const auto& body = body_of<ObjectBody>(value.ptr());
    return from_record(*body.table, body.values());
  }
  const auto& body = body_of<StructBody>(value.ptr());
  return from_record(*body.table, body.values());
}

}  // namespace exdb::python
