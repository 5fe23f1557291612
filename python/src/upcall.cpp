// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

// Looked up at each call: a hit in sys.modules. A static reference would outlive the interpreter,
// and none of these calls is on a fast path.
py::object package(const char* module, const char* name) {
  return py::module_::import(module).attr(name);
}

void print_unraisable(const char* where) {
  PyObject* const context = PyUnicode_FromString(where);
  PyErr_WriteUnraisable(context);
  Py_XDECREF(context);
}

}  // namespace exdb::python
