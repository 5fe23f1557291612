// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rows as a transaction sees them: its own writes over its snapshot.
#include "database/transaction_state.hpp"
#include "exdb/connection.hpp"

namespace exdb {

// ---- TransactionState ----

namespace {
[[noreturn]] void throw_removed(const ClassDef& type) {
  throw Error(ErrorCode::invalid_handle, "this row of class " + type.name + " has been removed");
}
}  // namespace

void TransactionState::throw_changed(const ClassDef& type) const {
  throw Error(ErrorCode::invalid_handle,
              "this row of class " + type.name +
                  " was changed or removed by a commit after the statement that found it, and the "
                  "transaction is read_committed: find it again");
}

/// A slot whose row was removed by a later commit may hold another row in a later snapshot.
WorkEntry* TransactionState::entry_of(const ClassDef& type, RowHandle handle) {
  auto* entry = work.find(type.id, handle.row());
  if (!entry || statements.empty() || handle.row().is_new()) return entry;
  const auto& found = statements[handle.statement()];
  const auto at = core->replica->is_local(type) ? found.local : found.replicated;
  if (at < entry->base && core->replica->newest_change(type, handle.row().slot()) > at)
    throw_changed(type);
  return entry;
}

std::shared_ptr<Snapshots> TransactionState::shown_to(const ClassDef& type, RowHandle handle) {
  if (statements.empty() || handle.statement() == statement_number()) return snapshots;
  const auto& past = statements[handle.statement()];
  if (auto shown = past.shown.lock()) return shown;
  const auto at = core->replica->is_local(type) ? past.local : past.replicated;
  if (core->replica->newest_change(type, handle.row().slot()) > at) throw_changed(type);
  return snapshots;
}

std::optional<RowView> TransactionState::row(const ClassDef& type, RowHandle handle) {
  const auto id = handle.row();
  if (const auto* entry = entry_of(type, handle)) {
    return entry->live() ? std::optional(entry->builder.view()) : std::nullopt;
  }
  if (id.is_new()) return std::nullopt;
  const auto shown = shown_to(type, handle);
  const auto bytes = snapshot_in(*shown, type).row(type.id, id.slot());
  return bytes ? std::optional(RowView(type, *bytes)) : std::nullopt;
}

WorkEntry& TransactionState::writable(const ClassDef& type, RowHandle handle) {
  if (auto* entry = entry_of(type, handle)) {
    if (!entry->live()) throw_removed(type);
    work.touch(*entry, type.id);
    return *entry;
  }
  if (handle.row().is_new()) throw_removed(type);
  const auto shown = shown_to(type, handle);
  const auto& snapshot = snapshot_in(*shown, type);
  const auto slot = handle.row().slot();
  const auto bytes = snapshot.row(type.id, slot);
  if (!bytes) throw_removed(type);
  return work.update(type, slot, *bytes, snapshot.csn());
}

void TransactionState::remove(const ClassDef& type, RowHandle handle) {
  require_writable();
  if (auto* entry = entry_of(type, handle)) {
    if (!entry->live()) throw_removed(type);
    work.remove(*entry, type);
    return;
  }
  if (handle.row().is_new()) throw_removed(type);
  const auto shown = shown_to(type, handle);
  const auto& snapshot = snapshot_in(*shown, type);
  const auto slot = handle.row().slot();
  if (!snapshot.row(type.id, slot)) throw_removed(type);
  work.remove(type, slot, snapshot.csn());
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
  if (!state_ || !state_->active || state_->generation != generation_) return false;
  try {
    return state_->row(type(), RowHandle{row_}).has_value();
  } catch (const Error&) {  // read_committed: it cannot be known any more
    return false;
  }
}

RowView Object::row() const {
  const auto& of = type();
  state_->require_active();
  state_->require_generation(generation_, "an object");
  const auto seen = state_->row(of, RowHandle{row_});
  if (!seen) throw_removed(of);
  return *seen;
}

RowView Object::row(std::shared_ptr<const void>& hold) const {
  const auto seen = row();
  const RowHandle handle{row_};
  if (!state_->work.find(class_, handle.row())) {
    hold = state_->shown_to(type(), handle);
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

namespace {
void require_handle(const TransactionState& state, std::uint64_t generation) {
  state.require_active();
  state.require_generation(generation, "an object");
}
}  // namespace

RowBuilder& Object::writable() {
  const auto& of = type();
  require_handle(*state_, generation_);
  state_->require_writable();
  state_->send_ahead_if_large();
  return state_->writable(of, RowHandle{row_}).builder;
}

namespace {
/// A setter that throws leaves the transaction as it was: a row that it did not write before, too.
template <class Set>
void all_or_nothing(TransactionState* state, ClassId cls, Set&& set) {
  const auto before = state ? state->work.size() : 0;
  try {
    set();
  } catch (...) {
    if (state && state->work.size() != before)
      state->work.take_back_update(state->core->dictionary->class_of(cls));
    throw;
  }
}
}  // namespace

void Object::set(std::string_view path, const Value& value) {
  all_or_nothing(state_, class_, [&] { writable().set(path, value); });
}
void Object::set(const FieldDef& field, const Value& value) {
  all_or_nothing(state_, class_, [&] { writable().set(field, value); });
}
void Object::set_raw(const FieldDef& field, FieldType type, std::span<const std::byte> elements) {
  all_or_nothing(state_, class_, [&] { writable().set_raw(field, type, elements); });
}
void Object::store_scalar(const FieldPlace& place, const void* value, std::size_t size) {
  all_or_nothing(state_, class_, [&] { writable().store_scalar(place, value, size); });
}
void Object::store_bytes(const FieldPlace& place, Bytes value) {
  all_or_nothing(state_, class_, [&] { writable().store_bytes(place, value); });
}
void Object::store_elements(const FieldPlace& place, Bytes elements) {
  all_or_nothing(state_, class_, [&] { writable().store_elements(place, elements); });
}

void Object::remove() {
  const auto& of = type();
  require_handle(*state_, generation_);
  state_->remove(of, RowHandle{row_});
}

bool Object::operator==(const Object& other) const {
  return state_ == other.state_ && generation_ == other.generation_ && class_ == other.class_ &&
         RowHandle{row_}.row() == RowHandle{other.row_}.row();
}

}  // namespace exdb
