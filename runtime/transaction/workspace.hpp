// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What one transaction has written so far, kept apart from everybody until it commits: its rows,
// and their keys in order, so that its own reads and searches see its own writes at once. Beside
// it, what a serializable transaction has read.
//
// Invariants
//   W1  At most one Entry a row of the database; entries are never moved or freed before the
//       transaction ends, so that an index into them stays valid.
//   W2  After settle(cls), keys(index) holds exactly the keys of the live entries of that class.
//   W3  Moments grow. A cursor has the one that it began at: what was written, or given its keys,
//       at an earlier one was there when it began, and nothing else was.
// Threads: used by one thread at a time.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "schema/key.hpp"
#include "schema/row.hpp"
#include "transaction/hidden_runs.hpp"
#include "transaction/record.hpp"

namespace exdb {

/// Names a row within a transaction: a slot, or a new row (top bit set, then its entry).
struct RowId {
  static constexpr std::uint64_t new_bit = std::uint64_t{1} << 63;
  std::uint64_t value = 0;
  auto operator<=>(const RowId&) const = default;
  [[nodiscard]] bool is_new() const { return value & new_bit; }
  [[nodiscard]] SlotId slot() const { return {value}; }
  [[nodiscard]] std::size_t entry() const { return value & ~new_bit; }
  static RowId of(SlotId slot) { return {slot.value}; }
  static RowId of_new(std::size_t entry) { return {entry | new_bit}; }
};

struct WorkEntry {
  enum class State : std::uint8_t { inserted, updated, removed, cancelled };
  WorkEntry(RowId row_id, RowBuilder&& with) : id(row_id), builder(std::move(with)) {}
  WorkEntry(RowId row_id, const ClassDef& type, Bytes row) : id(row_id) {
    builder.refer_to(type, row);
  }

  RowId id;
  State state = State::inserted;
  bool settled : 1 = false;      ///< its keys are in the ordered sets
  bool sent : 1 = false;         ///< travelled ahead in a fragment, unchanged since
  bool sent_once : 1 = false;    ///< travelled ahead, perhaps in an older form
  bool keys_free : 1 = false;    ///< inserted: its unique keys were looked at, and are as they were
  std::uint32_t key_parts = 0;   ///< inserted: parts of unique keys that were assigned
  std::size_t unsent_bytes = 0;  ///< of it, in the sum that Fragments keeps
  Csn base;                      ///< updated, removed: the snapshot at which the row was read
  Moment written;                ///< first
  Moment keyed;                  ///< settled: its keys came into the ordered sets
  RowBuilder builder;
  std::vector<KeyBytes> keys;  ///< as in the ordered sets, in the order of the class's indexes

  [[nodiscard]] bool live() const { return state == State::inserted || state == State::updated; }
};

/// What has left the ordered set of an index since a walk over it began, and was there then: rows
/// that were changed meanwhile. Kept by the workspace for as long as the walk holds it.
struct PastKeys {
  Moment moment;    ///< of the walk
  KeyRange bounds;  ///< of the walk
  std::set<std::pair<KeyBytes, RowId>> keys;
};

class Workspace {
 public:
  explicit Workspace(const Dictionary& dictionary)
      : dictionary_(dictionary), classes_(dictionary.classes().size()) {}
  void clear();

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] WorkEntry& entry(std::size_t at) { return entries_[at]; }
  [[nodiscard]] const std::deque<WorkEntry>& entries() const { return entries_; }
  /// The entry of a row, or null when this transaction has not written it.
  [[nodiscard]] WorkEntry* find(ClassId cls, RowId row);
  [[nodiscard]] bool touches(ClassId cls) const { return classes_[cls.value].written; }
  /// New rows of a class, in order of creation.
  [[nodiscard]] const std::vector<std::size_t>& inserted(ClassId cls) const {
    return classes_[cls.value].inserted;
  }

  WorkEntry& insert(const ClassDef& type);
  /// `row`: in canonical form, in memory of rows_room().
  WorkEntry& insert(const ClassDef& type, Bytes row);
  /// So many bytes for rows, which stay until the transaction ends. What is in them has no meaning.
  std::byte* rows_room(std::size_t bytes);
  /// First write to a row of the snapshot.
  WorkEntry& update(const ClassDef& type, SlotId slot, Bytes row, Csn base);
  /// As though the last call, which was update(), had not been made.
  void take_back_update(const ClassDef& type);
  void remove(const ClassDef& type, SlotId slot, Csn base);
  void remove(WorkEntry& entry, const ClassDef& type);
  /// To be called before a builder is written to: its keys will be taken anew.
  void touch(WorkEntry& entry, ClassId cls);

  /// (key, row) of the live entries of one index. Call settle first.
  using Keys = std::set<std::pair<KeyBytes, RowId>>;
  void settle(ClassId cls);
  [[nodiscard]] const Keys& keys(IndexId index) const;

  /// A cursor begins (W3). To walk an ordered set, settle first.
  Moment begin_walk() { return {++moment_.value}; }
  /// Of a walk that has begun over keys(index). Cost: until it is let go, each key of the index that
  /// leaves the set is copied if the walk may have to give it.
  std::shared_ptr<PastKeys> watch(IndexId index, Moment moment, const KeyRange& bounds);
  /// Grows whenever an iterator into keys() may have become invalid.
  [[nodiscard]] std::uint64_t erasures() const { return erasures_; }
  /// Runs of rows of a snapshot of this csn that the writes hide; null when those of a newer one are
  /// kept. In the order of an index, and in storage order.
  [[nodiscard]] HiddenRuns* hidden(IndexId index, Csn csn) { return walked_[index].hidden.at(csn); }
  [[nodiscard]] HiddenRuns* hidden(ClassId cls, Csn csn) {
    return classes_[cls.value].hidden.at(csn);
  }
  /// Rows and entries of indexes, of snapshots and of this, that walks looked at so far.
  std::uint64_t entries_walked = 0;

  /// The class an entry belongs to.
  [[nodiscard]] const ClassDef& type_of(const WorkEntry& entry) const {
    return entry.builder.view().type();
  }

  /// Appends the ops of entries that have not been sent, of classes for which `local` is as given.
  /// Bytes are views into the builders.
  void ops(bool local, bool clustered, std::vector<WriteOp>& ops);
  /// Ops of these entries, in their order. Bytes are views into the builders.
  std::vector<WriteOp> ops_of(std::span<WorkEntry* const> entries);

  // --- what a serializable transaction has read ---
  std::vector<ReadRange> ranges;
  std::vector<ReadRow> rows;
  std::vector<ClassId> whole_classes;

 private:
  struct ClassWork {
    bool written = false;
    std::unordered_map<std::uint64_t, std::size_t> by_slot;
    std::vector<std::size_t> inserted;
    std::vector<std::size_t> unsettled;
    HiddenRuns hidden;
  };
  struct IndexWalks {
    std::vector<std::weak_ptr<PastKeys>> watched;
    std::size_t clean_at = 16;  ///< so many: those that were let go are taken out
    HiddenRuns hidden;
  };
  RowBuilder spare_builder();
  WorkEntry new_entry(const ClassDef& type, RowId id);
  WorkEntry new_entry(const ClassDef& type, RowId id, Bytes row);
  void unsettle(WorkEntry& entry, const ClassDef& type);
  void keep_for_walks(IndexId index, const WorkEntry& entry, const KeyBytes& key);
  void append_op(WorkEntry& entry, std::vector<WriteOp>& ops);
  WorkEntry& add(const ClassDef& type, WorkEntry&& entry, std::size_t at);

  const Dictionary& dictionary_;
  std::deque<WorkEntry> entries_;
  bool wrote_ = false;  ///< add() was called
  std::vector<ClassWork> classes_;
  std::map<IndexId, Keys> keys_;
  std::map<IndexId, IndexWalks> walked_;
  Moment moment_;
  std::uint64_t erasures_ = 0;
  std::vector<std::vector<std::byte>> rooms_;  ///< of rows_room()
  std::vector<RowBuilder> spare_builders_;     ///< of the transaction before, if it was small
};

}  // namespace exdb
