// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A replica as membership sees it: where a state is taken from for a node that joins, and put on a
// node that does. The bytes are those of snapshot_stream.
//
// Invariants
//   I1  What comes is seen by nobody until all of it is there; then it takes the place of the whole
//       agreed state at once. Pins and open transactions go on; of another history (`parted`), which
//       alone may be older, as R7 of the replica says.
//   I2  Indexes are built by a thread of their own, on a replica that nobody else has: a node is not
//       silent for the seconds that a hundred million rows take.
// Threads: under the replica's lock; a stream too. drop(), begin() and the destructor wait for the
//   thread that builds: at most for the index at which it is.
// Failure: a Status of snapshot_stream's; the replica is as it was.
// Cost: open() and add() as there. A node that takes a state holds both until it is whole.
#pragma once
#include <functional>
#include <future>
#include <memory>
#include <stop_token>

#include "cluster/state_transfer.hpp"
#include "replica/snapshot_stream.hpp"

namespace exdb {

class ReplicaState final : public StateSource, public StateSink {
 public:
  /// `options`, `self`: as the replica was made with.
  ReplicaState(Replica& replica, std::shared_ptr<const Dictionary> dictionary,
               StorageOptions options, NodeId self, SnapshotBounds bounds)
      : replica_(replica),
        dictionary_(std::move(dictionary)),
        options_(std::move(options)),
        self_(self),
        bounds_(bounds) {}

  /// Told, while a state of progress_rows_min rows or more comes, at each tenth of it: rows that are
  /// here, rows there are. Under the replica's lock.
  using Progress = std::function<void(std::uint64_t rows, std::uint64_t of)>;
  static constexpr std::uint64_t progress_rows_min = 10'000;
  void tell_progress(Progress tell) { tell_ = std::move(tell); }

  Result<std::unique_ptr<StateStream>> open(RoundHistory::Chain upto) override;
  ~ReplicaState() override { drop(); }
  void begin(bool parted) override;
  Status add(Bytes chunk) override;
  Status finish(RoundHistory::Chain upto) override;
  Result<bool> ready() override;
  void drop() override;

 private:
  Replica& replica_;
  const std::shared_ptr<const Dictionary> dictionary_;
  const StorageOptions options_;
  const NodeId self_;
  const SnapshotBounds bounds_;
  std::unique_ptr<SnapshotReader> coming_;
  std::stop_source stop_;
  std::future<Result<std::unique_ptr<Replica>>> building_;  ///< of coming_
  bool parted_ = false;                                     ///< as in begin()
  Progress tell_;
  std::uint64_t tenths_told_ = 0;
};

}  // namespace exdb
