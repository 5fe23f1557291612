// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where the state of another node goes at a node on disk: into a replica, as in memory, and at the same
// time into a file of the folder, by a thread of its own.
//
// Invariants
//   X1  A state is ready only when its file is whole and safe under the name of a state that has
//       arrived; it counts from the step on in which the history begins anew (StableHistory H4).
//   X2  What waits to be written is bounded: beyond waiting_bytes_max add() waits, and with it who gives.
// Threads: as StateSink, and the one that writes.
// Failure: that of the file; the state in use stays, and so does what is in the folder.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "durability/arrived_state.hpp"

namespace exdb {

class StoredState final : public StateSink {
 public:
  /// `sink`, `folder` outlive it. `marks`: as StableHistory.
  StoredState(StateSink& sink, Folder& folder, DatabaseIdentity identity,
              std::function<Marks()> marks)
      : sink_(sink), folder_(folder), identity_(identity), marks_(std::move(marks)) {}
  ~StoredState() override { end_writing(); }

  void begin(bool parted) override;
  Status add(Bytes chunk) override;
  Status finish(RoundHistory::Chain upto) override;
  Result<bool> ready() override;
  void drop() override;
  /// What comes is not wanted any more; the folder is left alone from when this returns.
  void end_writing();

 private:
  static constexpr std::size_t waiting_bytes_max = std::size_t{64} << 20;

  void run(const std::stop_token& stop, RoundHistory::Chain at);
  Status write(const std::stop_token& stop, RoundHistory::Chain at);

  StateSink& sink_;
  Folder& folder_;
  const DatabaseIdentity identity_;
  const std::function<Marks()> marks_;

  std::mutex mutex_;  ///< of what follows
  std::condition_variable_any changed_;
  std::deque<std::vector<std::byte>> waiting_;  ///< an empty one is the end
  std::size_t waiting_bytes_ = 0;
  bool done_ = false;
  Status failure_;

  std::jthread writer_;
};

}  // namespace exdb
