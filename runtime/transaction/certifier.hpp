// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Certification: may this transaction commit after all that committed before it in the agreed
// order? Every node asks the same question of the same state and gets the same answer, so no vote
// is taken.
//
// The rule (first committer wins; backward validation as in Kung and Robinson, 1981, on snapshots
// as in Berenson et al., 1995): a transaction with snapshot S aborts if
//   V1  a row that it updates or removes was changed by a commit with csn > the snapshot at which
//       it read that row;
//   V2  a unique key that it adds is carried by another row that it does not itself take it from;
//   V3  (serializable) a row that it read, or a key range that it looked through, or a class that
//       it read as a whole, was changed by a commit with csn > S; or that can no longer be known;
//   V4  (exclusive) anything was committed with csn > S.
// Threads: the writer only.
#pragma once
#include <algorithm>
#include <string>

#include "schema/autoid.hpp"
#include "storage/storage.hpp"
#include "transaction/conflict_log.hpp"
#include "transaction/record.hpp"

namespace exdb {

/// ok, or why a transaction must abort.
struct Verdict {
  ErrorCode code = ErrorCode::ok;
  std::string text;  ///< names class, index and key; made only when asked for
};

class Certifier {
 public:
  Certifier(Storage& storage, ConflictLog& log) : storage_(storage), log_(log) {}

  /// REQUIRES: ops and reads are normalised. `explain`: make the text of an abort (its own node
  /// wants it).
  [[nodiscard]] Verdict certify(const TransactionRecord& record, bool explain) const;

  /// Installs the ops at `csn`. REQUIRES: certified with nothing applied since.
  void apply(const TransactionRecord& record, Csn csn);

  /// Whether every row among the ops is valid for its class and every slot named holds a row: for
  /// records of other nodes.
  [[nodiscard]] Status validate(const TransactionRecord& record) const;

  /// The highest count of an autoid that any row ever had, of any node.
  [[nodiscard]] std::uint64_t autoids_seen() const { return autoids_seen_; }
  void autoid_seen(std::uint64_t id) { autoids_seen_ = std::max(autoids_seen_, autoid_count(id)); }

 private:
  [[nodiscard]] Verdict certify_rows(const TransactionRecord& record, bool explain) const;
  [[nodiscard]] Verdict certify_unique(const TransactionRecord& record, bool explain) const;
  [[nodiscard]] Verdict certify_reads(const TransactionRecord& record, bool explain) const;
  std::size_t fetch_keys(std::span<const WriteOp> ops, std::size_t at) const;
  [[nodiscard]] bool gives_up(const WriteOp* op, const IndexDef& index, Bytes key) const;
  [[nodiscard]] Verdict row_conflict(ClassId cls, SlotId slot, Csn base, bool read,
                                     bool explain) const;

  Storage& storage_;
  ConflictLog& log_;
  std::uint64_t autoids_seen_ = 0;
};

/// "class Flight, index by_id, key (12)": how errors name a row. The first unique index of the
/// class names it; without one, or without `row`, its number does.
std::string describe_row(const Dictionary& dictionary, ClassId cls, SlotId slot,
                         std::optional<Bytes> row);
/// Says that a row was changed or removed. `at_base`: as the transaction that lost has read it, if
/// that is still known: only it has the key by which the program knows the row. The slot may have
/// another row by now, whose key would mislead. `newest`: what the slot holds now.
std::string describe_lost_row(const Dictionary& dictionary, ClassId cls, SlotId slot,
                              std::optional<Bytes> at_base, std::optional<Bytes> newest);
std::string describe_index_key(const IndexDef& index, Bytes key);

}  // namespace exdb
