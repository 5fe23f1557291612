// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Storage is one replica: the rows of all classes in version chains, and the indexes that point at
// them, in one Segment. One writer installs the rounds, any number of readers (threads, other
// processes) read snapshots without a lock.
//
// Invariants
//
//   I1  A snapshot at csn S sees, for every slot, the version with the largest csn <= S, and
//       nothing of any csn > S.
//   I2  The csn of a version never exceeds applied(); readers never pin a csn above published();
//       published() <= applied().
//   I3  An index lookup at S gives exactly the slots whose version at S carries the key.
//   I4  The same calls with the same arguments give the same slots and the same digest on every
//       replica.
//
// Threads: methods of "the writer" by one thread at a time (the caller holds the apply lock), the
//   rest by any.
// Processes: a reader process attaches to a shared segment and has everything but the writer's
//   methods.
// Failure: memory that cannot be had throws Error(no_memory) from insert/update/remove; the replica
//   then is behind the others and must not go on (its caller stops the node).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "exdb/schema.hpp"
#include "storage/segment.hpp"

namespace exdb {

class SlotExport;  // slot_export.hpp
class Snapshot;
struct StorageCore;  // core.hpp: what readers need, of a created or attached storage

struct StorageOptions {
  SegmentOptions segment;
  /// States (csns) that may be pinned at the same time: each takes a place, for each process that
  /// reads it, however many snapshots it has of it; and a place more for each thread that keeps
  /// some (pins.hpp, I2).
  std::uint32_t readers_max = 1024;
  /// Which classes live here; empty = all. Indexes of the others get no room.
  std::function<bool(const ClassDef&)> holds = {};
};

/// Told of every key that enters or leaves an index (not of updates that leave the key as it was).
class IndexChanges {
 public:
  virtual ~IndexChanges() = default;
  virtual void key_changed(IndexId index, Bytes key, bool added, Csn csn) = 0;
};

struct StorageStatistics {
  std::uint64_t bytes_reserved = 0;  ///< of the segment, usable
  std::uint64_t bytes_used = 0;      ///< given out by the allocator
  std::uint64_t garbage = 0;         ///< versions, nodes and entries that wait for a pin to go
  std::uint64_t rows = 0;
};

class Storage {
 public:
  /// A database keeps its local classes in a second storage: see StorageOptions::holds.
  static Result<std::unique_ptr<Storage>> create(std::shared_ptr<const Dictionary> dictionary,
                                                 const StorageOptions& options);
  /// For another process: readers only. Refuses a segment made for another dictionary.
  static Result<std::unique_ptr<Storage>> attach(std::shared_ptr<const Dictionary> dictionary,
                                                 int fd);
  ~Storage();

  // --- readers ---
  [[nodiscard]] Csn published() const;
  /// Pins the newest published csn. Fails with no_memory, naming the limit and the
  /// remedy, when readers_max places are taken.
  Result<Snapshot> pin();
  /// An older csn, which somebody else (of another process) keeps pinned: it must be known after this
  /// that he still did. Takes a place of its own.
  Result<Snapshot> pin_older(Csn csn);
  [[nodiscard]] const Dictionary& dictionary() const;
  [[nodiscard]] int fd() const;
  [[nodiscard]] StorageStatistics statistics() const;
  /// The csns of which snapshots are held, ascending, each once: as of some moment of the call.
  /// O(places in use).
  [[nodiscard]] std::vector<Csn> pinned() const;

  // --- the writer: reads of the newest state, installed or not yet published ---
  [[nodiscard]] Csn applied() const;
  /// csn of the slot's newest version (its removal counts); Csn{0} for a slot never used. Also for
  /// readers, who get that of some moment of the call.
  [[nodiscard]] Csn newest_csn(ClassId cls, SlotId slot) const;
  /// Row bytes of the newest version, none when it is removed or was never there. Valid until the
  /// next write.
  [[nodiscard]] std::optional<Bytes> newest_row(ClassId cls, SlotId slot) const;
  /// Row bytes at `csn` if a snapshot of that csn is pinned, so that its version cannot have gone;
  /// none otherwise, or without a row. For messages: O(pins). Valid until the next write.
  [[nodiscard]] std::optional<Bytes> pinned_row(ClassId cls, SlotId slot, Csn csn) const;
  /// The slot that carries `key` in the newest state: SlotId::none() if nobody. REQUIRES: a unique
  /// index.
  [[nodiscard]] SlotId newest_owner(IndexId index, Bytes key) const;
  /// Whether two rows of its class certainly have the same key, by a look at their fixed parts.
  [[nodiscard]] bool key_unchanged(IndexId index, Bytes before, Bytes after) const;
  /// Slots that carry `key` in the newest state, any index kind but list.
  void newest_owners(IndexId index, Bytes key, std::vector<SlotId>& out) const;

  /// Asks for the memory of a slot, then (when that has come) of its newest version: who knows the
  /// next few slots it will read or write calls fetch_slot for all of them, then fetch_row for all
  /// of them, and saves most of the waiting.
  void fetch_slot(ClassId cls, SlotId slot) const;
  void fetch_row(ClassId cls, SlotId slot) const;
  /// Likewise the place of a key that will be looked for, and then enter, in a unique hash.
  void fetch_key(IndexId index, Bytes key) const;

  // --- the writer: changes. csn >= applied() and > published(), and becomes applied() ---
  /// REQUIRES: `row` is valid for the class, no unique key of it is taken.
  SlotId insert(ClassId cls, Bytes row, Csn csn);
  /// REQUIRES: the slot holds a row.
  void update(ClassId cls, SlotId slot, Bytes row, Csn csn);
  void remove(ClassId cls, SlotId slot, Csn csn);
  /// Makes everything up to applied() visible, then reclaims a bounded amount.
  void publish();
  /// As publish(), up to `csn` only when nothing above is installed; advances applied() to csn for
  /// commits that wrote nothing here, so that csns stay dense.
  void publish(Csn csn);

  // --- the writer: a whole state from and to a stream ---
  /// Begins to give out every slot as of now, at csn published(): see slot_export.hpp. Fails as
  /// pin() does. The writer may go on; the export is read by any thread.
  /// REQUIRES: nothing is installed that is not published.
  Result<SlotExport> begin_export();
  /// Fills a new storage, slot by slot in any order: afterwards slots, digest, csns and indexes are
  /// those of the storage that was exported, and so is what any later call gives. Indexes are built
  /// by finish_install(); until then nothing is visible, and no other method of the writer but
  /// newest_csn() and newest_row() may be called. IndexChanges are not told.
  /// REQUIRES: nothing was ever applied; the slot was not given before, but for install_emptied(),
  /// which may come twice; `row` is valid for the class, `slot` < SlotTable::slots_max, csn > 0.
  void install(ClassId cls, SlotId slot, Csn csn, Bytes row);
  void install_emptied(ClassId cls, SlotId slot, Csn csn);
  /// Builds the indexes and publishes `applied`. O(rows · log rows); takes the keys of one index at
  /// a time in memory beside it. False: told to stop, and the storage is good for nothing; that is
  /// looked at between two indexes.
  /// REQUIRES: applied >= every csn that was installed.
  bool finish_install(Csn applied, const std::stop_token& stop = {});

  /// Sum of a 64-bit hash over (class, slot, row) of the newest rows: equal on equal replicas,
  /// whatever the order of arrival. In a process that attached: as of the last publish.
  [[nodiscard]] std::uint64_t digest() const;
  /// Takes back the places of reader processes that have ended; how many. publish() does so by
  /// itself now and then. One system call a place in use.
  std::uint32_t reap_readers();
  /// Rows of a class in the newest state.
  [[nodiscard]] std::uint64_t rows(ClassId cls) const;
  /// May be null. The sink outlives the storage or is replaced before.
  void set_index_changes(IndexChanges* sink);
  /// Asserts what the structures promise, and that indexes hold the keys of the newest rows. For
  /// tests: O(everything).
  void check() const;

 private:
  struct Inside;
  explicit Storage(std::unique_ptr<Inside> inside);
  [[nodiscard]] Snapshot snapshot_of(Csn csn, std::uint32_t place) const;
  std::unique_ptr<Inside> inside_;
};

}  // namespace exdb
