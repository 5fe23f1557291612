// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening where the processes of a host share one replica: all nodes greet each other, leaders offer
// their memory with the greeting, followers attach and say whether they could. Only then leaders get
// a transport.
//
// Invariants
//   I1  Every node comes through the same gathers, whatever is wrong on it, and all end with the same
//       Status.
#pragma once
#include "database/core.hpp"

namespace exdb {

/// Fills core.replica, core.node and core.route. COLLECTIVE over params.hosts. Throws Error, the same
/// on every node; the groups are closed then.
void open_shared(DatabaseCore& core, ClusterParams params, Status local_failure);

}  // namespace exdb
