// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "process.hpp"

#include <atomic>

#include "exdb/errors.hpp"

namespace exdb::python {

namespace {
std::atomic<bool> forked_flag{false};
std::atomic<bool> ending_flag{false};
}  // namespace

void mark_forked() { forked_flag.store(true, std::memory_order_relaxed); }
bool forked() { return forked_flag.load(std::memory_order_relaxed); }
void mark_ending() { ending_flag.store(true); }
bool ending() { return ending_flag.load(); }

void require_unforked() {
  if (forked())
    throw Error(ErrorCode::invalid_handle,
                "this process was forked after exdb was used, and a database does not survive a "
                "fork (neither does MPI): start processes with "
                "multiprocessing.set_start_method('spawn') or 'forkserver'");
}

}  // namespace exdb::python
