// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/certifier.hpp"

#include <unordered_map>

#include "base/assert.hpp"
#include "base/hash.hpp"
#include "schema/row_layout.hpp"

namespace exdb {

namespace {

/// Ops of a transaction from which on it pays to ask for memory ahead.
constexpr std::size_t fetch_keys_from = 8;

/// The key by which messages name a row: of the first unique index of its class. Null without one.
const IndexDef* naming_key(const Dictionary& dictionary, const ClassDef& type, Bytes row,
                           KeyBytes& key) {
  for (const auto id : type.indexes) {
    const auto& index = dictionary.index_of(id);
    if (!index.unique || index.parts.empty()) continue;
    append_key(index, RowView(type, row), key);
    return &index;
  }
  return nullptr;
}

}  // namespace

std::string describe_index_key(const IndexDef& index, Bytes key) {
  return "class " + index.class_name + ", index " + index.name + ", key " +
         describe_key(index, key);
}

std::string describe_row(const Dictionary& dictionary, ClassId cls, SlotId slot,
                         std::optional<Bytes> row) {
  const auto& type = dictionary.class_of(cls);
  if (row) {
    KeyBytes key;
    if (const auto* index = naming_key(dictionary, type, *row, key))
      return describe_index_key(*index, key);
  }
  return "class " + type.name + ", row number " + std::to_string(slot.value);
}

std::string describe_lost_row(const Dictionary& dictionary, ClassId cls, SlotId slot,
                              std::optional<Bytes> at_base, std::optional<Bytes> newest) {
  const auto& type = dictionary.class_of(cls);
  const char* what = " was removed";
  if (newest) {
    // Another key under the same slot: the row has moved to it, or went and another came.
    KeyBytes before, now;
    const bool same = at_base && naming_key(dictionary, type, *at_base, before) != nullptr &&
                      naming_key(dictionary, type, *newest, now) != nullptr && before == now;
    what = same ? " was changed" : " was changed or removed";
  }
  return describe_row(dictionary, cls, slot, at_base) + what;
}

Verdict Certifier::certify(const TransactionRecord& record, bool explain) const {
  if (record.exclusive && storage_.applied() > record.snapshot) {
    return {ErrorCode::conflict,
            explain ? "conflict: another transaction committed while this one was exclusive" : ""};
  }
  if (auto verdict = certify_rows(record, explain); verdict.code != ErrorCode::ok) return verdict;
  if (record.serializable) {
    if (auto verdict = certify_reads(record, explain); verdict.code != ErrorCode::ok)
      return verdict;
  }
  return certify_unique(record, explain);
}

/// `base`: where the transaction has read the row. Its own node, which alone wants the text, has
/// that snapshot pinned while the transaction waits, but for one that waits with commit_later().
Verdict Certifier::row_conflict(ClassId cls, SlotId slot, Csn base, bool read, bool explain) const {
  if (!explain) return {ErrorCode::conflict, ""};
  return {ErrorCode::conflict, "conflict: " +
                                   describe_lost_row(storage_.dictionary(), cls, slot,
                                                     storage_.pinned_row(cls, slot, base),
                                                     storage_.newest_row(cls, slot)) +
                                   " by a transaction that committed first" +
                                   (read ? ", and this serializable transaction has read it" : "") +
                                   "; run the transaction again"};
}

Verdict Certifier::certify_rows(const TransactionRecord& record, bool explain) const {
  for (const auto& op : record.ops) {
    if (!op.names_slot()) continue;
    // That there is a row follows from the csn, unless the record's author has the base wrong.
    const SlotId slot{op.row};
    if (storage_.newest_csn(op.cls, slot) > op.base || !storage_.newest_row(op.cls, slot))
      return row_conflict(op.cls, slot, op.base, false, explain);
  }
  return {};
}

Verdict Certifier::certify_reads(const TransactionRecord& record, bool explain) const {
  if (record.snapshot < log_.floor()) {
    return {ErrorCode::snapshot_too_old,
            explain ? "snapshot too old: too much was committed since this serializable "
                      "transaction began to know "
                      "whether it still holds; make it shorter, or use repeatable read"
                    : ""};
  }
  for (const auto& row : record.rows) {
    if (storage_.newest_csn(row.cls, row.slot) > record.snapshot)
      return row_conflict(row.cls, row.slot, record.snapshot, true, explain);
  }
  for (const auto cls : record.classes) {
    if (log_.class_changed(cls) <= record.snapshot) continue;
    return {ErrorCode::conflict, explain ? "conflict: class " +
                                               storage_.dictionary().class_of(cls).name +
                                               ", which this serializable transaction read as a "
                                               "whole, was changed by a transaction that "
                                               "committed first; run the transaction again"
                                         : ""};
  }
  if (const auto changed = log_.changed_after(record.snapshot, record.ranges)) {
    return {ErrorCode::conflict,
            explain ? "conflict: " +
                          describe_index_key(storage_.dictionary().index_of(changed->index),
                                             changed->key) +
                          " came or went within what this serializable transaction read; run the "
                          "transaction again"
                    : ""};
  }
  return {};
}

namespace {

/// The op for a slot. Made when it is first asked for, which is seldom; a table then, since a
/// transaction that moves all keys of a class asks for each of its rows.
class OpsBySlot {
 public:
  explicit OpsBySlot(const TransactionRecord& record) : record_(record) {}
  const WriteOp* find(ClassId cls, SlotId slot) {
    if (!made_) {
      for (const auto& op : record_.ops) {
        if (op.names_slot()) ops_.emplace(std::pair(op.cls.value, op.row), &op);
      }
      made_ = true;
    }
    const auto found = ops_.find({cls.value, slot.value});
    return found == ops_.end() ? nullptr : found->second;
  }

 private:
  struct Hash {
    std::size_t operator()(const std::pair<std::uint32_t, std::uint64_t>& name) const {
      return hash_word(name.second + (std::uint64_t{name.first} << 40));
    }
  };
  const TransactionRecord& record_;
  bool made_ = false;
  std::unordered_map<std::pair<std::uint32_t, std::uint64_t>, const WriteOp*, Hash> ops_;
};

}  // namespace

/// Asks for the places of the next new keys, which else would be waited for one by one, here and when
/// they enter. Gives the position after the ops whose keys were asked for.
std::size_t Certifier::fetch_keys(std::span<const WriteOp> ops, std::size_t at) const {
  constexpr std::size_t ahead = 16;
  const auto some = ops.first(std::min(ahead, ops.size()));
  KeyBytes key;
  for (const auto& op : some) {
    if (op.kind != WriteOp::Kind::insert) continue;
    const auto& type = storage_.dictionary().class_of(op.cls);
    for (const auto id : type.indexes) {
      const auto& index = storage_.dictionary().index_of(id);
      if (!index.unique || index.parts.empty()) continue;
      key.clear();
      append_key(index, RowView(type, op.bytes), key);
      storage_.fetch_key(id, key);
    }
  }
  return at + some.size();
}

/// Does this transaction itself, by `op`, take `key` away from the row that carries it?
bool Certifier::gives_up(const WriteOp* op, const IndexDef& index, Bytes key) const {
  if (op == nullptr) return false;
  if (op->kind == WriteOp::Kind::remove) return true;
  KeyBytes now;
  append_key(index, RowView(storage_.dictionary().class_of(op->cls), op->bytes), now);
  return compare_keys(now, key) != 0;
}

Verdict Certifier::certify_unique(const TransactionRecord& record, bool explain) const {
  const auto& dictionary = storage_.dictionary();
  KeyBytes key, before;
  OpsBySlot own(record);
  std::size_t fetched = 0;
  for (const auto& op : record.ops) {
    if (op.bytes.empty()) continue;
    const auto at = std::size_t(&op - record.ops.data());
    if (record.ops.size() >= fetch_keys_from && at >= fetched)
      fetched = fetch_keys(std::span(record.ops).subspan(at), at);
    const auto& type = dictionary.class_of(op.cls);
    std::optional<Bytes> row_before;
    if (op.kind == WriteOp::Kind::update) row_before = storage_.newest_row(op.cls, SlotId{op.row});
    for (const auto id : type.indexes) {
      const auto& index = dictionary.index_of(id);
      if (!index.unique || index.parts.empty()) continue;
      // Most updates leave all keys alone: then none is built.
      if (row_before && storage_.key_unchanged(id, *row_before, op.bytes)) continue;
      key.clear();
      append_key(index, RowView(type, op.bytes), key);
      if (row_before) {
        before.clear();
        append_key(index, RowView(type, *row_before), before);
        if (before == key) continue;
      }
      const auto owner = storage_.newest_owner(id, key);
      if (owner == SlotId::none() || gives_up(own.find(op.cls, owner), index, key)) continue;
      // Carried since before the snapshot, it is a duplicate that stays one; otherwise trying again
      // may find it gone.
      const bool raced = storage_.newest_csn(op.cls, owner) > record.snapshot;
      return {raced ? ErrorCode::conflict : ErrorCode::duplicate,
              !explain
                  ? ""
                  : (raced ? "conflict: " : "duplicate key: ") + describe_index_key(index, key) +
                        (raced ? " was taken by a transaction that committed first; run the "
                                 "transaction again"
                               : " is taken by another row")};
    }
  }
  return {};
}

void Certifier::apply(const TransactionRecord& record, Csn csn) {
  for (const auto& op : record.ops) {
    switch (op.kind) {
      case WriteOp::Kind::insert:
        storage_.insert(op.cls, op.bytes, csn);
        if (const auto* own = storage_.dictionary().class_of(op.cls).autoid)
          autoid_seen(load_at<std::uint64_t>(op.bytes, own->offset));
        break;
      case WriteOp::Kind::update:
        storage_.update(op.cls, SlotId{op.row}, op.bytes, csn);
        break;
      case WriteOp::Kind::remove:
        storage_.remove(op.cls, SlotId{op.row}, csn);
        break;
      case WriteOp::Kind::cancel:
        EXDB_ASSERT(false, "a cancelled insert is gone before certification");
        break;
    }
    log_.class_changed(op.cls, csn);
  }
}

Status Certifier::validate(const TransactionRecord& record) const {
  const auto& dictionary = storage_.dictionary();
  const auto refuse = [](const std::string& what) {
    return Status(ErrorCode::cluster_protocol,
                  "a transaction record from a node is not valid: " + what);
  };
  for (const auto& op : record.ops) {
    if (dictionary.class_of(op.cls).local && op.kind != WriteOp::Kind::cancel) {
      return refuse("it writes local class " + dictionary.class_of(op.cls).name);
    }
    if (op.names_slot()) {
      // A slot that was changed since is a conflict like any other; one that was never used is
      // nonsense.
      if (storage_.newest_csn(op.cls, SlotId{op.row}) == Csn{0})
        return refuse("it names a row that never was");
    }
    if (op.kind == WriteOp::Kind::insert || op.kind == WriteOp::Kind::update) {
      if (auto status = validate_row(dictionary, op.cls, op.bytes); !status)
        return refuse(status.text());
    }
  }
  return {};
}

}  // namespace exdb
