// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who writes the rounds of a database into its log, as checkpoints see it: the route of a database
// without a cluster, or the history of a node.
#pragma once
#include <functional>

#include "durability/round_log.hpp"

namespace exdb {

class LoggedRounds {
 public:
  struct State {
    RoundHistory::Chain chain;
    Marks marks;
    std::uint64_t restarts = 0;  ///< how often the state was replaced (RoundLog::restarts())
  };
  virtual ~LoggedRounds() = default;
  /// What the replica has. Under its lock.
  [[nodiscard]] virtual State state() const = 0;
  /// Calls `what` while nobody else writes, with all rounds that state() can name in the log. Blocks.
  virtual Status in_turn(const std::function<Status(RoundLog&)>& what) = 0;
  /// Nothing more is committed, for this reason.
  virtual void stop(const Status& why) = 0;
  [[nodiscard]] virtual Status failure() const = 0;
  /// Writes what waits, and closes the log. Idempotent.
  virtual Status close() = 0;
  /// Of the log, since it was opened. From any thread.
  [[nodiscard]] virtual std::uint64_t written_bytes() const = 0;
  [[nodiscard]] virtual std::uint64_t rounds() const = 0;
  /// How many times what had gathered was written, and the device waited for.
  [[nodiscard]] virtual std::uint64_t groups() const = 0;
  /// Told after each round, or several; blocks nobody. Before the first commit.
  virtual void on_round(std::function<void()> tell) = 0;
};

}  // namespace exdb
