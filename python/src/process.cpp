// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "process.hpp"

#include <unistd.h>

#include <atomic>

#include "exdb/errors.hpp"

namespace exdb::python {

namespace {
std::atomic<bool> forked_flag{false};
std::atomic<bool> ending_flag{false};
std::atomic<int> released_count{0};
}  // namespace

void mark_forked() { forked_flag.store(true, std::memory_order_relaxed); }
bool forked() { return forked_flag.load(std::memory_order_relaxed); }
void mark_ending() { ending_flag.store(true); }
bool ending() { return ending_flag.load(); }

Released::Released() {
  (void)in_main_thread();  // asked for the first time here, where the GIL is held
  released_count.fetch_add(1);
  state_ = PyEval_SaveThread();
}

Released::~Released() {
  if (ending() && !in_main_thread()) {
    released_count.fetch_sub(1);
    while (true) pause();
  }
  PyEval_RestoreThread(state_);
  released_count.fetch_sub(1);
}

int released_threads() { return released_count.load(); }

bool in_main_thread() {
  static const unsigned long main_thread = [] {
    const pybind11::module_ threading = pybind11::module_::import("threading");
    return threading.attr("main_thread")().attr("ident").cast<unsigned long>();
  }();
  return PyThread_get_thread_ident() == main_thread;
}

void require_unforked() {
  if (forked())
    throw Error(ErrorCode::invalid_handle,
                "this process was forked after exdb was used, and a database does not survive a "
                "fork (neither does MPI): start processes with "
                "multiprocessing.set_start_method('spawn') or 'forkserver'");
}

}  // namespace exdb::python
