// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What TcpParams may hold.
//
// Threads: any.
// Failure: a Status `cluster_invalid_parameter` with the key as the Python API has it, the value,
//   what is allowed, and what to do.
#pragma once
#include "address.hpp"
#include "exdb/tcp.hpp"

namespace exdb::tcp {

/// The addresses of all nodes, when everything else fits too. `encrypted`: TLS is on.
Result<std::vector<Address>> check(const TcpParams& params, bool encrypted);

/// Whether plaintext may be exchanged with who is at `address`.
Status may_be_plain(const TcpParams& params, bool encrypted, const SocketAddress& address);

}  // namespace exdb::tcp
