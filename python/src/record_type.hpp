// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What Object and Struct have in common: their fields as attributes, in types of their own rather
// than pybind11's, because an attribute must cost one C++ call. `Body` is one of object_types.hpp:
// it says where its table is, and how a field of it is read and written.
//
// Threads: all functions need the GIL.
// Failure: as Python's slots have it: the error is set, and null or -1 returned.
#pragma once
#include "errors.hpp"
#include "object_types.hpp"
#include "process.hpp"
#include "represent.hpp"

namespace exdb::python {

/// Runs `call`; an exception becomes the Python error, and `failed` the result.
template <class Call, class Answer>
Answer guarded(Answer failed, Call call) noexcept {
  try {
    return call();
  } catch (...) {
    set_error_from_current();
    return failed;
  }
}

template <class Body>
Body& body_of(PyObject* self) {
  return *reinterpret_cast<Body*>(self);
}

template <class Body>
PyObject* get_attribute(PyObject* self, PyObject* name) {
  const Body& body = body_of<Body>(self);
  const FieldEntry* entry = body.table->find(name);
  if (entry == nullptr) {
    PyObject* const found = PyObject_GenericGetAttr(self, name);
    if (found == nullptr && PyErr_ExceptionMatches(PyExc_AttributeError) != 0)
      set_unknown_field(*body.table, name);
    return found;
  }
  return guarded(static_cast<PyObject*>(nullptr), [&] {
    require_unforked();
    return body.read(*entry);
  });
}

template <class Body>
int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  Body& body = body_of<Body>(self);
  const FieldEntry* entry = body.table->find(name);
  if (entry == nullptr) {
    set_unknown_field(*body.table, name);
    return -1;
  }
  if (value == nullptr) {
    PyErr_SetString(PyExc_TypeError, "a field cannot be deleted; assign None to a nullable one");
    return -1;
  }
  return guarded(-1, [&] {
    require_unforked();
    body.write(*entry, value);
    return 0;
  });
}

template <class Body>
PyObject* to_dict(PyObject* self, PyObject*) {
  return guarded(static_cast<PyObject*>(nullptr), [&] {
    require_unforked();
    return record_to_dict(self).release().ptr();
  });
}

/// All names of fields, and the type's own.
template <class Body>
PyObject* directory(PyObject* self, PyObject*) {
  return guarded(static_cast<PyObject*>(nullptr), [&] {
    pybind11::list names = list_type_names(Py_TYPE(self));
    for (const FieldEntry& entry : body_of<Body>(self).table->entries) names.append(entry.name);
    return names.release().ptr();
  });
}

template <class Body>
PyObject* represent(PyObject* self) {
  return guarded(static_cast<PyObject*>(nullptr), [&] {
    const Body& body = body_of<Body>(self);
    const std::string name = Body::kind + body.table->record->name;
    if (forked() || !body.valid())
      return pybind11::str("<" + name + " (removed, or its transaction has ended)>")
          .release()
          .ptr();
    return pybind11::str("<" + name + " " + shown_fields(*body.table, body.values()) + ">")
        .release()
        .ptr();
  });
}

}  // namespace exdb::python
