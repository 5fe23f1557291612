// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica.hpp"

#include "base/assert.hpp"

namespace exdb {

Replica::Replica(std::shared_ptr<const Dictionary> dictionary, bool clustered, NodeId self)
    : dictionary_(std::move(dictionary)),
      clustered_(clustered),
      self_(self),
      log_(*dictionary_),
      local_log_(*dictionary_) {}

Result<std::unique_ptr<Replica>> Replica::create(std::shared_ptr<const Dictionary> dictionary,
                                                 const StorageOptions& options, bool clustered,
                                                 NodeId self) {
  std::unique_ptr<Replica> replica(new Replica(dictionary, clustered, self));
  auto in_replicated = options;
  in_replicated.holds = [clustered](const ClassDef& type) { return !clustered || !type.local; };
  auto replicated = Storage::create(dictionary, in_replicated);
  if (!replicated) return replicated.status();
  replica->replicated_ = std::move(*replicated);
  replica->replicated_->set_index_changes(&replica->log_);
  replica->certifier_ = std::make_unique<Certifier>(*replica->replicated_, replica->log_);
  bool any_local = false;
  for (const auto& type : dictionary->classes()) any_local |= type.local;
  if (clustered && any_local) {
    auto in_local = options;
    in_local.holds = [](const ClassDef& type) { return type.local; };
    auto local = Storage::create(dictionary, in_local);
    if (!local) return local.status();
    replica->local_ = std::move(*local);
    replica->local_->set_index_changes(&replica->local_log_);
    replica->local_certifier_ = std::make_unique<Certifier>(*replica->local_, replica->local_log_);
  }
  return replica;
}

Result<std::shared_ptr<Snapshots>> Replica::pin() {
  auto snapshots = std::make_shared<Snapshots>();
  for (;;) {
    const auto before = joint_publications_.load(std::memory_order_acquire);
    auto replicated = replicated_->pin();
    if (!replicated) return replicated.status();
    snapshots->replicated = std::move(*replicated);
    if (!local_) return snapshots;
    auto local = local_->pin();
    if (!local) return local.status();
    snapshots->local = std::move(*local);
    if (before % 2 == 0 && joint_publications_.load(std::memory_order_acquire) == before)
      return snapshots;
  }
}

Csn Replica::register_open() {
  const std::lock_guard lock(open_mutex_);
  const auto csn = replicated_->published();
  open_.insert(csn);
  return csn;
}

void Replica::release_open(Csn csn) {
  const std::lock_guard lock(open_mutex_);
  const auto found = open_.find(csn);
  EXDB_ASSERT(found != open_.end(), "a transaction is released as it was registered");
  open_.erase(found);
}

Csn Replica::oldest_snapshot() const {
  const std::lock_guard lock(open_mutex_);
  return open_.empty() ? replicated_->published() : *open_.begin();
}

Csn Replica::published() const { return replicated_->published(); }
std::uint64_t Replica::digest() const { return replicated_->digest(); }

StorageStatistics Replica::storage_statistics() const {
  auto sum = replicated_->statistics();
  if (local_) {
    const auto more = local_->statistics();
    sum.bytes_reserved += more.bytes_reserved;
    sum.bytes_used += more.bytes_used;
    sum.garbage += more.garbage;
    sum.rows += more.rows;
  }
  return sum;
}

const WriteOp* Replica::hopeless(const TransactionRecord& record) const {
  for (const auto& op : record.ops) {
    if (op.names_slot() && replicated_->newest_csn(op.cls, SlotId{op.row}) > op.base) return &op;
  }
  return nullptr;
}

ItemOutcome Replica::commit_alone(TransactionRecord& record) {
  record.normalise_ops();
  record.normalise_reads();
  auto verdict = certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) {
    counters_.aborted.fetch_add(1, std::memory_order_relaxed);
    return {verdict.code, {}, std::move(verdict.text)};
  }
  applied_ = applied_.next();
  certifier_->apply(record, applied_);
  replicated_->publish(applied_);
  log_.prune(oldest_snapshot());
  counters_.committed.fetch_add(1, std::memory_order_relaxed);
  counters_.rows_written.fetch_add(record.ops.size(), std::memory_order_relaxed);
  return {ErrorCode::ok, applied_, {}};
}

ItemOutcome Replica::commit_local(TransactionRecord& record) {
  record.normalise_ops();
  record.normalise_reads();
  local_turn_.acquire();
  auto verdict = local_certifier_->certify(record, true);
  if (verdict.code == ErrorCode::ok) {
    local_certifier_->apply(record, local_->applied().next());
    local_->publish();
    local_log_.prune(local_->published());
  }
  local_turn_.release();
  // The token of a commit that nobody else sees: the agreed state it was made on.
  return {verdict.code, replicated_->published(), std::move(verdict.text)};
}

ItemOutcome Replica::prepare_local(std::uint64_t sequence, TransactionRecord record) {
  record.normalise_ops();
  local_turn_.acquire();
  auto verdict = local_certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) {
    local_turn_.release();
    return {verdict.code, {}, std::move(verdict.text)};
  }
  Prepared prepared{sequence, {}};
  record.encode(prepared.bytes);
  const std::lock_guard lock(prepared_mutex_);
  prepared_ = std::move(prepared);
  return {};
}

void Replica::drop_local(std::uint64_t sequence) {
  {
    const std::lock_guard lock(prepared_mutex_);
    if (!prepared_ || prepared_->sequence != sequence) return;
    prepared_.reset();
  }
  local_turn_.release();
}

bool Replica::apply_prepared_local(std::uint64_t sequence) {
  std::vector<std::byte> bytes;
  {
    const std::lock_guard lock(prepared_mutex_);
    if (!prepared_ || prepared_->sequence != sequence) return false;
    bytes = std::move(prepared_->bytes);
    prepared_.reset();
  }
  TransactionRecord record;
  const auto status = TransactionRecord::decode(*dictionary_, bytes, record);
  EXDB_ASSERT(status.ok(), "a record that this node encoded can be decoded");
  local_certifier_->apply(record, local_->applied().next());
  return true;
}

Status Replica::assemble(const RoundItem& item, Arrived& arrived) {
  auto& record = arrived.record;
  if (auto status = TransactionRecord::decode(*dictionary_, item.bytes, record); !status)
    return status;
  const auto found = fragments_.find({item.origin, item.sequence});
  if (found != fragments_.end()) {
    arrived.fragments = std::move(found->second);
    fragments_.erase(found);
    std::vector<WriteOp> ops;
    for (const auto& fragment : arrived.fragments) {
      ByteReader in(fragment);
      const Csn snapshot{in.get_varint()};
      if (auto status = TransactionRecord::decode_ops(*dictionary_, snapshot, in, ops); !status)
        return status;
    }
    ops.insert(ops.end(), record.ops.begin(), record.ops.end());
    record.ops = std::move(ops);
  }
  if (item.origin == self_ && arrived.fragments.empty())
    return {};  // normalised and valid as it left
  record.normalise_ops();
  record.drop_cancelled();
  record.normalise_reads();
  return item.origin == self_ ? Status() : certifier_->validate(record);
}

/// Reads the items of a round; the transactions among them go to arrived_, in order.
Status Replica::unpack(std::span<const RoundItem> items) {
  arrived_.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& item = items[i];
    switch (item.kind) {
      case RoundItem::Kind::fragment:
        fragments_[{item.origin, item.sequence}].emplace_back(item.bytes.begin(), item.bytes.end());
        counters_.fragments.fetch_add(1, std::memory_order_relaxed);
        break;
      case RoundItem::Kind::discard:
        fragments_.erase({item.origin, item.sequence});
        break;
      case RoundItem::Kind::transaction:
        arrived_.emplace_back().item = i;
        if (auto status = assemble(item, arrived_.back()); !status) return status;
        break;
    }
  }
  return {};
}

/// Memory is asked for some transactions ahead of their turn: a round of small updates would
/// otherwise wait for each slot and each row (136 ns an update instead of 602, storage/README.md).
void Replica::fetch(std::size_t first) {
  const auto last = std::min(first + fetch_ahead, arrived_.size());
  const auto each = [&](auto&& what) {
    for (auto i = first; i < last; ++i) {
      for (const auto& op : arrived_[i].record.ops) {
        if (op.names_slot()) what(op);
      }
    }
  };
  each([&](const WriteOp& op) { replicated_->fetch_slot(op.cls, SlotId{op.row}); });
  each([&](const WriteOp& op) { replicated_->fetch_row(op.cls, SlotId{op.row}); });
}

ItemOutcome Replica::settle(const TransactionRecord& record, bool mine) {
  auto verdict = certifier_->certify(record, mine);
  if (verdict.code != ErrorCode::ok) {
    counters_.aborted.fetch_add(1, std::memory_order_relaxed);
    return {verdict.code, {}, std::move(verdict.text)};
  }
  applied_ = applied_.next();
  certifier_->apply(record, applied_);
  counters_.committed.fetch_add(1, std::memory_order_relaxed);
  counters_.rows_written.fetch_add(record.ops.size(), std::memory_order_relaxed);
  return {ErrorCode::ok, applied_, {}};
}

/// Its part of a transaction of this node that also wrote local classes; true when there was one
/// and it is installed.
bool Replica::settle_local(std::uint64_t sequence, ErrorCode code) {
  if (!local_) return false;
  if (code == ErrorCode::ok) return apply_prepared_local(sequence);
  drop_local(sequence);
  return false;
}

void Replica::publish(bool local_too) {
  if (local_too) joint_publications_.fetch_add(1, std::memory_order_acq_rel);
  replicated_->publish(applied_);
  if (!local_too) return;
  local_->publish();
  joint_publications_.fetch_add(1, std::memory_order_acq_rel);
  local_turn_.release();
}

Status Replica::apply_round(Round /*round*/, std::span<const RoundItem> items, Csn horizon,
                            const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) {
  outcomes.assign(items.size(), {});
  if (auto status = unpack(items); !status) return status;
  try {
    bool local_too = false;
    for (std::size_t i = 0; i < arrived_.size(); ++i) {
      if (i % fetch_ahead == 0) fetch(i);
      const auto at = arrived_[i].item;
      outcomes[at] = settle(arrived_[i].record, mine[at]);
      if (items[at].origin != self_) continue;
      remember(items[at].sequence, outcomes[at].code);
      local_too |= settle_local(items[at].sequence, outcomes[at].code);
    }
    if (!arrived_.empty()) publish(local_too);
  } catch (const Error& error) {
    return {error.code(), std::string("this replica cannot go on: ") + error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::no_memory,
            "this replica cannot go on: out of memory while a round was applied"};
  }
  horizon_ = std::max(horizon_, horizon);
  log_.prune(horizon_);
  return {};
}

void Replica::forget(NodeId node) {
  std::erase_if(fragments_, [&](const auto& entry) { return entry.first.origin == node; });
}

void Replica::remember(std::uint64_t sequence, ErrorCode code) {
  const std::lock_guard lock(outcomes_mutex_);
  outcomes_[sequence % outcomes_.size()] = {sequence, code};
}

std::optional<ErrorCode> Replica::outcome(std::uint64_t sequence) const {
  const std::lock_guard lock(outcomes_mutex_);
  const auto& [of, code] = outcomes_[sequence % outcomes_.size()];
  return of == sequence && sequence != 0 ? std::optional(code) : std::nullopt;
}

}  // namespace exdb
