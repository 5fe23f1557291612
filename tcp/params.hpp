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

/// The addresses of all nodes, when everything else fits too. Asks nobody, opens nothing.
Result<std::vector<Address>> check(const TcpParams& params);

}  // namespace exdb::tcp
