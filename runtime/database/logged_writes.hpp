// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The transactions of rounds that are replayed, told with the keys of what they wrote. A record names
// rows by their slots alone: the keys of what it changes and removes are those of the state before
// its round, so they are looked up there.
//
// Threads: none.
#pragma once
#include <map>

#include "database/replay.hpp"
#include "exdb/archive.hpp"

namespace exdb {

class LoggedWrites final : public ReplayWatch {
 public:
  /// Both outlive it. Throws not_found for a class or an index that is not in the dictionary.
  LoggedWrites(const Dictionary& dictionary, const ArchiveOptions& options);

  Status before(Round round, std::span<const RoundItem> items, Replica& replica) override;
  Status after(std::span<const RoundItem> items, const std::vector<ItemOutcome>& outcomes) override;

 private:
  using Parts = std::vector<std::vector<std::byte>>;

  Status transaction(const RoundItem& item, const Snapshot& state);
  Status add_parts(const Parts& parts, TransactionRecord& record) const;
  [[nodiscard]] LoggedWrite write_of(const WriteOp& op, const Snapshot& state) const;
  [[nodiscard]] const IndexDef* index_of(const ClassDef& type) const;

  const Dictionary& dictionary_;
  const ArchiveOptions& options_;
  const ClassDef* only_ = nullptr;
  const IndexDef* index_ = nullptr;
  std::map<TxnId, Parts> parts_;  ///< that went ahead
  Round round_;
  std::vector<LoggedTransaction> told_;  ///< of this round, by transaction items
};

}  // namespace exdb
