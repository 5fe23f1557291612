// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// May this node write? The qrank of the nodes it can reach, itself included, must exceed half of
// the configured total (QuorumCount). Where the rule says no, the program's callback may say yes,
// on its responsibility. Where membership is fixed the first commit that finds no majority asks it.
// Where nodes come and go what it says makes views, so it is the member who says when it is asked
// (ViewMember::asks), and the count says what became of it.
//
// Invariants
//   I1  The callback is asked once for each change of the reachable nodes, and its answer is kept
//       until the next. Where the member asks, at its word, and about one set of nodes at a time.
//   I2  Nobody needs the callback to come back: it runs in a thread of its own that owns what it
//       needs, and after end() everybody who waits for its answer is refused at once.
// Threads: all functions from any thread. The callback is called without any lock of exdb; a
//   check() that comes while it is asked waits for the answer, where membership is fixed; a check()
//   from within the callback is refused.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "cluster/quorum_count.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class Quorum {
 public:
  using Callback = std::function<bool(const std::vector<std::uint32_t>&)>;

  enum class AskedBy { commits, member };

  Quorum(NodeId self, QuorumCount count, Callback callback, AskedBy by = AskedBy::commits);
  ~Quorum();
  Quorum(const Quorum&) = delete;
  Quorum& operator=(const Quorum&) = delete;

  /// Members were lost, or came back.
  void update(const QuorumCount& count);
  /// ok, or cluster_no_quorum with who is missing. May wait for the callback, where commits ask it.
  Status check();
  /// Whether check() would say ok without waiting for the callback.
  [[nodiscard]] bool known_to_allow() const;
  /// Nobody is asked any more; without a majority the answer is no.
  void end();
  /// A majority, or what the program has said to the member.
  [[nodiscard]] bool allows() const { return allows_.load(std::memory_order_acquire); }
  /// Without a majority it is the callback that decides: always where commits ask; else while the
  /// member waits for its answer.
  [[nodiscard]] bool callback_decides() const;
  /// Whoever wants to commit waits, and drives, until the member knows the answer; not who would
  /// have to give it. Lock-free while it is false.
  [[nodiscard]] bool undecided() const;

  // --- where the member asks ---
  /// Calls the callback with these nodes. At once. REQUIRES: no question is under way.
  void ask(std::vector<std::uint32_t> neighbours);
  /// What it has said, once.
  std::optional<bool> take_answer();

  [[nodiscard]] std::string explain() const;

 private:
  struct Asking;
  static void call(const std::shared_ptr<Asking>& asking, std::uint64_t version,
                   const std::vector<std::uint32_t>& neighbours);
  /// What the callback says, or why it did not.
  Status answer();

  const bool asks_;                 ///< by commits
  std::shared_ptr<Asking> asking_;  ///< shared with the thread that asks
  std::atomic<bool> allows_, undecided_{false};
};

}  // namespace exdb
