// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "errors.hpp"

#include <new>

#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

void set_error(ErrorCode code, const std::string& text, std::optional<TxnId> id) noexcept {
  try {
    const py::object make = package("exdb.errors", "make");
    const py::object txid = id ? to_python(*id) : py::none();
    const py::object error = make(int(code), py::str(text), txid);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  } catch (py::error_already_set& failure) {
    failure.restore();
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, text.c_str());
  }
}

void set_error_from_current() noexcept {
  try {
    throw;
  } catch (py::error_already_set& failure) {
    failure.restore();
  } catch (const Error& error) {
    set_error(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "exdb: an unknown C++ exception");
  }
}

void throw_error(ErrorCode code, const std::string& text, std::optional<TxnId> id) {
  set_error(code, text, id);
  throw py::error_already_set();
}

py::object to_python(TxnId id) {
  const py::object type = package("exdb.types", "TransactionId");
  return type(id.origin.value, id.sequence);
}

void bind_errors(py::module_& module) {
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Error& error) {
      set_error(error.code(), error.what());
    }
  });
  // For the test that holds the table in exdb/errors.py against the enumeration here.
  module.def("error_name", [](int code) { return std::string(name_of(ErrorCode(code))); });
  module.def("raise_error",
             [](int code, const std::string& text) { throw Error(ErrorCode(code), text); });
}

}  // namespace exdb::python
