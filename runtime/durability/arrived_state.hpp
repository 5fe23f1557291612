// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The state of another node in the folder of one that takes it: a checkpoint that is written as its
// chunks come, and takes the place of all that was there when the log begins anew after it.
//
//   arrived.new       chunks come
//   arrived-ROUND     all are there, synced, and were read again; until now it counts for nothing
//   log-N             begins anew after that round (RoundLog L8): from here on it is the state
//   checkpoint-ROUND  its name from then on; what was there before is removed
//
// Invariants
//   A1  At every moment the folder has one state that counts: the one before until the new log has its
//       name, and the one that arrived from then on.
//   A2  In the step between the last two no checkpoint of the former state remains that a recovery
//       could take for one of this.
// Threads: one at a time.
// Failure: as file.hpp; what was begun is removed by the next recovery.
// Cost: the state written once and read once.
#pragma once
#include "durability/checkpoint.hpp"

namespace exdb {

/// `<name>.new` of what comes.
inline constexpr const char* arriving_name = "arrived";
[[nodiscard]] std::string arrived_name(Round round);

class ArrivingState {
 public:
  /// `at`, `marks`: for the head. Removes what a former one has left.
  static Result<std::unique_ptr<ArrivingState>> begin(Folder& folder,
                                                      const DatabaseIdentity& identity,
                                                      RoundHistory::Chain at, Marks marks);
  /// The next chunk. Blocks for the device now and then.
  Status add(Bytes chunk);
  /// All have come: it has its name, safely. Blocks. `stop`: with interrupted then.
  Status finish(const std::stop_token& stop);
  [[nodiscard]] std::uint64_t bytes() const { return writer_.bytes(); }

 private:
  ArrivingState(Folder& folder, FileHead head, std::unique_ptr<File> file);

  Folder& folder_;
  const FileHead head_;
  std::unique_ptr<File> file_;
  CheckpointWriter writer_;
  std::uint64_t synced_ = 0;
};

/// Removes one that has arrived, or not wholly, and is not wanted any more.
Status drop_arrived(Folder& folder);
/// The log has begun anew after it: the last two of the steps above, but for the log.
Status take_arrived(Folder& folder, Round round);
/// The same for a recovery: finishes what a crash has left, or removes what counts for nothing.
Status settle_arrived(Folder& folder, const DatabaseIdentity& identity);
/// For who only looks: the name of a state that has taken the place of all checkpoints already.
Result<std::optional<std::string>> arrived_in_force(Folder& folder,
                                                    const DatabaseIdentity& identity);

}  // namespace exdb
