// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The writer of a storage: what Storage says of its writer's methods is said there, and done here.
//
// Invariants
//
//   I1  Every index of the class holds the key of every newest row; a hash index also the keys that
//       rows of snapshots carry, each entry until a hash_entry of the Reclaimer finds that no
//       version of the slot carries the key.
//   I2  A change is made in this order: index entries, then the version. So a reader that sees a
//       version finds it.
//   I3  Deaths handed to the Reclaimer are csns not published yet, or (of an entry held on) just
//       published.
//
// Threads: one.
#pragma once
#include <deque>
#include <functional>
#include <set>
#include <tuple>

#include "base/hash.hpp"
#include "storage/core.hpp"
#include "storage/slot_export.hpp"
#include "storage/storage.hpp"

namespace exdb {

/// The writer's side of a SlotGuess. The offset is found by majority vote (Boyer and Moore), so rows
/// out of order at the beginning do not matter; how many rows keep to it is counted, those from
/// before it was chosen not, so the share is never less than it seems.
class SlotGuesser {
 public:
  /// A row with `key` lies in `slot` from now on, or until now; `rows` there are of the class.
  void enter(std::uint64_t key, SlotId slot, std::uint64_t rows, SlotGuess& guess);
  void leave(std::uint64_t key, SlotId slot, std::uint64_t rows, SlotGuess& guess);

 private:
  void decide(std::uint64_t rows, SlotGuess& guess) const;
  std::uint64_t offset_ = 0;
  std::uint64_t votes_ = 0;
  std::uint64_t kept_ = 0;  ///< rows that lie at key - offset_, at least
};

class StorageWriter {
 public:
  StorageWriter(StorageCore& core, Offset first_free,
                const std::function<bool(const ClassDef&)>& holds);

  [[nodiscard]] Csn applied() const { return applied_; }
  [[nodiscard]] Csn newest_csn(ClassId cls, SlotId slot) const {
    return slots_[cls.value].newest_csn(slot);
  }
  [[nodiscard]] std::optional<Bytes> newest_row(ClassId cls, SlotId slot) const {
    return slots_[cls.value].newest_row(slot);
  }
  [[nodiscard]] SlotId newest_owner(IndexId index, Bytes key) const;
  void newest_owners(IndexId index, Bytes key, std::vector<SlotId>& out) const;
  void fetch_key(IndexId index, Bytes key) const {
    if (const auto& hash = indexes_[index.value].hash) hash->prefetch_for_insert(hash_bytes(key));
  }

  SlotId insert(ClassId cls, Bytes row, Csn csn);
  void update(ClassId cls, SlotId slot, Bytes row, Csn csn);
  void remove(ClassId cls, SlotId slot, Csn csn);
  void publish(Csn csn);

  void install(ClassId cls, SlotId slot, Csn csn, Bytes row);
  void install_emptied(ClassId cls, SlotId slot, Csn csn);
  bool finish_install(Csn applied, const std::stop_token& stop);
  /// From now on slots used again are noted there, as long as somebody else holds it.
  void note_reused(const std::shared_ptr<ReusedSlots>& reused);

  [[nodiscard]] std::uint64_t digest() const { return digest_; }
  void set_index_changes(IndexChanges* sink) { changes_ = sink; }
  void check() const;

 private:
  /// One of the two, none for a list.
  struct Index {
    std::optional<HashIndex> hash;
    std::optional<OrderedIndex> ordered;
    SlotGuesser guesser;
  };

  using EntryName = std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>;  // index, slot, hash

  template <class See>
  SlotId look_up_newest(IndexId index, Bytes key, See&& see) const;
  void enter_key(IndexId index, Bytes key, SlotId slot, Csn csn);
  void watch_key(IndexId index, Bytes row, SlotId slot, bool enters);
  void leave_key(IndexId index, Bytes key, SlotId slot, Csn csn, Csn born);
  void begin(Csn csn);
  void begin_filling(Csn csn);
  void fill_hash(const IndexDef& definition, Csn csn);
  void fill_ordered(const IndexDef& definition, Csn csn);
  void tell_reused(ClassId cls, SlotId slot);
  static void collect_one(void* self, const Garbage& garbage);
  void collect_entry(const Garbage& garbage);

  StorageCore& core_;
  Allocator allocator_;
  Reclaimer reclaimer_;
  std::deque<SlotTable> slots_;  ///< by class; deque: neither moves
  std::deque<Index> indexes_;    ///< by id
  IndexChanges* changes_ = nullptr;
  Csn applied_, published_;
  Csn filled_;  ///< the newest csn that install() brought, until finish_install()
  std::vector<std::weak_ptr<ReusedSlots>> exports_;
  std::uint64_t digest_ = 0;
  std::uint64_t publishes_ = 0;
  std::size_t garbage_left_ = 0;  ///< what the last reclaiming left
  /// Hash entries that older versions need: held by a record of the Reclaimer each (held_entries_),
  /// which is retired after the reclaiming that made it (still_seen_).
  std::set<EntryName> held_entries_;
  std::vector<Garbage> still_seen_;
  KeyBytes key_, key_before_;
};

}  // namespace exdb
