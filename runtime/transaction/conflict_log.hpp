// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The memory of certification: which keys entered or left which index at which csn, back to a
// floor; and the csn of the last change of each class. It answers, for a serializable transaction,
// whether what it looked for was changed after its snapshot: phantoms included, since a key that
// was not there is looked for like any other.
//
// A log in csn order and not a tree by key: what has to be examined are the changes since the
// snapshot of a transaction, which is short-lived, so that the newest few entries decide; appending
// costs one copy of the key.
//
// Invariants
//   C1  Every key change with csn > floor() is in the log.
//   C2  floor() is the same on every node after the same round: it follows from the agreed horizon
//       and the number of entries alone.
// Threads: the writer only.
#pragma once
#include <deque>
#include <vector>

#include "storage/storage.hpp"
#include "transaction/record.hpp"

namespace exdb {

class ConflictLog final : public IndexChanges {
 public:
  /// More entries than this move the floor: a bound on memory (about 64 bytes and the key each).
  static constexpr std::size_t entries_max = std::size_t{1} << 21;

  explicit ConflictLog(const Dictionary& dictionary)
      : class_changed_(dictionary.classes().size()) {}

  void key_changed(IndexId index, Bytes key, bool added, Csn csn) override;
  void class_changed(ClassId cls, Csn csn) { class_changed_[cls.value] = csn; }

  /// Nothing older than `horizon` will be asked for. Called once a round, with the agreed horizon.
  void prune(Csn horizon);

  [[nodiscard]] Csn floor() const { return floor_; }
  [[nodiscard]] Csn class_changed(ClassId cls) const { return class_changed_[cls.value]; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  /// The first change after `snapshot` of a key within one of the ranges (which are of the form
  /// T2), or null.
  struct Entry {
    Csn csn;
    IndexId index;
    KeyBytes key;
  };
  [[nodiscard]] const Entry* changed_after(Csn snapshot, std::span<const ReadRange> ranges) const;

 private:
  std::deque<Entry> entries_;  ///< ascending csn
  std::vector<Csn> class_changed_;
  Csn floor_;
};

}  // namespace exdb
