// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One thing that travels in a batch, and the same thing at home: from submit to answer.
//
// Invariants
//   I1  A PendingItem is answered once: `outcome` is written before `done` becomes true and never
//       after.
// Threads: `done` by any; `outcome` by whoever saw `done`; the rest by the window, then by the
//   driver.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "exdb/errors.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {

/// One thing that travels in a batch.
struct RoundItem {
  enum class Kind : std::uint8_t {
    transaction = 1,  ///< certified and applied at its place in the order
    fragment = 2,     ///< a part of a transaction that is still running: kept until its transaction
                      ///< item (same sequence) comes
    discard = 3,      ///< the transaction of these fragments was rolled back
    gone = 4,  ///< `origin`, which has its member send for it, has ended: this is its last item
  };
  Kind kind = Kind::transaction;
  MemberId member;             ///< whose batch it travels in, and who is answered
  NodeId origin;               ///< where the transaction began
  std::uint64_t sequence = 0;  ///< of the transaction at its origin
  Bytes bytes;
};

/// How an item ended, for the thread that waits.
struct ItemOutcome {
  ErrorCode code =
      ErrorCode::ok;  ///< ok, conflict, duplicate, snapshot_too_old, …, unknown_outcome
  Csn csn;            ///< of the commit, when ok
  std::string text;   ///< why not
};

/// A local item on its way: made by who submits it, answered by its round. Its maker may use it again
/// when he alone refers to it: whoever answered it wrote nothing after `done`.
struct PendingItem {
  /// Room of larger bytes is given back when they have left.
  static constexpr std::size_t bytes_kept = 4096;

  RoundItem::Kind kind = RoundItem::Kind::transaction;
  NodeId origin;
  std::uint64_t sequence = 0;
  std::vector<std::byte> bytes;
  std::size_t head_room = 0;  ///< of `bytes`: not the item's, but for what goes before it
  int priority = 0;
  bool relayed = false;           ///< on behalf of another process of this host
  bool overrules_quorum = false;  ///< whose quorum callback has said yes
  bool of_engine = false;         ///< goes also where the program has stopped, while others go on
  /// Of a transaction: the RoundConsumer::history() of what it has read.
  std::uint64_t history = 0;
  ItemOutcome outcome;
  std::atomic<bool> done{false};

  /// What the item carries.
  [[nodiscard]] Bytes record() const { return Bytes(bytes).subspan(head_room); }
  void answer(ItemOutcome with) {
    EXDB_ASSERT(!done.load(std::memory_order_relaxed), "an item is answered once");
    outcome = std::move(with);
    done.store(true, std::memory_order_release);
  }
  /// They are in a batch, or will be in none.
  void let_go_of_bytes() {
    head_room = 0;
    if (bytes.capacity() >= LargeBuffers::buffer_bytes_min)
      LargeBuffers::shared().give(std::move(bytes));
    empty_keeping(bytes, bytes_kept);
  }
};

/// Why nothing is committed that was read in a history that is no more here: csns mean something
/// within one history only, so no certificate could be given.
inline Status history_given_up() {
  return {ErrorCode::conflict,
          "conflict: this node has given up the history that the transaction has read for that of "
          "other nodes, as happens where a quorumCallback has let nodes go on without a majority; "
          "run the transaction again"};
}

/// An item that nobody else refers to: `spare` if it is such a one, else a new one, which becomes the
/// spare.
inline const std::shared_ptr<PendingItem>& unshared_item(std::shared_ptr<PendingItem>& spare) {
  if (!spare || spare.use_count() != 1) {
    spare = std::make_shared<PendingItem>();
  } else {
    spare->outcome = {};
    spare->let_go_of_bytes();
    spare->done.store(false, std::memory_order_relaxed);
  }
  return spare;
}

}  // namespace exdb
