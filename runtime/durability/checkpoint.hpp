// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A state in a file: the chunks of a snapshot stream as they go to a node that joins, each behind
//
//   at size
//    0  8   bytes of the chunk; 0 behind the last
//    8  4   CRC32C of the head of the file, all before, these 8 bytes and the chunk
//   12  4   zero
//
// Invariants
//   C1  A file under its final name is whole: it was written under another one, synced, read again
//       and found right, and only then renamed.
//   C2  What is there is kept until the new one has its name, safely. So a crash at any step leaves a
//       checkpoint, if there was one.
//   C3  A checksum covers all that comes before it: a chunk of another file, or in another place, is
//       found as surely as a flipped bit.
//   C4  Who commits beside the writing waits for no more than a step of it: writing and reading again are
//       done at a low priority (low_priority.hpp), and offer their processor at short intervals
//       (yielding.hpp); the name, and what is removed, at the caller's. They end also beside
//       threads that never sleep.
// Threads: write_checkpoint() by one thread beside the log; no lock is held. The chunks of `state` are
//   asked for by another, while this one waits.
// Failure: as file.hpp and file_head.hpp; interrupted. What was begun is removed, if that goes.
// Cost: the state written once and read once.
#pragma once
#include <functional>
#include <stop_token>

#include "cluster/state_transfer.hpp"
#include "durability/file_head.hpp"

namespace exdb {

/// The bytes of one, as they come; all else is its caller's.
class CheckpointWriter {
 public:
  CheckpointWriter(File& file, const FileHead& head);
  /// The next chunk; an empty one is the end. Nothing more after a failure.
  Status add(Bytes chunk);
  [[nodiscard]] std::uint64_t bytes() const { return offset_; }

 private:
  Status flush();

  File& file_;
  std::vector<std::byte> bytes_;
  std::uint64_t offset_ = 0;
  std::uint32_t crc_ = 0;
};

/// Gives a file its name: calls what it is given at a time when that may be done, or fails.
using NameIt = std::function<Status(const std::function<Status()>&)>;

/// Writes the checkpoint of `at`, of the chunks of `state`. Returns its bytes.
Result<std::uint64_t> write_checkpoint(Folder& folder, const DatabaseIdentity& identity,
                                       RoundHistory::Chain at, Marks marks, StateStream& state,
                                       const std::stop_token& stop, const NameIt& name_it = {});
/// The same under another name, for a state that is kept beside them.
Result<std::uint64_t> write_state(Folder& folder, const std::string& name,
                                  const DatabaseIdentity& identity, RoundHistory::Chain at,
                                  Marks marks, StateStream& state, const std::stop_token& stop,
                                  const NameIt& name_it = {});
/// Removes those of older rounds than `upto`, whose own is there. `going`: remove_file().
Status drop_checkpoints_before(Folder& folder, Round upto, OpenFiles* going = nullptr);

/// Its head alone.
Result<FileHead> read_checkpoint_head(Folder& folder, const std::string& name,
                                      const DatabaseIdentity& identity);

using EachChunk = std::function<Status(Bytes)>;

struct ReadCheckpoint {
  FileHead head;
  std::uint64_t bytes = 0, chunks = 0;
};
/// Reads one, checks all of it, and gives its chunks to `each` as they come. What `each` fails with
/// comes back with the path and the offset.
Result<ReadCheckpoint> read_checkpoint(Folder& folder, const std::string& name,
                                       const DatabaseIdentity& identity, const EachChunk& each);

}  // namespace exdb
