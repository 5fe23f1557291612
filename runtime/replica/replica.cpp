// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica.hpp"

#include <utility>

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
    // csns never fall: what is published still was so when the local one was pinned. Without that a
    // local commit could be seen beside a state older than the one it was made on.
    if (before % 2 == 0 && replicated_->published() == snapshots->replicated.csn() &&
        joint_publications_.load(std::memory_order_acquire) == before)
      return snapshots;
  }
}

bool Replica::current(const Snapshots& snapshots) const {
  return replicated_->published() == snapshots.replicated.csn() &&
         (!local_ || local_->published() == snapshots.local.csn());
}

Replica::Registered Replica::register_open() {
  const std::lock_guard lock(open_mutex_);
  const Registered open{replicated_->published(), local_ ? local_->published() : Csn{}};
  open_.insert(open.replicated);
  open_local_.insert(open.local);
  return open;
}

void Replica::release_open(const Registered& open) {
  const std::lock_guard lock(open_mutex_);
  const auto replicated = open_.find(open.replicated);
  const auto local = open_local_.find(open.local);
  EXDB_ASSERT(replicated != open_.end() && local != open_local_.end(),
              "a transaction is released as it was registered");
  open_.erase(replicated);
  open_local_.erase(local);
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

Csn Replica::newest_change(const ClassDef& type, SlotId slot) const {
  return (is_local(type) ? *local_ : *replicated_).newest_csn(type.id, slot);
}

namespace {

/// Says that a change failed half-way, unless it was carried through.
class HalfWay {
 public:
  explicit HalfWay(std::atomic<bool>& broken) : broken_(broken) {}
  ~HalfWay() {
    if (!done_) broken_.store(true);
  }
  HalfWay(const HalfWay&) = delete;
  HalfWay& operator=(const HalfWay&) = delete;
  void done() { done_ = true; }

 private:
  std::atomic<bool>& broken_;
  bool done_ = false;
};

ItemOutcome broken_outcome() {
  return {ErrorCode::no_memory,
          {},
          "an earlier commit failed half-way for want of memory, so nothing more can be committed "
          "here: open the database again, with more memory"};
}

}  // namespace

ItemOutcome Replica::commit_alone(TransactionRecord& record) {
  if (broken_.load()) return broken_outcome();
  record.normalise_ops();
  record.normalise_reads();
  auto verdict = certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) {
    counters_.aborted.fetch_add(1, std::memory_order_relaxed);
    return {verdict.code, {}, std::move(verdict.text)};
  }
  HalfWay change(broken_);
  applied_ = applied_.next();
  certifier_->apply(record, applied_);
  replicated_->publish(applied_);
  change.done();
  log_.prune(oldest_snapshot());
  counters_.committed.fetch_add(1, std::memory_order_relaxed);
  counters_.rows_written.fetch_add(record.ops.size(), std::memory_order_relaxed);
  return {ErrorCode::ok, applied_, {}};
}

/// True when the prepared transaction will never be resolved by a round, and is dropped.
bool Replica::give_up_if_ended() {
  const std::lock_guard lock(prepared_mutex_);
  if (!prepared_ || !prepared_->item || !prepared_->item->done.load(std::memory_order_acquire))
    return false;
  prepared_.reset();
  return true;
}

bool Replica::take_local_turn(std::chrono::microseconds patience) {
  if (local_turn_.try_acquire_for(patience)) return true;
  // Its turn passes to who found it.
  return give_up_if_ended();
}

/// Its place among the replicated transactions is where they are now: held there by the lock.
ItemOutcome Replica::certify_local(const TransactionRecord& record, TransactionRecord& reads,
                                   std::mutex& drive_lock) {
  auto verdict = local_certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) return {verdict.code, {}, std::move(verdict.text)};
  if (!reads.serializable && !reads.exclusive) return {};
  reads.normalise_reads();
  const std::lock_guard lock(drive_lock);
  verdict = certifier_->certify(reads, true);
  if (verdict.code != ErrorCode::ok) return {verdict.code, {}, std::move(verdict.text)};
  return {};
}

ItemOutcome Replica::commit_local(TransactionRecord& record, TransactionRecord& reads,
                                  std::mutex& drive_lock) {
  struct Turn {
    std::binary_semaphore& turn;
    ~Turn() { turn.release(); }
  };
  const Turn turn{local_turn_};
  if (broken_.load()) return broken_outcome();
  record.normalise_ops();
  record.normalise_reads();
  auto outcome = certify_local(record, reads, drive_lock);
  if (outcome.code == ErrorCode::ok) {
    HalfWay change(broken_);
    local_certifier_->apply(record, local_->applied().next());
    local_->publish();
    change.done();
    prune_local();
  }
  // The token of a commit that nobody else sees: the agreed state it was made on.
  outcome.csn = replicated_->published();
  return outcome;
}

ItemOutcome Replica::prepare_local(std::uint64_t sequence, TransactionRecord record) {
  struct Turn {
    std::binary_semaphore* turn;
    ~Turn() {
      if (turn) turn->release();
    }
  };
  Turn turn{&local_turn_};
  if (broken_.load()) return broken_outcome();
  record.normalise_ops();
  record.normalise_reads();
  auto verdict = local_certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) return {verdict.code, {}, std::move(verdict.text)};
  Prepared prepared;
  prepared.sequence = sequence;
  record.encode(prepared.bytes);
  const std::lock_guard lock(prepared_mutex_);
  prepared_ = std::move(prepared);
  turn.turn = nullptr;
  return {};
}

void Replica::local_is_sent(std::uint64_t sequence, std::shared_ptr<PendingItem> item) {
  const std::lock_guard lock(prepared_mutex_);
  if (prepared_ && prepared_->sequence == sequence) prepared_->item = std::move(item);
}

void Replica::drop_local(std::uint64_t sequence) {
  {
    const std::lock_guard lock(prepared_mutex_);
    if (!prepared_ || prepared_->sequence != sequence) return;
    prepared_.reset();
  }
  local_turn_.release();
}

/// REQUIRES: the local turn. Transactions registered later are at a csn that is published now.
void Replica::prune_local() {
  Csn oldest;
  {
    const std::lock_guard lock(open_mutex_);
    oldest = open_local_.empty() ? local_->published() : *open_local_.begin();
  }
  local_log_.prune(oldest);
}

bool Replica::apply_prepared_local(std::uint64_t sequence) {
  std::vector<std::byte> bytes;
  {
    const std::lock_guard lock(prepared_mutex_);
    if (!prepared_ || prepared_->sequence != sequence) return false;
    bytes = std::move(prepared_->bytes);
    prepared_.reset();
    local_consumed_ = true;
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
    arrived.fragments = std::move(found->second.parts);
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
      case RoundItem::Kind::fragment: {
        auto& fragments = fragments_[{item.origin, item.sequence}];
        fragments.member = item.member;
        fragments.parts.emplace_back(item.bytes.begin(), item.bytes.end());
        counters_.fragments.fetch_add(1, std::memory_order_relaxed);
        break;
      }
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
  prune_local();
}

void Replica::settle_all(std::span<const RoundItem> items, const std::vector<bool>& mine,
                         std::vector<ItemOutcome>& outcomes) {
  HalfWay change(broken_);
  struct GiveTurnBack {
    Replica& replica;
    ~GiveTurnBack() {
      if (std::exchange(replica.local_consumed_, false)) replica.local_turn_.release();
    }
  };
  const GiveTurnBack turn{*this};
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
  change.done();
}

Status Replica::apply_round(Round /*round*/, std::span<const RoundItem> items, Csn horizon,
                            const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) {
  outcomes.assign(items.size(), {});
  if (auto status = unpack(items); !status) return status;
  try {
    settle_all(items, mine, outcomes);
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

void Replica::forget(MemberId member) {
  std::erase_if(fragments_, [&](const auto& entry) { return entry.second.member == member; });
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
