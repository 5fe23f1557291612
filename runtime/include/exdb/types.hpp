// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The identifiers every layer speaks of, as strong types so that a round is never passed for a csn.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

namespace exdb {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// Where a transaction began: the number of the database, in the order of open (MPI: its rank).
struct NodeId {
  std::uint32_t value = 0;
  auto operator<=>(const NodeId&) const = default;
};

/// One member of the rounds: who posts batches, is waited for and counts in the quorum. Not the
/// same as the origin of a transaction, since a member may send for several of them (the leader of
/// a host for its ranks); over plain MPI each member sends for itself alone, and the numbers are
/// equal.
struct MemberId {
  std::uint32_t value = 0;
  auto operator<=>(const MemberId&) const = default;
};

/// Commit sequence number: one per committed transaction, dense, the same on every node. 0 = the
/// empty database.
struct Csn {
  std::uint64_t value = 0;
  auto operator<=>(const Csn&) const = default;
  [[nodiscard]] Csn next() const { return {value + 1}; }
  static constexpr Csn max() { return {std::numeric_limits<std::uint64_t>::max()}; }
};

/// Number of one exchange of batches. The first exchange of a cluster is round 1.
struct Round {
  std::uint64_t value = 0;
  auto operator<=>(const Round&) const = default;
  [[nodiscard]] Round next() const { return {value + 1}; }
};

/// Names a transaction for its life and beyond: unique in the cluster.
struct TxnId {
  NodeId origin;
  std::uint64_t sequence = 0;
  auto operator<=>(const TxnId&) const = default;
};

/// Index of a class in its Dictionary.
struct ClassId {
  std::uint32_t value = 0;
  auto operator<=>(const ClassId&) const = default;
};

/// Index of an index in its Dictionary (unique over all classes).
struct IndexId {
  std::uint32_t value = 0;
  auto operator<=>(const IndexId&) const = default;
};

/// Where a row lives: index of its slot within its class. The same on every replica (slots are
/// given out in commit order, lowest free one first). A slot is reused after its row was removed.
struct SlotId {
  std::uint64_t value = 0;
  auto operator<=>(const SlotId&) const = default;
  static constexpr SlotId none() { return {std::numeric_limits<std::uint64_t>::max()}; }
};

}  // namespace exdb
