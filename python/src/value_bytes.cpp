// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "value_bytes.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

// Of a text its characters: each is a byte of UTF-8 at least, and to ask for more would encode it.
std::size_t text_or_bytes(PyObject* value) {
  if (PyUnicode_Check(value)) return std::size_t(PyUnicode_GET_LENGTH(value));
  if (PyBytes_Check(value)) return std::size_t(PyBytes_GET_SIZE(value));
  if (!PyObject_CheckBuffer(value)) return 0;
  Py_buffer view;
  if (PyObject_GetBuffer(value, &view, PyBUF_FULL_RO) != 0) {
    PyErr_Clear();
    return 0;
  }
  const auto bytes = std::size_t(view.len);
  PyBuffer_Release(&view);
  return bytes;
}

// Of a list, tuple or array; 0 for what has no length.
std::size_t elements(PyObject* value) {
  if (!PySequence_Check(value)) return 0;
  const Py_ssize_t size = PySequence_Size(value);
  if (size < 0) PyErr_Clear();
  return size < 0 ? 0 : std::size_t(size);
}

}  // namespace

std::size_t least_value_bytes(const FieldDef& field, py::handle value) {
  const bool texts = field.type == FieldType::string || field.type == FieldType::blob;
  if (field.is_single()) return texts ? text_or_bytes(value.ptr()) : 0;
  if (PyUnicode_Check(value.ptr())) return 0;
  std::size_t bytes = field.is_vector ? elements(value.ptr()) * field.element_size : 0;
  if (texts && (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr()))) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value.ptr()); ++i)
      bytes += text_or_bytes(PySequence_Fast_GET_ITEM(value.ptr(), i));
  }
  return bytes;
}

}  // namespace exdb::python
