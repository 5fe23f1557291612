// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The state after a round of the past, made again from the files of a folder that is only looked at.
//
// Invariants
//   P1  What is made is what every node had after that round: each transaction is certified again, and
//       each digest that a member wrote into a later batch is compared with that of the state of then.
//   P2  Nothing in the folder changes.
// Threads: none.
// Failure: as recovery.hpp; not_found when the files do not reach the round, naming those they do;
//   inconsistent when a digest differs, naming its round and member.
// Cost: the checkpoint and the rounds after it, once.
#pragma once
#include <deque>
#include <functional>

#include "durability/recovery.hpp"
#include "replica/snapshot_stream.hpp"

namespace exdb {

struct ReplayBounds {
  std::optional<Round> upto;  ///< none: the last
  /// The state is made from a checkpoint at or before this one; none: at or before `upto`.
  std::optional<Round> base_upto;
};

struct Replayed {
  std::unique_ptr<Replica> replica;
  Round checkpoint, round;
  std::uint64_t rounds = 0, digests = 0;
  std::vector<std::string> passed_over;
};

/// Told of each batch that is applied.
class ReplayWatch {
 public:
  virtual ~ReplayWatch() = default;
  virtual Status before(Round round, std::span<const RoundItem> items, Replica& replica) = 0;
  virtual Status after(std::span<const RoundItem> items,
                       const std::vector<ItemOutcome>& outcomes) = 0;
};

/// `watch` may be null.
Result<Replayed> replay(Folder& folder, const DatabaseIdentity& identity,
                        const std::shared_ptr<const Dictionary>& dictionary,
                        const StorageOptions& storage, const ReplayBounds& bounds,
                        ReplayWatch* watch);

}  // namespace exdb
