// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A transaction as it travels: what it wrote, what it read if it is serializable, and the snapshot
// it worked on. Every node certifies and applies exactly these bytes.
//
// Wire form: {flags u8, snapshot varint, [parts varint], [snapshot name], ops…, reads…}. A large transaction may have
// sent ops ahead in parts (each a list of ops, numbered from 0); its own ops come after those, and the
// last op for a row is the one that counts. It says how many parts there are: where one was lost with
// a view, nothing of it may be applied.
//
// Invariants
//   T1  After normalise(): one op a row; removals, then updates, then inserts; each group in order
//       of first writing.
//   T2  Read ranges are sorted by (index, low), disjoint within an index; an empty high = no upper
//       bound.
// Threads: none of these types is shared between threads.
// Failure: decode() gives a Status for bytes that are no record of this dictionary; it reads
//   nothing outside them.
#pragma once
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "exdb/errors.hpp"
#include "exdb/schema.hpp"
#include "schema/key.hpp"

namespace exdb {

struct WriteOp {
  enum class Kind : std::uint8_t {
    insert = 1,
    update = 2,
    remove = 3,
    cancel = 4,  ///< of an insert that was sent ahead, and removed again
  };
  Kind kind = Kind::insert;
  ClassId cls;
  std::uint64_t row = 0;  ///< slot; for insert and cancel a number that the transaction gave
  Csn base;               ///< update, remove: the snapshot at which the row was read
  Bytes bytes;            ///< insert, update: the row; a view into the record

  [[nodiscard]] bool names_slot() const { return kind == Kind::update || kind == Kind::remove; }
  [[nodiscard]] bool has_row() const { return kind == Kind::insert || kind == Kind::update; }
};

/// Keys [low, high) of an index that were looked at, found or not.
struct ReadRange {
  IndexId index;
  KeyBytes low, high;
};

struct ReadRow {
  ClassId cls;
  SlotId slot;
  auto operator<=>(const ReadRow&) const = default;
};

struct TransactionRecord {
  Csn snapshot;
  std::uint64_t history = 0;  ///< of the snapshot (RoundConsumer::history()); stays at this node
  bool serializable = false;
  bool exclusive = false;
  std::uint64_t parts = 0;  ///< that went ahead
  std::vector<WriteOp> ops;
  std::vector<ReadRange> ranges;
  std::vector<ReadRow> rows;
  std::vector<ClassId> classes;  ///< read as a whole
  /// Not empty: the state after its round has this name, or has it no more.
  std::string snapshot_name;
  bool drops_name = false;

  static constexpr std::size_t name_bytes_max = 200;

  void encode(std::vector<std::byte>& out) const;
  /// Exactly what encode() appends.
  [[nodiscard]] std::size_t encoded_bytes() const;
  /// REQUIRES: `out` is empty.
  static Status decode(const Dictionary& dictionary, Bytes in, TransactionRecord& out);
  /// Makes it empty. Keeps the room for a few ops, so that the next record costs no allocation.
  void clear();

  /// Ops alone: what a fragment holds.
  static void encode_ops(std::span<const WriteOp> ops, Csn snapshot, std::vector<std::byte>& out);
  /// Appends to `ops`.
  static Status decode_ops(const Dictionary& dictionary, Csn snapshot, ByteReader& in,
                           std::vector<WriteOp>& ops);

  /// Brings ops into the form T1.
  void normalise_ops();
  /// Once the fragments are there, a cancelled insert has no more to say.
  void drop_cancelled();
  /// Brings reads into the form T2.
  void normalise_reads();
};

}  // namespace exdb
