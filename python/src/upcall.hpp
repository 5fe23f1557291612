// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The one door for calls from C++ up into Python: functions of the package itself. The functions
// that a program hands in are not called from C++ at all: see callbacks.hpp.
//
// Invariants
//   I1  A thread of the engine asks for the GIL in with_python() only, and never once the
//       interpreter began to end or in the child of a fork.
//   I2  No exception leaves with_python(): it is printed as Python prints those that nobody can
//       catch.
// Threads: package() needs the GIL; with_python() from any thread.
#pragma once
#include <pybind11/pybind11.h>

#include <utility>

#include "process.hpp"

namespace exdb::python {

/// What `name` is in `module` of the package, as ("exdb.errors", "make"). Throws what Python's
/// import throws.
pybind11::object package(const char* module, const char* name);

/// Prints the Python error that is set and clears it.
void print_unraisable(const char* where);

/// Runs `call` with the GIL held; `otherwise` when there is no Python any more or `call` throws.
template <class Call, class Answer>
Answer with_python(const char* where, Call call, Answer otherwise) {
  if (ending() || forked()) return otherwise;
  const pybind11::gil_scoped_acquire gil;
  try {
    return call();
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  print_unraisable(where);
  return otherwise;
}

}  // namespace exdb::python
