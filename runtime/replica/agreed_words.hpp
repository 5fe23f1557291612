// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What nodes say to each other in the agreed order, apart from rows: that the end of the job's time comes,
// that a checkpoint is to be written, and that it has been. A word is a transaction that does nothing
// else, with a name that no program can give to a snapshot; so it comes to every node at one place in
// the order, and is in the log like any other.
//
// Invariants
//   W1  A checkpoint is of the state after the round of its word, so the same on all nodes. A word is
//       passed over, on all nodes alike, when whoever said it had seen nothing newer than the last
//       checkpoint: however many ask at once get one.
//   W2  What was said in a life before does not count: forget() is called before its first round.
// Threads: said(), on_checkpoint() and forget() under the lock of the replica; the rest from any.
// Failure: a word that cannot be read is passed over.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "base/bytes.hpp"
#include "base/types.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class AgreedWords {
 public:
  struct Checkpoint {
    Csn csn;
    Round round;  ///< after which it is the state
  };
  struct Written {
    Round round;  ///< of the checkpoint
    Status status;
  };

  // --- the names that are words ---
  [[nodiscard]] static bool is_word(const std::string& name) {
    return !name.empty() && name.front() == mark;
  }
  [[nodiscard]] static std::string preempt() { return {mark, 'p'}; }
  [[nodiscard]] static std::string checkpoint() { return {mark, 'c'}; }
  [[nodiscard]] static std::string written(NodeId node, Round round, const Status& status);

  // --- of the replica that applies rounds ---
  /// `seen`: the csn that was published where it was said; `now`: after the round.
  void said(const std::string& word, Csn seen, Csn now, Round round);
  /// `begin` is called for each checkpoint that is to be written, after its round.
  void on_checkpoint(std::function<void(Round)> begin) { begin_ = std::move(begin); }
  /// What this node has written itself, whether it can tell the others or not.
  void written_here(NodeId node, Round round, const Status& status);
  void forget();

  [[nodiscard]] Csn preempt_said() const;
  [[nodiscard]] Checkpoint newest_checkpoint() const;
  /// By node: the newest that it has written, or why not.
  [[nodiscard]] std::map<NodeId, Written> written_checkpoints() const;

  /// All of it, for a process that shares the replica.
  [[nodiscard]] std::vector<std::byte> encode() const;
  Status decode(Bytes bytes);

 private:
  static constexpr char mark = '\1';

  std::function<void(Round)> begin_;
  mutable std::mutex mutex_;
  Csn preempt_;
  Checkpoint checkpoint_;
  std::map<NodeId, Written> written_;
};

}  // namespace exdb
