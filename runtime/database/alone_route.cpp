// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/alone_route.hpp"

#include <limits>

namespace exdb {

Status AloneRoute::at_least(Csn csn) {
  if (csn <= published()) return {};
  return {ErrorCode::timeout, "at_least=" + std::to_string(csn.value) +
                                  " will never come: this database has no cluster and is at " +
                                  std::to_string(published().value)};
}

std::size_t AloneRoute::record_bytes_max() const { return std::numeric_limits<std::size_t>::max(); }

ItemOutcome AloneRoute::commit_local(Outgoing& /*out*/) {
  EXDB_ASSERT(false, "without a cluster no class is set apart");
  return {};
}

/// Certified where all transactions are, from the bytes that a node would get: a second funnel for
/// the embedded case would be the one that no test of the cluster reaches. It costs an encoding and
/// a decoding, about as much as one cache miss a row.
Result<std::shared_ptr<PendingItem>> AloneRoute::submit(Outgoing& out) {
  auto item = std::make_shared<PendingItem>();
  item->sequence = out.id.sequence;
  out.shared.normalise_ops();
  out.shared.normalise_reads();
  const std::lock_guard lock(lock_);
  if (!failure_.ok()) return failure_;
  bytes_.clear();
  out.shared.encode(bytes_);
  RoundItem only;
  only.origin = self();
  only.sequence = out.id.sequence;
  only.bytes = bytes_;
  static const std::vector<bool> mine{true};
  round_ = round_.next();
  auto status = replica_.apply_round(round_, std::span(&only, 1), replica_.oldest_snapshot(), mine,
                                     outcomes_);
  if (!status.ok()) {
    failure_ = {status.code(),
                "nothing more can be committed here until the database is opened again, with more "
                "memory: " +
                    status.text()};
    return failure_;
  }
  item->answer(std::move(outcomes_[0]));
  return item;
}

bool AloneRoute::send_ahead(TxnId /*id*/, std::vector<std::byte> /*part*/, int /*priority*/) {
  return false;
}

void AloneRoute::discard(TxnId /*id*/) {}

}  // namespace exdb
