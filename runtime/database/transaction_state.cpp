// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How transactions begin and end.
#include "database/transaction_state.hpp"

namespace exdb {
namespace {

/// With cluster_mode_early_data_send a transaction sends what it has written whenever it is this
/// much.
constexpr std::size_t fragment_bytes = 256 * 1024;
constexpr std::uint32_t writes_between_checks = 32;
/// A transaction's bytes in one batch. Every node has to hold them, and the round waits for them.
constexpr std::size_t transaction_bytes_max = std::size_t{1} << 30;

}  // namespace

void TransactionState::require_connection() const {
  core->require_open();
  if (!open) throw Error(ErrorCode::invalid_handle, "this connection is closed");
}

void TransactionState::require_active() const {
  require_connection();
  if (!active) {
    throw Error(
        ErrorCode::transaction_not_active,
        "no transaction is open on this connection: call startTransaction() / start() first");
  }
}

void TransactionState::require_writable() {
  require_active();
  if (options.type == TransactionType::read_only) {
    throw Error(ErrorCode::access,
                "this transaction is read-only: start it as READ_WRITE to change anything");
  }
  if (options.type == TransactionType::update) options.type = TransactionType::read_write;
}

void TransactionState::require_generation(std::uint64_t of_handle, const char* what) const {
  if (of_handle == generation && active) return;
  throw Error(
      ErrorCode::invalid_handle,
      std::string(what) + " of a transaction that has ended: find it again in the open one");
}

void TransactionState::new_snapshot() {
  const bool per_statement = isolation == Isolation::read_committed;
  if (per_statement && statements.size() >= RowHandle::statements_max) {
    throw Error(ErrorCode::too_large, "this read_committed transaction has had " +
                                          std::to_string(statements.size()) +
                                          " snapshots: commit it and start another");
  }
  auto pinned = core->replica->pin();
  auto shown = std::move(pinned).value();
  if (per_statement) statements.push_back({shown->replicated.csn(), shown->local.csn(), shown});
  snapshots = std::move(shown);
}

/// Others of this node may have it for long; a database that is closed meanwhile ends the waiting.
void TransactionState::take_exclusive_turn() {
  constexpr auto look_up = std::chrono::milliseconds(20);
  while (!core->exclusive_turn.try_acquire_for(look_up)) core->require_open();
  if (core->open.load()) return;
  core->exclusive_turn.release();
  core->require_open();
}

void TransactionState::begin(const TransactionOptions& wanted) {
  require_connection();
  if (active) {
    throw Error(ErrorCode::transaction_active,
                "a transaction is already open on this connection: commit() or rollback() it "
                "first, or use another connection");
  }
  if (core->node) {
    if (wanted.fresh) core->node->wait_fresh().or_throw();
    if (wanted.at_least) core->node->wait_published(*wanted.at_least).or_throw();
  } else if (wanted.at_least && *wanted.at_least > core->replica->published()) {
    throw Error(ErrorCode::timeout, "at_least=" + std::to_string(wanted.at_least->value) +
                                        " will never come: this database has no " +
                                        "cluster and is at " +
                                        std::to_string(core->replica->published().value));
  }
  options = wanted;
  isolation =
      wanted.isolation == Isolation::standard ? Isolation::repeatable_read : wanted.isolation;
  const bool exclusive = wanted.type == TransactionType::exclusive;
  if (exclusive) take_exclusive_turn();
  try {
    if (records_reads()) registered = core->replica->register_open();
    new_snapshot();
  } catch (...) {
    if (registered) core->replica->release_open(*registered);
    registered.reset();
    if (exclusive) core->exclusive_turn.release();
    throw;
  }
  first_snapshot = snapshots->replicated.csn();
  first_local_snapshot = snapshots->local.csn();
  active = true;
  ++generation;
}

void TransactionState::end() {
  if (options.type == TransactionType::exclusive) core->exclusive_turn.release();
  if (registered) core->replica->release_open(*registered);
  registered.reset();
  work.clear();
  statements.clear();
  snapshots.reset();
  sequence = 0;
  fragments_sent = false;
  writes_since_fragment = 0;
  entries_at_fragment = 0;
  active = false;
  ++generation;
}

void TransactionState::statement() {
  require_active();
  if (isolation == Isolation::read_committed && !core->replica->current(*snapshots)) new_snapshot();
}

/// Best effort: if the node has failed, its fragments are forgotten with it.
void TransactionState::discard_fragments() {
  if (!fragments_sent) return;
  (void)core->node->submit(RoundItem::Kind::discard, sequence, {}, options.priority);
}

void TransactionState::rollback() {
  require_active();
  discard_fragments();
  ++statistics.rolled_back;
  core->counters.rolled_back.fetch_add(1, std::memory_order_relaxed);
  end();
}

TransactionRecord TransactionState::make_record(bool local) {
  TransactionRecord record;
  record.snapshot = local ? first_local_snapshot : first_snapshot;
  record.serializable = records_reads();
  record.exclusive = options.type == TransactionType::exclusive;
  record.ops = work.ops(local, core->node != nullptr);
  if (!record.serializable) return record;
  const auto here = [&](ClassId cls) {
    return core->replica->is_local(core->dictionary->class_of(cls)) == local;
  };
  for (const auto& range : work.ranges) {
    if (here(core->dictionary->index_of(range.index).class_id)) record.ranges.push_back(range);
  }
  for (const auto& seen : work.rows) {
    if (here(seen.cls)) record.rows.push_back(seen);
  }
  for (const auto cls : work.whole_classes) {
    if (here(cls)) record.classes.push_back(cls);
  }
  return record;
}

std::optional<CommitResult> TransactionState::check_unique() {
  for (const auto& type : core->dictionary->classes()) {
    if (!work.touches(type.id)) continue;
    work.settle(type.id);
    const auto& snapshot = snapshot_of(type);
    for (const auto id : type.indexes) {
      const auto& index = core->dictionary->index_of(id);
      if (!index.unique || index.parts.empty()) continue;
      const KeyBytes* before = nullptr;
      for (const auto& [key, row] : work.keys(id)) {
        const bool twice = before && *before == key;
        before = &key;
        const auto owner = twice ? SlotId::none() : snapshot.find(id, key);
        if (!twice && (owner == SlotId::none() || shadowed(type.id, owner))) continue;
        CommitResult result;
        result.code = ErrorCode::duplicate;
        result.text =
            "duplicate key: " + describe_index_key(index, key) +
            (twice ? " is carried by two rows of this transaction" : " is taken by another row");
        return result;
      }
    }
  }
  return std::nullopt;
}

CommitResult TransactionState::finish(CommitResult result) {
  auto& counters = core->counters;
  if (result.committed()) {
    ++statistics.committed;
    counters.committed.fetch_add(1, std::memory_order_relaxed);
  } else {
    ++statistics.aborted;
    counters.aborted.fetch_add(1, std::memory_order_relaxed);
    if (result.code == ErrorCode::conflict) {
      ++statistics.conflicts;
      counters.conflicts.fetch_add(1, std::memory_order_relaxed);
    }
  }
  return result;
}

CommitResult TransactionState::result_of(ItemOutcome outcome, TxnId id) const {
  return {outcome.code, outcome.csn, id, std::move(outcome.text)};
}

CommitResult TransactionState::wait_for(PendingItem& item, TxnId id) {
  auto outcome = core->node->wait(item);
  // Of a round that came, its local part came with it; of none that will.
  if (outcome.code != ErrorCode::ok) core->replica->drop_local(id.sequence);
  return finish(result_of(std::move(outcome), id));
}

/// Puts the transaction into the exchange; a result when it ended without leaving this node.
std::optional<CommitResult> TransactionState::submit(std::shared_ptr<PendingItem>& item,
                                                     TxnId& id) {
  std::optional<CommitResult> ended;
  try {
    ended = try_submit(item, id);
  } catch (const Error& error) {  // a key beyond the limit: nothing has left
    ended = finish({error.code(), {}, {}, error.what()});
  } catch (...) {
    discard_fragments();
    throw;
  }
  if (ended && !ended->committed()) discard_fragments();
  return ended;
}

/// The turn may belong to a transaction that is being exchanged, of this very thread by
/// commit_later(): the exchange is driven meanwhile.
void TransactionState::take_local_turn() {
  constexpr std::chrono::microseconds look_up{100};
  while (!core->replica->take_local_turn(look_up)) (void)core->node->progress();
}

/// A transaction that no other node hears of.
std::optional<CommitResult> TransactionState::end_here(TransactionRecord& record,
                                                       TransactionRecord& local) {
  if (fragments_sent || !record.ops.empty()) {
    if (core->node) return std::nullopt;
    const std::lock_guard lock(core->commit_lock);
    return finish(result_of(core->replica->commit_alone(record), {}));
  }
  if (local.ops.empty()) {
    ++statistics.read_only;
    core->counters.read_only.fetch_add(1, std::memory_order_relaxed);
    return CommitResult{ErrorCode::ok, snapshots->replicated.csn(), {}, {}};
  }
  take_local_turn();
  return finish(result_of(core->replica->commit_local(local, record, core->lock()), {}));
}

std::optional<CommitResult> TransactionState::try_submit(std::shared_ptr<PendingItem>& item,
                                                         TxnId& id) {
  if (auto duplicate = check_unique()) return finish(std::move(*duplicate));
  auto record = make_record(false);
  auto local_record = core->node ? make_record(true) : TransactionRecord();
  if (auto ended = end_here(record, local_record)) return ended;
  if (const auto* lost = core->replica->hopeless(record)) {
    const auto& type = core->dictionary->class_of(lost->cls);
    const auto row = snapshot_of(type).row(type.id, SlotId{lost->row});
    return finish(
        {ErrorCode::conflict,
         {},
         {},
         "conflict: " + describe_row(*core->dictionary, type.id, SlotId{lost->row}, row) +
             " was changed by a transaction that committed first; run the transaction again"});
  }
  if (sequence == 0) sequence = core->next_sequence.fetch_add(1);
  id = {core->self, sequence};
  // What it read of local classes must hold until its place in the order, too.
  const bool local_part = !local_record.ops.empty() || !local_record.ranges.empty() ||
                          !local_record.rows.empty() || !local_record.classes.empty() ||
                          (local_record.exclusive && core->replica->has_local());
  if (!local_part) return send(record, item);
  take_local_turn();
  if (auto outcome = core->replica->prepare_local(sequence, std::move(local_record));
      outcome.code != ErrorCode::ok) {
    return finish(result_of(std::move(outcome), {}));
  }
  struct Drop {
    TransactionState& state;
    const std::shared_ptr<PendingItem>& item;
    ~Drop() {
      if (!item) state.core->replica->drop_local(state.sequence);
    }
  };
  const Drop unless_sent{*this, item};
  return send(record, item);
}

std::optional<CommitResult> TransactionState::send(TransactionRecord& record,
                                                   std::shared_ptr<PendingItem>& item) {
  record.normalise_ops();
  record.normalise_reads();
  std::vector<std::byte> bytes;
  record.encode(bytes);
  if (bytes.size() > transaction_bytes_max) {
    return finish({ErrorCode::too_large,
                   {},
                   {},
                   "the transaction has " + std::to_string(bytes.size()) +
                       " bytes, more than the " + std::to_string(transaction_bytes_max) +
                       " that one may have: split it"});
  }
  auto sent = core->node->submit(RoundItem::Kind::transaction, sequence, std::move(bytes),
                                 options.priority);
  if (!sent) return finish({sent.status().code(), {}, {}, sent.status().text()});
  item = std::move(*sent);
  core->replica->local_is_sent(sequence, item);
  return std::nullopt;
}

CommitResult TransactionState::commit() {
  require_active();
  if (later) {
    throw Error(ErrorCode::transaction_active,
                "a commit_later() of this connection is on its way: wait() for its result first");
  }
  std::shared_ptr<PendingItem> item;
  TxnId id;
  struct AtEnd {
    TransactionState& state;
    ~AtEnd() { state.end(); }
  };
  const AtEnd at_end{*this};
  if (auto result = submit(item, id)) return std::move(*result);
  return wait_for(*item, id);
}

void TransactionState::commit_later() {
  require_active();
  if (later) {
    throw Error(ErrorCode::transaction_active,
                "a commit_later() of this connection is on its way: wait() for its result first");
  }
  Later pending;
  try {
    if (auto result = submit(pending.item, pending.id)) pending.result = std::move(*result);
  } catch (...) {
    end();
    throw;
  }
  // The agreed horizon is held back until the exchange has answered.
  pending.registered = registered;
  registered.reset();
  later = std::move(pending);
  end();
}

CommitResult TransactionState::take_later() {
  require_connection();
  if (!later)
    throw Error(ErrorCode::transaction_not_active,
                "no commit_later() of this connection is on its way");
  auto pending = std::move(*later);
  later.reset();
  auto result = pending.item ? wait_for(*pending.item, pending.id) : std::move(pending.result);
  if (pending.registered) core->replica->release_open(*pending.registered);
  return result;
}

void TransactionState::send_ahead_if_large() {
  if (!core->node || !(core->mode_mask & cluster_mode_early_data_send)) return;
  if (++writes_since_fragment < writes_between_checks) return;
  writes_since_fragment = 0;
  // Rows made since the last fragment; what was sent and changed again goes with the next.
  std::size_t bytes = 0;
  const auto& entries = work.entries();
  for (auto at = entries_at_fragment; at < entries.size(); ++at) {
    if (entries[at].live() && !work.type_of(entries[at]).local)
      bytes += entries[at].builder.view().bytes().size();
  }
  if (bytes >= fragment_bytes) send_fragment();
}

void TransactionState::send_fragment() {
  const auto ops = work.ops(false, true);
  if (ops.empty()) return;
  if (sequence == 0) sequence = core->next_sequence.fetch_add(1);
  std::vector<std::byte> bytes;
  ByteWriter(bytes).put_varint(first_snapshot.value);
  TransactionRecord::encode_ops(ops, first_snapshot, bytes);
  const auto sent =
      core->node->submit(RoundItem::Kind::fragment, sequence, std::move(bytes), options.priority);
  // Not sent ahead is only slower: the commit then takes it along, or says why it cannot.
  if (!sent.ok()) return;
  fragments_sent = true;
  work.mark_sent();
  entries_at_fragment = work.size();
}

}  // namespace exdb
