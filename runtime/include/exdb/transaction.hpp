// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How a transaction begins and how it ends.
#pragma once
#include <optional>
#include <string>

#include "exdb/errors.hpp"
#include "exdb/types.hpp"

namespace exdb {

/// The product's numbers.
enum class TransactionType : int {
  read_only = 0,  ///< a write raises `access`
  update = 1,     ///< reads until its first write, which makes it read_write by itself
  read_write = 2,
  exclusive = 3,  ///< as though alone: commits only if nothing at all was committed since it began;
                  ///< other exclusive transactions of this node wait in start()
};

/// The product's numbers.
enum class Isolation : int {
  standard = 0,         ///< repeatable_read
  read_committed = 1,   ///< every statement (find, search, first, last) reads the newest snapshot
  repeatable_read = 2,  ///< snapshot isolation: one snapshot, first committer wins
  serializable =
      4,  ///< and aborts if anything it read, or looked for and did not find, was changed
};

struct TransactionOptions {
  TransactionType type = TransactionType::read_write;
  Isolation isolation = Isolation::standard;
  /// Of the transactions of one node that leave in one batch, higher ones come first in the order.
  int priority = 0;
  /// Wait until this node has the commit with this csn (a token that commit() returned, on any
  /// node).
  std::optional<Csn> at_least;
  /// Wait until this node has every commit that returned anywhere before. Sends no message on MPI;
  /// where nodes come and go it is a round.
  bool fresh = false;
};

/// How commit() ended: always one of three.
///   committed: code ok; csn is the token.
///   aborted: code conflict, duplicate, snapshot_too_old, too_large, cluster_stopped, …: certain
///     never to appear anywhere, also when this node left while its window held the transaction.
///   unknown: code unknown_outcome; it had left this node when the node lost the others, or left.
///     Database::outcome(id) may tell, here and on any other node.
struct CommitResult {
  ErrorCode code = ErrorCode::ok;
  Csn csn;  ///< of the commit; of the snapshot when nothing was written
  /// Names the transaction, whatever became of it; sequence 0 when it was never on its way: nothing
  /// was written, or it was refused before.
  TxnId id;
  std::string text;  ///< why not: names class, index and key
  [[nodiscard]] bool committed() const { return code == ErrorCode::ok; }
  explicit operator bool() const { return committed(); }
  /// Throws Error unless committed.
  const CommitResult& or_throw() const {
    if (!committed()) throw Error(code, text);
    return *this;
  }
};

}  // namespace exdb
