// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The memory of certification: which keys entered or left which index at which csn, back to a
// floor; and the csn of the last change of each class. It answers, for a serializable transaction,
// whether what it looked for was changed after its snapshot: phantoms included, since a key that
// was not there is looked for like any other.
//
// Kept in csn order, for pruning and for a transaction that has few changes behind it, as nearly all
// have; and, from the first question on that needs it, by key, with the newest csn of each, for one
// that looked at little while much was changed. A log alone makes every long transaction pay for all
// changes since it began, with the whole cluster waiting; the keys alone make one that read a whole
// index pay for every old change; keys in order before anybody asks were a fifth of what a row of a
// bulk load cost, where nobody was serializable.
//
// Invariants
//   C1  Every key change with csn > floor() is in the log.
//   C2  floor() is the same on every node after the same round: it follows from the agreed horizon
//       and the number of entries alone.
//   C3  A key is in keys_ exactly if one of the first in_order_ entries of the log names it, with the
//       csn of the last of them.
// Threads: the writer only.
// Cost: a change O(1), and O(log n) more if a question needs the order while it is in the log. A
//   question O(r · log n + keys of the log within the ranges), and never more than twice
//   O(changes since the snapshot · log r), beside that.
// Memory: 72 bytes a change, 120 bytes a key in order (and twice the key, if longer than 32).
#pragma once
#include <deque>
#include <map>
#include <memory_resource>
#include <optional>
#include <vector>

#include "storage/storage.hpp"
#include "transaction/record.hpp"

namespace exdb {

class ConflictLog final : public IndexChanges {
 public:
  /// More entries than this move the floor: a bound on memory. Agreed, like all that moves it.
  static constexpr std::size_t entries_max = std::size_t{1} << 21;

  explicit ConflictLog(const Dictionary& dictionary)
      : class_changed_(dictionary.classes().size()), keys_(&pool_) {}
  ConflictLog(const ConflictLog&) = delete;
  ConflictLog& operator=(const ConflictLog&) = delete;

  void key_changed(IndexId index, Bytes key, bool added, Csn csn) override;
  void class_changed(ClassId cls, Csn csn) { class_changed_[cls.value] = csn; }

  /// Nothing older than `horizon` will be asked for. Called once a round, with the agreed horizon.
  void prune(Csn horizon);

  [[nodiscard]] Csn floor() const { return floor_; }
  [[nodiscard]] Csn class_changed(ClassId cls) const { return class_changed_[cls.value]; }
  /// Entries in csn order.
  [[nodiscard]] std::size_t size() const { return log_.size(); }
  /// That are in order.
  [[nodiscard]] std::size_t keys() const { return keys_.size(); }

  struct Change {
    Csn csn;
    IndexId index;
    Bytes key;  ///< valid until the next change or prune()
  };
  /// A change after `snapshot` of a key within one of the ranges (which are of the form T2), if
  /// there is one.
  [[nodiscard]] std::optional<Change> changed_after(Csn snapshot,
                                                    std::span<const ReadRange> ranges) const;
  /// Keys and entries that changed_after() has looked at since the log was made.
  [[nodiscard]] std::uint64_t looked_at() const { return looked_at_; }

  // --- a whole log from and to a stream ---
  /// Calls each(Change) in csn order.
  template <class Each>
  void for_each(Each&& each) const {
    for (const auto& entry : log_) each(change_of(entry));
  }
  /// What the log of another node held, whose floor was `floor`. key_changed() with its changes
  /// follows. REQUIRES: empty.
  void restore(Csn floor, std::vector<Csn> class_changed);

 private:
  struct Key {
    IndexId index;
    KeyBytes bytes;
  };
  struct KeyView {
    IndexId index;
    Bytes bytes;
  };
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      if (a.index != b.index) return a.index < b.index;
      return compare_keys(a.bytes, b.bytes) < 0;
    }
  };
  using Keys = std::pmr::map<Key, Csn, Less>;
  struct Entry {
    Csn csn;
    IndexId index;
    KeyBytes key;
  };
  [[nodiscard]] static Change change_of(const Entry& entry) {
    return {entry.csn, entry.index, entry.key};
  }
  using Log = std::deque<Entry>;
  void drop_oldest();
  void put_in_order() const;
  [[nodiscard]] std::optional<Change> look_in_log(Log::const_iterator from,
                                                  std::span<const ReadRange> ranges) const;

  Log log_;  ///< ascending csn
  std::vector<Csn> class_changed_;
  Csn floor_;
  // Nodes come and go with every round: the general allocator would be most of a change's cost.
  mutable std::pmr::unsynchronized_pool_resource pool_;
  mutable Keys keys_;
  mutable std::size_t in_order_ = 0;  ///< entries, from the oldest on, whose keys are in keys_
  mutable std::uint64_t looked_at_ = 0;
};

}  // namespace exdb
