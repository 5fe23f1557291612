// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/alone_route.hpp"

#include <limits>

#include "cluster/commit_window.hpp"

namespace exdb {

Status OnlyRoute::at_least(Csn csn) {
  if (csn <= published()) return {};
  return {ErrorCode::timeout, "at_least=" + std::to_string(csn.value) +
                                  " will never come: this database has no cluster and is at " +
                                  std::to_string(published().value)};
}

std::size_t AloneRoute::record_bytes_max() const { return std::numeric_limits<std::size_t>::max(); }

ItemOutcome OnlyRoute::commit_local(Outgoing& /*out*/) {
  EXDB_ASSERT(false, "without a cluster no class is set apart");
  return {};
}

/// Certified where all transactions are, from the bytes that a node would get: a second funnel for
/// the embedded case would be the one that no test of the cluster reaches, and would have to learn
/// by itself what histories keep.
Result<std::shared_ptr<PendingItem>> AloneRoute::submit(Outgoing& out) {
  const auto& item = unshared_item(out.spare);
  item->sequence = out.id.sequence;
  // Outside the lock: what depends on this transaction alone keeps no other waiting.
  out.shared.normalise_ops();
  out.shared.normalise_reads();
  const std::lock_guard lock(lock_);
  if (!failure_.ok()) return failure_;
  if (auto status = apply(round_of(out)); !status.ok()) {
    failure_ = {
        status.code(),
        "nothing more can be committed here until the database is opened again: " + status.text()};
    return failure_;
  }
  item->answer(std::move(outcomes_[0]));
  return item;
}

CompletedRound OnlyRoute::begin_round(RoundHistory& history) const {
  auto made = history.spare();
  made.round = history.chain().round.next();
  made.last = false;
  made.batches.resize(1);
  auto& batch = made.batches.front();
  batch.header.oldest_snapshot = replica_.oldest_snapshot();
  batch.header.digest = replica_.digest();
  return made;
}

void OnlyRoute::seal(CompletedRound& made) {
  auto& batch = made.batches.front();
  FrameHeader head;
  head.sender = batch.member;
  head.round = made.round;
  head.batch = batch.header;
  batch.checksum = frame_checksum(head, batch.payload);
}

Status OnlyRoute::apply_safe(const CompletedRound& made) {
  const auto& batch = made.batches.front();
  items_.clear();
  if (auto status = decode_items(batch.member, batch.payload, items_); !status.ok()) return status;
  mine_.resize(items_.size(), true);
  return replica_.apply_round(made.round, items_, batch.header.oldest_snapshot, mine_, outcomes_);
}

CompletedRound AloneRoute::round_of(const Outgoing& out) {
  auto made = begin_round(*history_);
  auto& batch = made.batches.front();
  // Straight into the batch: its length, which comes first, is counted, and nothing is copied.
  const auto length = out.shared.encoded_bytes();
  constexpr std::size_t item_overhead_bytes = 32;
  batch.payload.reserve(length + item_overhead_bytes);
  ByteWriter payload(batch.payload);
  encode_item_head({RoundItem::Kind::transaction, batch.member, self(), out.id.sequence, {}},
                   length, payload);
  out.shared.encode(batch.payload);
  seal(made);
  return made;
}

/// Held until it is safe, as in a node: storage never takes anything back.
Status AloneRoute::apply(CompletedRound&& made) {
  const auto round = made.round;
  if (auto status = history_->append(std::move(made)); !status.ok()) return status;
  if (auto status = history_->sync(); !status.ok()) return status;
  auto status = apply_safe(history_->held(round));
  // One that failed stays: it is in the history, and whoever reads that may be able to apply it.
  if (status.ok()) history_->release(round);
  return status;
}

bool OnlyRoute::send_ahead(TxnId /*id*/, std::vector<std::byte> /*part*/, int /*priority*/) {
  return false;
}

void OnlyRoute::discard(TxnId /*id*/) {}

}  // namespace exdb
