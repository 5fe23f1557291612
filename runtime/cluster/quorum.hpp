// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// May this node write? The qrank of the nodes it can reach, itself included, must exceed half of
// the configured total (QuorumCount). Where the rule says no, the program's callback may say yes,
// on its responsibility.
//
// Invariants
//   I1  The callback is asked once for each change of the reachable nodes, and its answer is kept
//       until the next.
//   I2  Nobody needs the callback to come back: it runs in a thread of its own that owns what it
//       needs, and after end() everybody who waits for its answer is refused at once.
// Threads: all functions from any thread. The callback is called without any lock of exdb; a
//   check() that comes while it is asked waits for the answer; a check() from within the callback
//   is refused.
#pragma once
#include <atomic>
#include <functional>
#include <memory>

#include "cluster/quorum_count.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class Quorum {
 public:
  using Callback = std::function<bool(const std::vector<std::uint32_t>&)>;

  Quorum(MemberId self, QuorumCount count, Callback callback);
  ~Quorum();
  Quorum(const Quorum&) = delete;
  Quorum& operator=(const Quorum&) = delete;

  /// Members were lost.
  void update(const QuorumCount& count);
  /// ok, or cluster_no_quorum with who is missing. May wait for the callback.
  Status check();
  /// Whether check() would say ok without waiting for the callback.
  [[nodiscard]] bool known_to_allow() const;
  /// Nobody is asked any more; without a majority the answer is no.
  void end();
  [[nodiscard]] bool majority() const { return majority_.load(std::memory_order_acquire); }
  [[nodiscard]] bool has_callback() const { return asks_; }
  [[nodiscard]] std::string explain() const;

 private:
  struct Asking;
  static void ask(const std::shared_ptr<Asking>& asking, std::uint64_t version,
                  const std::vector<std::uint32_t>& neighbours);
  /// What the callback says, or why it did not.
  Status answer();

  const bool asks_;
  std::shared_ptr<Asking> asking_;  ///< shared with the thread that asks
  std::atomic<bool> majority_;
};

}  // namespace exdb
