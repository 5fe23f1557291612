// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Snapshot is the state at one csn, held fast by a pin: it does not change, and what it shows is
// not reclaimed, while the Snapshot lives. Its reads take no lock and send no message.
//
// Threads: several threads may read one Snapshot; pinning and ending it is by one.
// Cost: row() a walk of a version chain, one step unless the row changed since; find() one probe of
//   a hash table, or O(log n) in an ordered index; pin and unpin about 30 ns. Snapshots
//   of one csn share a pin (pins.hpp), so thousands may be kept.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "exdb/schema.hpp"
#include "schema/key.hpp"
#include "storage/ordered_index.hpp"
#include "storage/segment.hpp"

namespace exdb {

class Storage;
struct StorageCore;  // the mapped structures, shared by writer and readers

class Snapshot {
 public:
  Snapshot() = default;
  Snapshot(Snapshot&& other) noexcept;
  Snapshot& operator=(Snapshot&& other) noexcept;
  ~Snapshot();

  [[nodiscard]] bool valid() const { return core_ != nullptr; }
  [[nodiscard]] Csn csn() const { return csn_; }

  /// Row bytes at this snapshot; none when there is no row. A view: valid while the snapshot lives.
  [[nodiscard]] std::optional<Bytes> row(ClassId cls, SlotId slot) const;

  /// The (first, in slot order of the index) slot whose row carries `key`; SlotId::none() if
  /// nobody. Not for list indexes.
  [[nodiscard]] SlotId find(IndexId index, Bytes key) const;
  /// Whether two rows of its class certainly have the same key, by a look at their fixed parts.
  [[nodiscard]] bool key_unchanged(IndexId index, Bytes before, Bytes after) const;
  /// All of them, ascending.
  void find_all(IndexId index, Bytes key, std::vector<SlotId>& out) const;
  /// find() for many keys at once, with the memory fetched ahead: out[i] for keys[i].
  void find_many(IndexId index, std::span<const Bytes> keys, std::span<SlotId> out) const;

  /// REQUIRES: an ordered (tree) index.
  [[nodiscard]] RangeCursor range(IndexId index) const;
  /// Of a non-unique hash: rows by (hash of their key, slot). `hash` becomes that of `key`. The few
  /// rows with the same hash and another key have to be told by carries().
  [[nodiscard]] RangeCursor hashes(IndexId index, Bytes key, KeyBytes& hash) const;
  /// Whether the row of this slot has this key. REQUIRES: a hash index, and a row there.
  [[nodiscard]] bool carries(IndexId index, Bytes key, SlotId slot) const;

  /// The first slot >= `from` that holds a row; SlotId::none() at the end.
  [[nodiscard]] SlotId scan(ClassId cls, SlotId from) const;
  /// The last slot <= `from` that holds a row; SlotId::none() at the end. SlotId::none() as `from`
  /// starts at the end.
  [[nodiscard]] SlotId scan_back(ClassId cls, SlotId from) const;

 private:
  friend class Storage;
  friend class SlotExport;
  std::shared_ptr<StorageCore> core_;
  Csn csn_;
  std::uint32_t place_ = 0;
};

}  // namespace exdb
