// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A checkpoint that is being written while the program goes on (Database::begin_checkpoint).
//
// Threads: all functions from any.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>

namespace exdb {

class Checkpoint {
 public:
  /// Written, or failed. Does not block.
  [[nodiscard]] bool done() const;
  /// Blocks until it is done, or `timeout` has passed: false then. Throws what checkpoint() throws.
  bool wait(std::optional<std::chrono::milliseconds> timeout = {}) const;
  /// Bytes that this node has written so far of the checkpoint it is at; 0 where it writes none. Does
  /// not block.
  [[nodiscard]] std::uint64_t bytes_written() const;

  // --- of who writes it ---
  explicit Checkpoint(std::function<std::uint64_t()> bytes) : bytes_(std::move(bytes)) {}
  void end(std::exception_ptr why_not);

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::function<std::uint64_t()> bytes_;
  std::uint64_t bytes_at_end_ = 0;
  bool done_ = false;
  std::exception_ptr why_not_;
};

}  // namespace exdb
