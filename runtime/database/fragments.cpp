// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/fragments.hpp"

#include <limits>

namespace exdb {
namespace {

/// Upper bound of what an op takes beside its row: kind, class, row, base, length.
constexpr std::size_t op_bytes_max = 1 + 5 + 10 + 10 + 5;
constexpr auto never = std::numeric_limits<std::size_t>::max();

std::size_t bytes_of(const WorkEntry& entry) {
  return op_bytes_max + (entry.live() ? entry.builder.view().bytes().size() : 0);
}

}  // namespace

void Fragments::begin(Csn snapshot, int priority) {
  snapshot_ = snapshot;
  priority_ = priority;
  next_attempt_ = route_.sends_ahead() ? part_bytes : never;
}

void Fragments::discard() {
  if (sent_ != 0) route_.discard(id_);
}

void Fragments::end() {
  id_ = {};
  sent_ = 0;
  constexpr std::size_t bytes_kept = 4096;
  empty_keeping(unsent_, bytes_kept);
  unsent_bytes_ = 0;
}

TxnId Fragments::id() {
  if (!named()) id_ = route_.new_id();
  return id_;
}

/// An entry knows what of it is in the sum, so the sum needs no look at the others.
void Fragments::wrote(WorkEntry& entry) {
  if (!counts(entry)) return;
  if (entry.unsent_bytes == 0) unsent_.push_back(&entry);
  const auto bytes = bytes_of(entry);
  unsent_bytes_ += bytes - entry.unsent_bytes;
  entry.unsent_bytes = bytes;
}

void Fragments::forget(WorkEntry& entry) {
  if (entry.unsent_bytes == 0) return;
  EXDB_ASSERT(unsent_.back() == &entry, "the newest entry was noted last");
  unsent_.pop_back();
  unsent_bytes_ -= entry.unsent_bytes;
}

std::size_t Fragments::recount() {
  unsent_bytes_ = 0;
  for (auto* entry : unsent_) {
    if (entry->live()) (void)entry->builder.finish();
    entry->unsent_bytes = bytes_of(*entry);
    unsent_bytes_ += entry->unsent_bytes;
  }
  return unsent_bytes_;
}

/// The rows as they are now, even one that is being filled: it goes again with the next part then.
void Fragments::send() {
  entries_looked_at_ += unsent_.size();
  const auto ops = work_.ops_of(unsent_);
  if (!ops.empty()) {
    std::vector<std::byte> bytes;
    ByteWriter writer(bytes);
    writer.put_varint(sent_);
    writer.put_varint(snapshot_.value);
    TransactionRecord::encode_ops(ops, snapshot_, bytes);
    if (!route_.send_ahead(id(), std::move(bytes), priority_)) {
      next_attempt_ = 2 * unsent_bytes_;
      return;
    }
    ++sent_;
  }
  // On its way as far as this node can say; if it is lost, the commit fails for it.
  for (auto* entry : unsent_) {
    entry->unsent_bytes = 0;
    entry->sent = true;
    entry->sent_once = true;
  }
  unsent_.clear();
  unsent_bytes_ = 0;
  next_attempt_ = part_bytes;
}

}  // namespace exdb
