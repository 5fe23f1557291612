// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows of a snapshot that is pinned already, as the chunks of a snapshot stream: of a state of the
// past, from which nobody goes on. So it has no conflict log, no outcomes, no empty slots and no csns of
// rows: a replica made of it is to be read, and not to be given rounds.
//
// Invariants
//   I1  SnapshotReader accepts it, and makes a replica with the rows, slots and digest of then.
// Threads: next() by any one thread, beside the writer.
// Cost: O(rows); one chunk in memory.
#pragma once
#include "cluster/state_transfer.hpp"
#include "replica/named_snapshots.hpp"
#include "replica/snapshot_stream.hpp"

namespace exdb {

class PinnedStream final : public StateStream {
 public:
  /// `snapshot` has a pin. `clustered`: local classes are left out.
  PinnedStream(std::shared_ptr<const Dictionary> dictionary, NamedSnapshot snapshot, bool clustered,
               SnapshotBounds bounds = {});
  bool next(std::vector<std::byte>& chunk) override;

 private:
  [[nodiscard]] bool next_row();
  void fill(std::vector<std::byte>& chunk, SnapshotChunk::Kind kind);

  const std::shared_ptr<const Dictionary> dictionary_;
  const NamedSnapshot snapshot_;
  const bool clustered_;
  const SnapshotBounds bounds_;
  std::uint32_t number_ = 0, objects_ = 0;
  std::vector<std::byte> payload_;
  std::uint32_t cls_ = 0;
  SlotId slot_;  ///< where the walk goes on
  std::uint64_t rows_ = 0;
  bool ended_ = false;
  Yielding yielding_;
};

}  // namespace exdb
