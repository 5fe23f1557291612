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

  RowId id;
  State state = State::inserted;
  bool settled = false;          ///< its keys are in the ordered sets
  bool sent = false;             ///< travelled ahead in a fragment, unchanged since
  bool sent_once = false;        ///< travelled ahead, perhaps in an older form
  std::size_t unsent_bytes = 0;  ///< of it, in the sum that Fragments keeps
  Csn base;                      ///< updated, removed: the snapshot at which the row was read
  RowBuilder builder;
  std::vector<KeyBytes> keys;  ///< as in the ordered sets, in the order of the class's indexes

  [[nodiscard]] bool live() const { return state == State::inserted || state == State::updated; }
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
  };
  RowBuilder spare_builder();
  WorkEntry new_entry(const ClassDef& type, RowId id);
  WorkEntry new_entry(const ClassDef& type, RowId id, Bytes row);
  void unsettle(WorkEntry& entry, const ClassDef& type);
  void append_op(WorkEntry& entry, std::vector<WriteOp>& ops);
  WorkEntry& add(const ClassDef& type, WorkEntry&& entry, std::size_t at);

  const Dictionary& dictionary_;
  std::deque<WorkEntry> entries_;
  std::vector<ClassWork> classes_;
  std::map<IndexId, Keys> keys_;
  std::vector<RowBuilder> spare_builders_;  ///< of the transaction before, if it was small
};

}  // namespace exdb
