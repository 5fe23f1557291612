// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How transactions commit: decide() says what becomes of one; everything it calls is a part of that
// answer and decides nothing else.
#include <algorithm>
#include <tuple>

#include "base/hash.hpp"
#include "database/transaction.hpp"

namespace exdb {
namespace {

CommitResult refused(ErrorCode code, std::string text) { return {code, {}, {}, std::move(text)}; }

}  // namespace

/// In this order: what this process alone can see to be wrong costs no exchange, and what need not
/// leave it does not.
HandedOver Transaction::decide() {
  if (auto taken = taken_key()) return ended(std::move(*taken));
  make_outgoing();
  auto& out = out_;
  // Parts that went ahead need their commit, even if all of it was taken back since.
  const bool leaves = fragments_.sent() != 0 || !out.shared.ops.empty();
  if (!leaves && out.local.ops.empty()) return nothing_written();
  if (route_.history() != view_.history()) {
    const auto why = history_given_up();
    return ended(refused(why.code(), why.text()));
  }
  if (!leaves) {
    auto outcome = route_.commit_local(out);
    return ended({outcome.code, outcome.csn, {}, std::move(outcome.text)});
  }
  if (const auto status = check_early_autoids(); !status.ok())
    return ended(refused(status.code(), status.text()));
  // A look at a word a row, against an exchange that is sure to end in a conflict.
  if (const auto* lost = route_.hopeless(out.shared)) return ended(lost_row(*lost));
  out.id = fragments_.id();
  auto item = route_.submit(out);
  if (!item) return ended(refused(item.status().code(), item.status().text()));
  return {std::move(*item), out.id, {}};
}

/// Whatever ends it short of the order, the parts that went ahead are taken back.
HandedOver Transaction::hand_over() {
  HandedOver handed;
  own_keys_.clear();  // what follows looks at all keys by itself, and needs the room
  try {
    handed = decide();
  } catch (const Error& error) {  // a key beyond the limit: nothing has left
    handed = ended(refused(error.code(), error.what()));
  } catch (...) {
    fragments_.discard();
    throw;
  }
  if (!handed.item && !handed.result.committed()) fragments_.discard();
  return handed;
}

CommitResult Transaction::commit() {
  require_active();
  require_no_later();
  struct AtEnd {
    Transaction& transaction;
    ~AtEnd() { transaction.end(); }
  };
  const AtEnd at_end{*this};
  return take_answer(hand_over());
}

void Transaction::commit_later() {
  require_active();
  require_no_later();
  struct AtEnd {
    Transaction& transaction;
    ~AtEnd() { transaction.end(); }
  };
  const AtEnd at_end{*this};
  out_.later = true;
  auto handed = hand_over();
  later_.emplace(LaterCommit{std::move(handed), std::move(open_place_)});
}

CommitResult Transaction::wait_later() {
  require_connection();
  if (!later_) {
    throw Error(ErrorCode::transaction_not_active,
                "no commit_later() of this connection is on its way");
  }
  // Taken out first: whatever becomes of the waiting, this commit is asked for once.
  auto later = std::move(*later_);
  later_.reset();
  return take_answer(std::move(later.handed));
}

CommitResult Transaction::take_answer(HandedOver handed) {
  if (!handed.item) return std::move(handed.result);
  auto outcome = route_.wait(*handed.item);
  if (outcome.code == ErrorCode::unknown_outcome)
    outcome.text += "; ask outcome((" + std::to_string(handed.id.origin.value) + ", " +
                    std::to_string(handed.id.sequence) + "))" +
                    (core_->node ? ", here or on another node" : ", there");
  return counted({outcome.code, outcome.csn, handed.id, std::move(outcome.text)});
}

HandedOver Transaction::ended(CommitResult result) { return {{}, {}, counted(std::move(result))}; }

CommitResult Transaction::counted(CommitResult result) {
  auto& counters = core_->counters;
  if (result.committed()) {
    ++statistics_.committed;
    counters.committed.fetch_add(1, std::memory_order_relaxed);
    return result;
  }
  ++statistics_.aborted;
  counters.aborted.fetch_add(1, std::memory_order_relaxed);
  if (result.code == ErrorCode::conflict) {
    ++statistics_.conflicts;
    counters.conflicts.fetch_add(1, std::memory_order_relaxed);
  }
  return result;
}

/// Counted apart: a rate of commits is a rate of exchanges, and this is none.
HandedOver Transaction::nothing_written() {
  ++statistics_.read_only;
  core_->counters.read_only.fetch_add(1, std::memory_order_relaxed);
  return {{}, {}, {ErrorCode::ok, view_.now()->replicated.csn(), {}, {}}};
}

/// U2 of autoids.hpp. Who runs the transaction again gets ids above the state.
Status Transaction::check_early_autoids() const {
  if (early_autoid_ == 0) return {};
  if (auto status = route_.fresh(); !status.ok()) return status;
  if (early_autoid_ > core_->replica->autoids_seen()) return {};
  return {ErrorCode::conflict,
          "conflict: ids of objects that this transaction was given before this node had the state "
          "of the cluster may have been given in its life before; run the transaction again"};
}

/// Of the row as this transaction saw it: who has the slot now may be another row.
CommitResult Transaction::lost_row(const WriteOp& lost) const {
  const auto& type = dictionary().class_of(lost.cls);
  const SlotId slot{lost.row};
  // Under read_committed a later statement may see another row in the slot than the one read.
  const auto& shown = view_.of(type);
  const auto at_base = shown.csn() == lost.base ? shown.row(type.id, slot) : std::nullopt;
  auto now = route_.pin();
  const auto newest = now.ok() ? view_.in(*now.value(), type).row(type.id, slot) : std::nullopt;
  return refused(ErrorCode::conflict,
                 "conflict: " + describe_lost_row(dictionary(), type.id, slot, at_base, newest) +
                     " by a transaction that committed first; run the transaction again");
}

namespace {

/// A unique key that a transaction adds or keeps.
struct OwnKey {
  IndexId index;
  std::uint32_t at;  ///< among the entries
  std::uint64_t hash;
};

/// The first key that two entries carry. Hashes first: they are sorted as words, and keys of rows are
/// made again only where two are equal.
const IndexDef* carried_twice(const Dictionary& dictionary, Workspace& work,
                              std::vector<OwnKey>& keys, KeyBytes& key) {
  const auto name = [](const OwnKey& own) { return std::tie(own.index, own.hash); };
  std::sort(keys.begin(), keys.end(),
            [&](const OwnKey& a, const OwnKey& b) { return name(a) < name(b); });
  KeyBytes other;
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
    for (auto j = i + 1; j < keys.size() && name(keys[j]) == name(keys[i]); ++j) {
      const auto& index = dictionary.index_of(keys[i].index);
      key.clear();
      append_key(index, work.entry(keys[i].at).builder.view(), key);
      other.clear();
      append_key(index, work.entry(keys[j].at).builder.view(), other);
      if (key == other) return &index;
    }
  }
  return nullptr;
}

}  // namespace

/// A unique key that the snapshot shows to be taken stays taken unless this transaction frees it:
/// the row's owner would conflict otherwise. The certifier asks again, of the newest state. The keys
/// are not put in order for that, which would cost more than the row.
std::optional<CommitResult> Transaction::taken_key() {
  const auto taken = [](const IndexDef& index, Bytes key, const char* by) {
    return refused(ErrorCode::duplicate, "duplicate key: " + describe_index_key(index, key) + by);
  };
  const bool one = work_.size() == 1;
  if (!one && all_keys_looked_at()) return std::nullopt;
  std::vector<OwnKey> own;
  KeyBytes key;
  for (std::size_t at = 0; at < work_.size(); ++at) {
    const auto& entry = work_.entry(at);
    if (!entry.live()) continue;
    const auto& type = work_.type_of(entry);
    const auto& snapshot = view_.of(type);
    const auto row = entry.builder.view();
    std::optional<Bytes> before;
    if (!entry.id.is_new()) before = snapshot.row(type.id, entry.id.slot());
    for (const auto id : type.indexes) {
      const auto& index = dictionary().index_of(id);
      if (index.parts.empty()) continue;
      const bool same = before && snapshot.key_unchanged(id, *before, row.bytes());
      if (same && (one || !index.unique)) continue;
      key.clear();
      append_key(index, row, key);  // of the others, too: one that is too long is refused here
      if (!index.unique) continue;
      if (!one) own.push_back({id, std::uint32_t(at), hash_bytes(key)});
      if (same) continue;
      const auto owner = snapshot.find(id, key);
      if (owner != SlotId::none() && !shadowed(type.id, owner))
        return taken(index, key, " is taken by another row");
    }
  }
  if (const auto* index = carried_twice(dictionary(), work_, own, key))
    return taken(*index, key, " is carried by two rows of this transaction");
  return std::nullopt;
}

/// Rows that came by columns alone: each was held against the snapshot, and against all before it.
bool Transaction::all_keys_looked_at() {
  const auto& entries = work_.entries();
  return std::all_of(entries.begin(), entries.end(), [](const WorkEntry& entry) {
    return entry.keys_free || entry.state == WorkEntry::State::cancelled;
  });
}

void Transaction::make_outgoing() {
  out_.priority = options_.priority;
  make_record(false, out_.shared);
  out_.shared.parts = fragments_.sent();
  if (route_.separates_local()) make_record(true, out_.local);
}

/// Reads travel only where somebody will certify them: under snapshot isolation the rows written
/// and the keys added say it all. REQUIRES: it is empty.
void Transaction::make_record(bool local, TransactionRecord& record) {
  record.snapshot = view_.first(local);
  record.history = view_.history();
  record.serializable = records_reads();
  record.exclusive = options_.type == TransactionType::exclusive;
  work_.ops(local, route_.separates_local(), record.ops);
  if (!record.serializable) return;
  const auto here = [&](ClassId cls) {
    return route_.is_local(dictionary().class_of(cls)) == local;
  };
  for (const auto& range : work_.ranges) {
    if (here(dictionary().index_of(range.index).class_id)) record.ranges.push_back(range);
  }
  for (const auto& seen : work_.rows) {
    if (here(seen.cls)) record.rows.push_back(seen);
  }
  for (const auto cls : work_.whole_classes) {
    if (here(cls)) record.classes.push_back(cls);
  }
}

}  // namespace exdb
