// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// EXDB_ASSERT states what is true unless exdb itself is wrong. It stays on in release builds: a
// replica that has lost its invariants must stop before it answers again. Never for input, never
// for the state of the world.
#pragma once
#include <string>

namespace exdb {

/// What an assertion prints beside its expression (node, round). Set by the node that drives this
/// thread.
void set_assert_context(std::string text);

/// Called once before the process ends because of a failed assertion (an MPI transport ends the
/// whole job here).
void set_assert_hook(void (*hook)());

[[noreturn]] void assert_failed(const char* expression, const char* file, int line,
                                const char* what);

}  // namespace exdb

#define EXDB_ASSERT(expression, what)  \
  (__builtin_expect(!!(expression), 1) \
       ? void(0)                       \
       : ::exdb::assert_failed(#expression, __FILE__, __LINE__, what))
