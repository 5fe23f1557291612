// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whether another process of this host has ended: a descriptor of it (pidfd), which sees a zombie as
// ended and is not deceived by a number that was given to another process. Where the kernel has
// none, kill(pid, 0) is asked, which sees neither.
//
// Invariants
//   I1  Once ended() was true it stays so.
// Threads: ended() from any.
// Failure: none; a process that cannot be watched is taken to live.
#pragma once
#include <atomic>
#include <cstdint>

#include "host/shared_file.hpp"

namespace exdb {

class ProcessWatch {
 public:
  /// REQUIRES: the process lives until this has returned.
  explicit ProcessWatch(std::int32_t pid);
  /// One system call.
  [[nodiscard]] bool ended() const;
  [[nodiscard]] std::int32_t pid() const { return pid_; }

 private:
  const std::int32_t pid_;
  const Descriptor descriptor_;
  mutable std::atomic<bool> ended_{false};
};

}  // namespace exdb
