// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What has happened to this process: a fork, or the end of the interpreter. Both end the use of
// exdb: the threads of a database do not exist in a forked child, and no thread may ask for the GIL
// of an interpreter that is going away (it would be ended by an unwinding that C++ answers with
// std::terminate).
//
// Threads: all functions from any thread.
#pragma once
#include <pybind11/pybind11.h>

namespace exdb::python {

/// In the child of a fork, from os.register_at_fork. There is no way back.
void mark_forked();
bool forked();

/// The interpreter ends: callbacks are dropped from now on, references to Python objects leak.
void mark_ending();
bool ending();

/// Lets the GIL go for its life, as pybind11::gil_scoped_release; but when the interpreter ends
/// meanwhile, a thread other than the main one stays in the destructor for ever.
class Released {
 public:
  Released();
  ~Released();
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

 private:
  PyThreadState* state_;
};

/// Threads within a Released that may still ask for the GIL: 0 is a good moment to end.
int released_threads();

/// The thread that runs atexit hooks. Needs the GIL the first time.
bool in_main_thread();

/// Throws Error invalid_handle in the child of a fork.
void require_unforked();

}  // namespace exdb::python
