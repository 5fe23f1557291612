// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a node that is on disk must not forget, where nodes come and go. Its member works as if
// everything were kept in memory; what it says and gives out is held back until the device has all
// that was true when it said it (ViewDriver). So to everybody else a crash is a node that stood
// still a little earlier, lost its links, and comes back with a higher incarnation of the same
// memory: nothing that the protocol does not know.
//
// Invariants
//   S1  All that is given to the history (append(), drop_after(), restart()) and to remember() between
//       two calls of newest() is one step. Steps reach the device in order, each whole or not at all:
//       what a recovery finds is what was there after one of them, not before the last that stored()
//       names.
//   S2  stored() never goes back, and is never beyond newest().
//   S3  After a failure stored() stays, and the node ends with its text.
// Threads: remember() and newest() under the drive lock, the rest from any.
#pragma once
#include <cstdint>
#include <functional>

#include "base/types.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class StableStore {
 public:
  /// Counts steps: changes of the history and memories. Zero: nothing yet.
  using Ticket = std::uint64_t;

  virtual ~StableStore() = default;
  /// Takes the place of what was remembered before: ViewMemory as bytes. Does not block.
  virtual void remember(Bytes memory) = 0;
  /// Ends the step, if anything was given since the last call. The newest ticket.
  virtual Ticket newest() = 0;
  /// All up to this one is on the device.
  [[nodiscard]] virtual Ticket stored() const = 0;
  /// Why nothing more will be; ok while it may.
  [[nodiscard]] virtual Status failure() const = 0;
  /// `tell` is called, from any thread, when stored() or failure() may have changed. Without one it
  /// is not called any more, from when this returns.
  virtual void on_change(std::function<void()> tell) = 0;
};

}  // namespace exdb
