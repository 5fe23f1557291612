// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The one collective call of opening, apart from Transport: a job that starts all its nodes at once
// (MPI, a test) has it, a network whose nodes come one after another has not.
//
// Invariants
//   I1  All nodes get the same blocks, each whole.
// Threads: one at a time, beside nothing else on the same transport.
// Failure: a Status `timeout` after the deadline, naming who is missing where that can be known;
//   the transport is of no use then but to be closed.
#pragma once
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb {

class CollectiveGather {
 public:
  /// Everybody's `mine`, indexed by node. COLLECTIVE, blocks. To be called before any frame is
  /// sent.
  virtual Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) = 0;

 protected:
  ~CollectiveGather() = default;
};

}  // namespace exdb
