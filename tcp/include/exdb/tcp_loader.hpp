// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// libexdb_tcp.so as seen by a program that loads it only when it is needed (the Python module), so
// that OpenSSL is: one function to look up with dlsym.
//
// Invariants
//   I1  Both sides are of one build: `params_bytes` is sizeof(TcpParams) at the caller, and another
//       size is refused before anything is read.
// Threads: any.
// Failure: the number of an exdb::ErrorCode, with its text in `error`; 0 = success. Nothing throws.
#pragma once
#include <cstddef>

#include "exdb/tcp.hpp"

extern "C" {

/// As exdb::tcp::transport. `*transport` is to be deleted by the caller (through a unique_ptr).
typedef int exdb_tcp_transport_function(const exdb::tcp::TcpParams* params,
                                        std::size_t params_bytes, exdb::Transport** transport,
                                        char* error, std::size_t error_bytes);

exdb_tcp_transport_function exdb_tcp_transport;
}
