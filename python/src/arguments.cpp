// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "arguments.hpp"

#include "exdb/errors.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

[[noreturn]] void refuse(py::handle value, const char* name, const std::string& wanted) {
  throw Error(ErrorCode::conversion,
              std::string(name) + " must be " + wanted + ", not " + shown(value));
}

std::string range(const std::string& low, const std::string& high) {
  return "an integer of " + low + " to " + high;
}

// The argument as an int; null when it is none.
py::object as_int(py::handle value) {
  if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr())) return {};
  PyObject* const made = PyNumber_Index(value.ptr());
  if (made == nullptr) PyErr_Clear();  // an __index__ that fails says that it is none
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace

std::string cut_text(const std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  std::size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

std::string shown(py::handle value) {
  const std::string type = Py_TYPE(value.ptr())->tp_name;
  PyObject* const made = PyObject_Repr(value.ptr());
  if (made == nullptr) {
    PyErr_Clear();  // a __repr__ that fails must not hide what is wrong
    return "an object of type " + type;
  }
  auto text = std::string(py::str(py::reinterpret_steal<py::object>(made)));
  text = cut_text(text, 60);
  return value.is_none() ? text : text + " of type " + type;
}

std::int64_t integer_argument(py::handle value, const char* name, std::int64_t low,
                              std::int64_t high) {
  const py::object number = as_int(value);
  if (!number) refuse(value, name, range(std::to_string(low), std::to_string(high)));
  int overflow = 0;
  const std::int64_t result = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0 || result < low || result > high)
    refuse(value, name, range(std::to_string(low), std::to_string(high)));
  return result;
}

std::uint64_t unsigned_argument(py::handle value, const char* name, std::uint64_t high) {
  const py::object number = as_int(value);
  if (!number) refuse(value, name, range("0", std::to_string(high)));
  const std::uint64_t result = PyLong_AsUnsignedLongLong(number.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    refuse(value, name, range("0", std::to_string(high)));
  }
  if (result > high) refuse(value, name, range("0", std::to_string(high)));
  return result;
}

bool bool_argument(py::handle value, const char* name) {
  if (!PyBool_Check(value.ptr())) refuse(value, name, "True or False");
  return value.ptr() == Py_True;
}

std::string text_argument(py::handle value, const char* name) {
  if (!PyUnicode_Check(value.ptr())) refuse(value, name, "a str");
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
  if (text == nullptr) {
    PyErr_Clear();
    refuse(value, name, "a str that is valid Unicode");
  }
  return {text, std::size_t(size)};
}

}  // namespace exdb::python
