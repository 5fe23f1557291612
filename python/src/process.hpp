// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What has happened to this process: a fork, or the end of the interpreter. Both end the use of
// exdb: the threads of a database do not exist in a forked child, and no thread may ask for the GIL
// of an interpreter that is going away.
//
// Threads: all functions from any thread.
#pragma once

namespace exdb::python {

/// In the child of a fork, from os.register_at_fork. There is no way back.
void mark_forked();
bool forked();

/// The interpreter ends: callbacks are dropped from now on, references to Python objects leak.
void mark_ending();
bool ending();

/// Throws Error invalid_handle in the child of a fork.
void require_unforked();

}  // namespace exdb::python
