// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/workspace.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {

namespace {

/// More than this is not kept from one transaction for the next.
constexpr std::size_t entries_kept = 16, row_bytes_kept = 4096;

}  // namespace

/// What was written and taken back again leaves a class touched, and a transaction that only reads
/// has walks too: it is not the entries that tell whether there is something to clear.
void Workspace::clear() {
  walked_.clear();
  if (std::exchange(wrote_, false)) {
    const bool small = entries_.size() <= entries_kept;
    for (auto& work : classes_) {
      if (!work.written) continue;
      if (!small) {
        work = {};
        continue;
      }
      work.written = false;
      work.by_slot.clear();
      work.inserted.clear();
      work.unsettled.clear();
      work.hidden = {};
    }
    for (auto& entry : entries_) {
      if (!small || spare_builders_.size() == entries_kept) break;
      if (entry.builder.view().bytes().size() <= row_bytes_kept)
        spare_builders_.push_back(std::move(entry.builder));
    }
    keys_.clear();
    entries_.clear();
    for (auto& room : rooms_) LargeBuffers::shared().give(std::move(room));
    rooms_.clear();
    ++erasures_;
  }
  ranges.clear();
  rows.clear();
  whole_classes.clear();
}

WorkEntry* Workspace::find(ClassId cls, RowId row) {
  if (row.is_new()) return row.entry() < entries_.size() ? &entries_[row.entry()] : nullptr;
  auto& work = classes_[cls.value];
  if (!work.written) return nullptr;
  const auto found = work.by_slot.find(row.value);
  return found == work.by_slot.end() ? nullptr : &entries_[found->second];
}

WorkEntry& Workspace::add(const ClassDef& type, WorkEntry&& entry, std::size_t at) {
  auto& work = classes_[type.id.value];
  work.written = wrote_ = true;
  entry.written = moment_;
  if (entry.id.is_new()) {
    work.inserted.push_back(at);
  } else {
    const bool fresh = work.by_slot.try_emplace(entry.id.value, at).second;
    EXDB_ASSERT(fresh, "W1: one entry a row");
  }
  if (entry.live()) work.unsettled.push_back(at);
  entries_.push_back(std::move(entry));
  return entries_.back();
}

RowBuilder Workspace::spare_builder() {
  auto builder = std::move(spare_builders_.back());
  spare_builders_.pop_back();
  return builder;
}

WorkEntry Workspace::new_entry(const ClassDef& type, RowId id) {
  if (spare_builders_.empty()) return {id, RowBuilder(type)};
  WorkEntry entry(id, spare_builder());
  entry.builder.reset(type);
  return entry;
}

WorkEntry Workspace::new_entry(const ClassDef& type, RowId id, Bytes row) {
  if (spare_builders_.empty()) return {id, RowBuilder(type, row)};
  WorkEntry entry(id, spare_builder());
  entry.builder.reset(type, row);
  return entry;
}

WorkEntry& Workspace::insert(const ClassDef& type) {
  const auto at = entries_.size();
  return add(type, new_entry(type, RowId::of_new(at)), at);
}

WorkEntry& Workspace::insert(const ClassDef& type, Bytes row) {
  const auto at = entries_.size();
  return add(type, WorkEntry(RowId::of_new(at), type, row), at);
}

std::byte* Workspace::rows_room(std::size_t bytes) {
  return rooms_.emplace_back(LargeBuffers::shared().bytes(bytes)).data();
}

WorkEntry& Workspace::update(const ClassDef& type, SlotId slot, Bytes row, Csn base) {
  auto entry = new_entry(type, RowId::of(slot), row);
  entry.state = WorkEntry::State::updated;
  entry.base = base;
  return add(type, std::move(entry), entries_.size());
}

void Workspace::take_back_update(const ClassDef& type) {
  auto& entry = entries_.back();
  EXDB_ASSERT(entry.state == WorkEntry::State::updated && !entry.settled && !entry.sent_once,
              "an update is taken back at once or not at all");
  auto& work = classes_[type.id.value];
  work.by_slot.erase(entry.id.value);
  work.unsettled.pop_back();
  entries_.pop_back();
}

void Workspace::remove(const ClassDef& type, SlotId slot, Csn base) {
  auto entry = new_entry(type, RowId::of(slot));
  entry.state = WorkEntry::State::removed;
  entry.base = base;
  add(type, std::move(entry), entries_.size());
}

void Workspace::remove(WorkEntry& entry, const ClassDef& type) {
  entry.state = entry.id.is_new() ? WorkEntry::State::cancelled : WorkEntry::State::removed;
  unsettle(entry, type);
  entry.sent = false;
}

void Workspace::touch(WorkEntry& entry, ClassId cls) {
  entry.sent = entry.keys_free = false;
  if (!entry.settled) return;
  unsettle(entry, dictionary_.class_of(cls));
  const auto at =
      entry.id.is_new() ? entry.id.entry() : classes_[cls.value].by_slot.at(entry.id.value);
  classes_[cls.value].unsettled.push_back(at);
}

void Workspace::unsettle(WorkEntry& entry, const ClassDef& type) {
  if (!entry.settled) return;
  for (std::size_t i = 0; i < type.indexes.size(); ++i) {
    if (dictionary_.index_of(type.indexes[i]).parts.empty()) continue;
    if (entry.live()) keep_for_walks(type.indexes[i], entry, entry.keys[i]);
    keys_[type.indexes[i]].erase({entry.keys[i], entry.id});
  }
  ++erasures_;
  entry.settled = false;
}

/// Copies for each walk, and not one set with the life of each key: a cursor that is left open would
/// make every walk after it pass over all keys that were there for that cursor alone.
void Workspace::keep_for_walks(IndexId index, const WorkEntry& entry, const KeyBytes& key) {
  const auto found = walked_.find(index);
  if (found == walked_.end()) return;
  for (const auto& watched : found->second.watched) {
    const auto past = watched.lock();
    if (past && entry.keyed < past->moment && past->bounds.low <= key &&
        (past->bounds.high.empty() || key < past->bounds.high))
      past->keys.insert({key, entry.id});
  }
}

std::shared_ptr<PastKeys> Workspace::watch(IndexId index, Moment moment, const KeyRange& bounds) {
  auto& walks = walked_[index];
  if (walks.watched.size() >= walks.clean_at) {
    std::erase_if(walks.watched, [](const auto& each) { return each.expired(); });
    walks.clean_at = std::max<std::size_t>(16, 2 * walks.watched.size());
  }
  auto past = std::make_shared<PastKeys>(PastKeys{moment, bounds, {}});
  walks.watched.push_back(past);
  return past;
}

void Workspace::settle(ClassId cls) {
  auto& work = classes_[cls.value];
  const auto& type = dictionary_.class_of(cls);
  for (const auto at : work.unsettled) {
    auto& entry = entries_[at];
    if (entry.settled || !entry.live()) continue;
    // All keys before any of them is entered: one that is too long throws, and leaves none behind.
    entry.keys.resize(type.indexes.size());
    for (std::size_t i = 0; i < type.indexes.size(); ++i) {
      entry.keys[i].clear();
      append_key(dictionary_.index_of(type.indexes[i]), entry.builder.view(), entry.keys[i]);
    }
    for (std::size_t i = 0; i < type.indexes.size(); ++i) {
      const auto& index = dictionary_.index_of(type.indexes[i]);
      if (!index.parts.empty()) keys_[index.id].insert({entry.keys[i], entry.id});
    }
    entry.settled = true;
    entry.keyed = moment_;
  }
  work.unsettled.clear();
}

const Workspace::Keys& Workspace::keys(IndexId index) const {
  static const Keys none;
  const auto found = keys_.find(index);
  return found == keys_.end() ? none : found->second;
}

void Workspace::append_op(WorkEntry& entry, std::vector<WriteOp>& ops) {
  WriteOp op;
  op.cls = type_of(entry).id;
  op.row = entry.id.is_new() ? entry.id.entry() : entry.id.value;
  op.base = entry.base;
  switch (entry.state) {
    case WorkEntry::State::inserted:
      op.kind = WriteOp::Kind::insert;
      break;
    case WorkEntry::State::updated:
      op.kind = WriteOp::Kind::update;
      break;
    case WorkEntry::State::removed:
      op.kind = WriteOp::Kind::remove;
      break;
    case WorkEntry::State::cancelled:
      if (!entry.sent_once) return;
      op.kind = WriteOp::Kind::cancel;
      break;
  }
  if (entry.live()) op.bytes = entry.builder.finish();
  ops.push_back(op);
}

void Workspace::ops(bool local, bool clustered, std::vector<WriteOp>& ops) {
  if (!local) ops.reserve(ops.size() + entries_.size());
  for (auto& entry : entries_) {
    if (!entry.sent && (!clustered || type_of(entry).local == local)) append_op(entry, ops);
  }
}

std::vector<WriteOp> Workspace::ops_of(std::span<WorkEntry* const> entries) {
  std::vector<WriteOp> ops;
  ops.reserve(entries.size());
  for (auto* entry : entries) append_op(*entry, ops);
  return ops;
}

}  // namespace exdb
