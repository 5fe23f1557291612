// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What an open transaction has written and not sent: how much it is, against the limit of what one
// commit may carry; and, with early data send, the parts of it that travel ahead of the commit.
//
// Invariants
//   I1  unsent_bytes() is at least what the record of the commit would take, but for what was read:
//       kept as a running sum, so that a write costs the same however much was written before.
//   I2  A row that went ahead and is changed again counts, and travels, again.
//   I3  Sending ahead waits for nothing (I2 of CommitRoute). Where it is refused, the next attempt
//       comes when twice as much is unsent: attempts cost O(1) a write, whatever they find.
// Threads: used by one thread at a time.
// Failure: what could not be sent ahead goes with the commit.
#pragma once
#include <vector>

#include "database/commit_route.hpp"
#include "transaction/workspace.hpp"

namespace exdb {

class Fragments {
 public:
  /// A part goes ahead when this much is unsent.
  static constexpr std::size_t part_bytes = 256 * 1024;

  Fragments(CommitRoute& route, Workspace& work) : route_(route), work_(work) {}

  void begin(Csn snapshot, int priority);
  /// The transaction ended without committing: what went ahead is taken back.
  void discard();
  void end();

  /// The name of the transaction: given when the first thing of it leaves this process.
  TxnId id();
  /// Whether it has one.
  [[nodiscard]] bool named() const { return id_.sequence != 0; }
  /// Parts that went ahead: the commit has to follow them.
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

  /// An entry was written to or removed. O(1).
  void wrote(WorkEntry& entry);
  /// The newest entry is about to be taken back. O(1).
  void forget(WorkEntry& entry);
  [[nodiscard]] std::size_t unsent_bytes() const { return unsent_bytes_; }
  /// Counts anew, without the gaps that replaced values leave in the rows. O(rows unsent).
  std::size_t recount();

  /// To be called between writes: sends a part ahead when it is time. O(1) a write, amortised.
  void send_if_due() {
    if (unsent_bytes_ >= next_attempt_) send();
  }
  /// Entries looked at by all attempts so far: for tests of I3.
  [[nodiscard]] std::uint64_t entries_looked_at() const { return entries_looked_at_; }

 private:
  [[nodiscard]] bool counts(const WorkEntry& entry) const {
    return !route_.is_local(work_.type_of(entry));
  }
  void send();

  CommitRoute& route_;
  Workspace& work_;
  TxnId id_;
  Csn snapshot_;
  int priority_ = 0;
  std::uint64_t sent_ = 0;
  std::vector<WorkEntry*> unsent_;  ///< each once; entries do not move (W1)
  std::size_t unsent_bytes_ = 0;
  std::size_t next_attempt_ = 0;
  std::uint64_t entries_looked_at_ = 0;
};

}  // namespace exdb
