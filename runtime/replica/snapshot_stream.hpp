// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A replica's agreed state as a sequence of chunks, and a replica made of them: one codec for a node
// that joins, a checkpoint and a backup. Everything goes that a later round may ask for: rows in
// their slots with their csns, the csns of emptied slots (V1), the conflict log back to its floor
// (V3), parts of transactions that are still running, outcomes. Local classes do not: they are not
// agreed.
//
// Invariants
//   I1  The stream is the state at one csn C, that published when begin() was called. Log, parts and
//       outcomes are copied then, under the caller's lock; slots are read later from a pin of C
//       while the writer goes on (SlotExport I1), so rows are never copied under the lock.
//   I2  The replica that is made is equal to the one that was written at C: the same rounds after
//       it give the same outcomes, csns, slots and digest.
//   I3  A chunk holds at most bounds.objects objects and bounds.bytes bytes of them, or one object
//       that is larger.
//   I4  SnapshotReader gives a replica out only when every chunk has come, in order, and its rows
//       have the digest that the header promises. What it was given before is seen by nobody.
// Threads: begin() under the lock of the replica; next() by any one thread, beside the writer;
//   a reader by one thread.
// Failure: a Status that names the chunk and the reason. A reader that has failed stays so.
// Cost: begin() O(log + parts + outcomes), one pass over each, while the caller's lock is held: with
//   no serializable transaction open the log is the changes of a few rounds. next() O(chunk). The
//   pin keeps what the rounds since C supersede, once.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/low_priority.hpp"
#include "base/yielding.hpp"
#include "replica/replica.hpp"
#include "replica/snapshot_chunk.hpp"
#include "storage/slot_export.hpp"

namespace exdb {

struct SnapshotBounds {
  std::size_t objects = 4096;
  std::size_t bytes = std::size_t{1} << 20;
  int gives = 0;  ///< next() is in no hurry, and offers its processor: as Yielding is told
};

/// Of a state that is written to a file while others commit. All that is done with a chunk, one thing
/// after the other, is a step of the writing, and small ones stay in the caches: 64 KiB are a quarter
/// faster than 1 MiB.
constexpr SnapshotBounds file_bounds{4096, std::size_t{64} << 10, low_priority_gives};

class SnapshotWriter {
 public:
  /// `upto`: the round whose state this is, for who makes a replica of it. Fails as Storage::pin().
  /// REQUIRES: the replica's lock, between two rounds.
  static Result<SnapshotWriter> begin(const Replica& replica, RoundHistory::Chain upto,
                                      SnapshotBounds bounds = {});
  [[nodiscard]] Csn csn() const { return slots_.csn(); }
  /// The next chunk; false when there is none. Does not block.
  bool next(std::vector<std::byte>& chunk);

 private:
  SnapshotWriter(SlotExport slots, SnapshotBounds bounds)
      : slots_(std::move(slots)), bounds_(bounds), yielding_(bounds.gives) {}
  /// The next object is of this kind, and has at most so many bytes.
  void make_room(SnapshotChunk::Kind kind, std::size_t bytes);
  void add(SnapshotChunk::Kind kind, Bytes object);
  void flush();
  void add_header(const Replica& replica, RoundHistory::Chain upto);
  void add_changes(const Replica& replica);
  void add_parts(const Replica& replica);
  void add_outcomes(const Replica& replica);
  void add_slot(const ExportedSlot& slot);

  SlotExport slots_;
  SnapshotBounds bounds_;
  std::deque<std::vector<std::byte>> ready_;
  std::vector<std::byte> spare_;  ///< that the caller is done with, for the next chunk
  // The chunk that is being filled.
  SnapshotChunk::Kind kind_ = SnapshotChunk::Kind::header;
  std::uint32_t objects_ = 0;
  std::vector<std::byte> payload_;
  std::vector<std::byte> object_;
  std::uint32_t number_ = 0;
  std::uint64_t slot_objects_ = 0;
  bool ended_ = false;
  Yielding yielding_;
};

class SnapshotReader {
 public:
  /// `options`, `self`: of the replica that is made. `clustered`: local classes are not in the stream.
  SnapshotReader(std::shared_ptr<const Dictionary> dictionary, StorageOptions options, NodeId self,
                 bool clustered = true);
  /// The next chunk of the stream.
  Status add(Bytes chunk);
  [[nodiscard]] bool complete() const { return complete_; }
  /// Slots taken in so far.
  [[nodiscard]] std::uint64_t slots() const { return slots_; }
  /// Of the state that comes, once the first chunk has.
  [[nodiscard]] const std::optional<SnapshotHeader>& header() const { return header_; }
  /// Builds the indexes and gives the replica out. Fails when the stream is not complete, and with
  /// interrupted when it is told to stop: then after the index at which it is. O(rows).
  Result<std::unique_ptr<Replica>> finish(const std::stop_token& stop = {});

 private:
  Status take(const SnapshotChunk& chunk);
  Status take_header(const SnapshotChunk& chunk);
  Status take_change(ByteReader& in);
  Status take_part(ByteReader& in);
  Status take_outcomes(ByteReader& in);
  Status take_slot(ByteReader& in);
  Status take_end(ByteReader& in);
  Status install(ClassId cls, SlotId slot, Csn csn, std::optional<Bytes> row);
  Status fail(Status status);

  std::shared_ptr<const Dictionary> dictionary_;
  StorageOptions options_;
  NodeId self_;
  bool clustered_;
  std::optional<SnapshotHeader> header_;
  std::unique_ptr<Replica> replica_;
  SnapshotChunk::Kind last_ = SnapshotChunk::Kind::header;
  std::uint32_t chunks_ = 0;
  std::uint64_t parts_ = 0, slots_ = 0;
  Csn last_change_;
  bool complete_ = false;
  Yielding yielding_;
  Status failure_;
};

}  // namespace exdb
