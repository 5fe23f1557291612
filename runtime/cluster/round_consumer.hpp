// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where rounds go: the replica, as the layer below it sees it.
//
// Invariants
//   I1  Rounds come in order, each once, all of them by one thread at a time.
// Threads: all functions under the caller's lock (the drive lock of the node), but for those that
//   say otherwise.
// Failure: a Status other than ok from apply_round stops the node: what it holds is behind then,
//   and stays as it is.
#pragma once
#include <span>
#include <vector>

#include "cluster/round_item.hpp"

namespace exdb {

/// The replica, as a node sees it.
class RoundConsumer {
 public:
  virtual ~RoundConsumer() = default;
  /// All items of one round in the agreed order. The outcome of item i is wanted when `mine[i]`;
  /// outcomes[i] is to be set then. Everything is applied and published on return. A Status other
  /// than ok stops the node.
  virtual Status apply_round(Round round, std::span<const RoundItem> items, Csn horizon,
                             const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) = 0;
  /// A member has left, or was expelled, for good: frees what it had sent in fragments, whatever
  /// their origins. After the last round that has anything of it, so at the same place in the order
  /// everywhere; never where nodes come back.
  virtual void forget(MemberId member) = 0;
  /// Where nodes come back: the next round is of these members. What others had sent in fragments is
  /// freed: whoever of them comes back begins anew. Before each round, so at the same place in the
  /// order everywhere; O(1) while nothing is kept.
  virtual void forget_others(std::span<const MemberId> members) = 0;
  [[nodiscard]] virtual std::uint64_t digest() const = 0;
  [[nodiscard]] virtual Csn oldest_snapshot()
      const = 0;  ///< of open local transactions that may still commit
  [[nodiscard]] virtual Csn published() const = 0;
  /// How often what was agreed here was given up for the state of another history
  /// (StateSink::begin()): csns of two have nothing to do with each other. From any thread.
  [[nodiscard]] virtual std::uint64_t history() const { return 0; }
};

}  // namespace exdb
