// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a transport has to know of EXDB_ASSERT: a failed assertion ends this process, and whoever
// ties processes together (an MPI job) must end the others, which would wait for ever.
//
// Invariants
//   I1  The hook runs once at most, in the thread whose assertion failed, before abort().
// Threads: any.
// Failure: none.
#pragma once

namespace exdb {

/// Installs `hook`, or takes it away (nullptr). The last call counts.
void set_assert_hook(void (*hook)());

}  // namespace exdb
