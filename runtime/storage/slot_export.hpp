// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Every slot that was ever used, as of one csn: its row, or that it is empty and since when. What a
// second replica needs to become equal (Storage::install): slots without a row count, too, for
// certification asks for their newest csn (I6 of slots.hpp).
//
// The csn of a removal is kept in the slot alone, and overwritten when the slot is used again; the
// chain does not keep it, for a removal that hides nothing is freed. Therefore the writer notes the
// csn of each slot that it uses again while an export goes on (ReusedSlots), and next() gives these
// after all others. A list of all empty slots taken at the begin was rejected: it stops the writer
// for as long as that takes, a second with ten million of them.
//
// Invariants
//   I1  For each slot with newest csn C > 0 at csn(): one ExportedSlot with the row of then, or
//       none; and the csn that it had then. Slots used after csn() for the first time are left out.
//   I2  The writer notes a slot before it overwrites the slot's csn: who sees the new csn finds the
//       note.
// Order: class by class, ascending slots; at the end, in no order, slots that were used again
//   meanwhile. An empty slot may come twice, the same both times.
// Threads: begun by the writer, read by any one thread beside the writer that goes on.
// Cost: next() as Snapshot::row(); the writer pays a look at an empty list for each insert, and a
//   note (16 bytes) for each slot used again while the export lives.
#pragma once
#include <mutex>
#include <optional>
#include <vector>

#include "storage/snapshot.hpp"

namespace exdb {

struct ExportedSlot {
  ClassId cls;
  SlotId slot;
  Csn csn;                   ///< of the row, or of its removal
  std::optional<Bytes> row;  ///< valid while the export lives
};

/// Slots that were empty at a csn and are used again since, with the csn that the writer overwrote.
class ReusedSlots {
 public:
  explicit ReusedSlots(Csn at) : at_(at) {}
  /// The writer, before the csn of the slot is overwritten. `csn` is that one.
  void note(ClassId cls, SlotId slot, Csn csn);
  /// What was noted since the last take().
  [[nodiscard]] std::vector<ExportedSlot> take();

 private:
  const Csn at_;
  std::mutex mutex_;
  std::vector<ExportedSlot> noted_;
};

class SlotExport {
 public:
  [[nodiscard]] Csn csn() const { return snapshot_.csn(); }
  /// The state that is exported: indexes, too, may be read at it.
  [[nodiscard]] const Snapshot& snapshot() const { return snapshot_; }
  /// How many slots next() gives, but for those that come twice: all that were ever used.
  [[nodiscard]] std::uint64_t slots_at_most() const {
    std::uint64_t sum = 0;
    for (const auto end : ends_) sum += end;
    return sum;
  }
  /// The next slot; none at the end.
  [[nodiscard]] std::optional<ExportedSlot> next();

 private:
  friend class Storage;
  SlotExport(Snapshot snapshot, std::shared_ptr<ReusedSlots> reused);
  [[nodiscard]] std::optional<ExportedSlot> next_in_place();

  Snapshot snapshot_;
  std::shared_ptr<ReusedSlots> reused_;
  std::vector<std::uint64_t> ends_;  ///< by class: one above the highest slot used at csn()
  std::size_t cls_ = 0;
  std::uint64_t slot_ = 0;  ///< where next() goes on
  bool walked_ = false;
  std::vector<ExportedSlot> late_;
};

}  // namespace exdb
