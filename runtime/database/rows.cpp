// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rows as a transaction sees them: its own writes over its snapshot.
#include "database/transaction_state.hpp"
#include "exdb/connection.hpp"

namespace exdb {

// ---- TransactionState ----

std::optional<RowView> TransactionState::row(const ClassDef& type, RowId id) {
  if (const auto* entry = work.find(type.id, id)) {
    return entry->live() ? std::optional(entry->builder.view()) : std::nullopt;
  }
  if (id.is_new()) return std::nullopt;
  const auto bytes = snapshot_of(type).row(type.id, id.slot());
  return bytes ? std::optional(RowView(type, *bytes)) : std::nullopt;
}

namespace {
[[noreturn]] void throw_removed(const ClassDef& type) {
  throw Error(ErrorCode::invalid_handle, "this row of class " + type.name + " has been removed");
}
}  // namespace

WorkEntry& TransactionState::writable(const ClassDef& type, RowId id) {
  require_writable();
  if (auto* entry = work.find(type.id, id)) {
    if (!entry->live()) throw_removed(type);
    work.touch(*entry, type.id);
    return *entry;
  }
  const auto& snapshot = snapshot_of(type);
  const auto bytes = id.is_new() ? std::nullopt : snapshot.row(type.id, id.slot());
  if (!bytes) throw_removed(type);
  return work.update(type, id.slot(), *bytes, snapshot.csn());
}

void TransactionState::remove(const ClassDef& type, RowId id) {
  require_writable();
  if (auto* entry = work.find(type.id, id)) {
    if (!entry->live()) throw_removed(type);
    work.remove(*entry, type);
    return;
  }
  const auto& snapshot = snapshot_of(type);
  if (id.is_new() || !snapshot.row(type.id, id.slot())) throw_removed(type);
  work.remove(type, id.slot(), snapshot.csn());
}

void TransactionState::saw(const ClassDef& type, RowId id) {
  if (records_reads() && !id.is_new()) work.rows.push_back({type.id, id.slot()});
}

std::optional<RowId> TransactionState::find(const IndexDef& index, Bytes key) {
  const auto& type = core->dictionary->class_of(index.class_id);
  const auto& snapshot = snapshot_of(type);
  if (records_reads()) work.ranges.push_back({index.id, KeyBytes(key), key_successor(key)});

  std::optional<RowId> found;
  if (!work.touches(type.id)) {
    const auto slot = snapshot.find(index.id, key);
    if (slot != SlotId::none()) found = RowId::of(slot);
  } else {
    std::vector<SlotId> slots;
    snapshot.find_all(index.id, key, slots);
    for (const auto slot : slots) {
      if (shadowed(type.id, slot)) continue;
      found = RowId::of(slot);
      break;
    }
    work.settle(type.id);
    const auto& own = work.keys(index.id);
    const auto mine = own.lower_bound({KeyBytes(key), RowId{}});
    if (mine != own.end() && compare_keys(mine->first, key) == 0 &&
        (!found || mine->second < *found))
      found = mine->second;
  }
  if (found) saw(type, *found);
  return found;
}

// ---- Object ----

namespace {
const ClassDef& class_of(const TransactionState* state, ClassId cls) {
  if (!state) throw Error(ErrorCode::invalid_handle, "this object refers to no row");
  return state->core->dictionary->class_of(cls);
}
}  // namespace

const ClassDef& Object::type() const { return class_of(state_, class_); }

bool Object::valid() const {
  return state_ && state_->active && state_->generation == generation_ &&
         state_->row(type(), RowId{row_}).has_value();
}

RowView Object::row() const {
  const auto& of = type();
  state_->require_active();
  state_->require_generation(generation_, "an object");
  const auto seen = state_->row(of, RowId{row_});
  if (!seen) throw_removed(of);
  return *seen;
}

RowView Object::row(std::shared_ptr<const void>& hold) const {
  const auto seen = row();
  if (!state_->work.find(class_, RowId{row_})) {
    hold = state_->snapshots;
    return seen;
  }
  // Its own write: the builder goes on changing, so the view gets a copy, aligned as rows are.
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  const auto size = seen.bytes().size();
  const auto copy = std::make_shared<std::vector<Line>>((size + sizeof(Line) - 1) / sizeof(Line));
  std::memcpy(copy->data(), seen.bytes().data(), size);
  hold = copy;
  return {type(), Bytes(copy->data()->bytes, size)};
}

Value Object::get(std::string_view path) const { return row().value(path); }

RowBuilder& Object::writable() {
  const auto& of = type();
  state_->require_active();
  state_->require_generation(generation_, "an object");
  auto& entry = state_->writable(of, RowId{row_});
  state_->send_ahead_if_large();
  // Sent ahead just now: what is written next is newer.
  state_->work.touch(entry, class_);
  return entry.builder;
}

void Object::set(std::string_view path, const Value& value) { writable().set(path, value); }
void Object::set(const FieldDef& field, const Value& value) { writable().set(field, value); }
void Object::set_raw(const FieldDef& field, FieldType type, std::span<const std::byte> elements) {
  writable().set_raw(field, type, elements);
}

void Object::store_scalar(const FieldPlace& place, const void* value, std::size_t size) {
  writable().store_scalar(place, value, size);
}
void Object::store_bytes(const FieldPlace& place, Bytes value) {
  writable().store_bytes(place, value);
}
void Object::store_elements(const FieldPlace& place, Bytes elements) {
  writable().store_elements(place, elements);
}

void Object::remove() {
  const auto& of = type();
  state_->require_active();
  state_->require_generation(generation_, "an object");
  state_->remove(of, RowId{row_});
}

bool Object::operator==(const Object& other) const {
  return state_ == other.state_ && generation_ == other.generation_ && class_ == other.class_ &&
         row_ == other.row_;
}

}  // namespace exdb
