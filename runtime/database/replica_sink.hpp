// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Makes a replica of what a recovery reads: of the chunks of a checkpoint, and of rounds. A log is
// its own process's, or has come from one of the same job, under checksums, a chain and digests.
//
// Invariants
//   I1  Rounds are applied as the node applied them: all items of a round together, in the agreed
//       order, under the oldest snapshot that any member named so far.
//   I2  A round is refused when the digests that its batches carry are not those of the states here,
//       as the members of the round would have judged it (Member I2). Those of rounds before the one
//       where the reading began are not known.
// Threads: one.
#pragma once
#include <deque>

#include "durability/recovery.hpp"
#include "replica/snapshot_stream.hpp"

namespace exdb {

class ReplicaSink final : public RecoverySink {
 public:
  /// `clustered`, `self`: as Replica::create(). `repeats`: as Replica::expect_repeats().
  ReplicaSink(std::shared_ptr<const Dictionary> dictionary, StorageOptions storage, bool clustered,
              NodeId self, bool repeats = false);

  Status begin() override;
  Status chunk(Bytes chunk) override { return reader_->add(chunk); }
  Status complete(RoundHistory::Chain at) override;
  Status round(const CompletedRound& round) override;
  [[nodiscard]] Replica& replica() { return *replica_; }
  std::unique_ptr<Replica> take() { return std::move(replica_); }

 private:
  [[nodiscard]] bool digests_fit(const CompletedRound& round) const;

  const std::shared_ptr<const Dictionary> dictionary_;
  const StorageOptions storage_;
  const bool clustered_;
  const NodeId self_;
  const bool repeats_;
  std::optional<SnapshotReader> reader_;
  std::unique_ptr<Replica> replica_;
  Csn horizon_;
  std::deque<std::uint64_t> digests_;  ///< after the newest rounds, the last one first
  std::vector<RoundItem> items_;
  std::vector<MemberId> members_;
  std::vector<ItemOutcome> outcomes_;
};

/// ok, or disk_schema, naming the first difference: the text that `folder` has is of another schema.
Status check_schema(const Folder& folder, const DatabaseIdentity& found, const std::string& text,
                    const Dictionary& dictionary);

}  // namespace exdb
