// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rows as a transaction sees them: its own writes over its snapshot.
#include "database/transaction.hpp"
#include "exdb/connection.hpp"

namespace exdb {

// ---- Transaction ----

namespace {
[[noreturn]] void throw_removed(const ClassDef& type) {
  throw Error(ErrorCode::invalid_handle, "this row of class " + type.name + " has been removed");
}
}  // namespace

/// The entry of a row, or null; throws when it may be of another row that has the slot now.
WorkEntry* Transaction::entry_of(const ClassDef& type, RowHandle handle) {
  auto* entry = work_.find(type.id, handle.row());
  if (entry) view_.require_same_row(type, handle, entry->base);
  return entry;
}

std::optional<RowView> Transaction::row(const ClassDef& type, RowHandle handle) {
  const auto id = handle.row();
  if (const auto* entry = entry_of(type, handle)) {
    return entry->live() ? std::optional(entry->builder.view()) : std::nullopt;
  }
  if (id.is_new()) return std::nullopt;
  const auto shown = view_.shown_to(type, handle);
  const auto bytes = view_.in(*shown, type).row(type.id, id.slot());
  return bytes ? std::optional(RowView(type, *bytes)) : std::nullopt;
}

WorkEntry& Transaction::writable(const ClassDef& type, RowHandle handle) {
  if (auto* entry = entry_of(type, handle)) {
    if (!entry->live()) throw_removed(type);
    work_.touch(*entry, type.id);
    return *entry;
  }
  if (handle.row().is_new()) throw_removed(type);
  const auto shown = view_.shown_to(type, handle);
  const auto& snapshot = view_.in(*shown, type);
  const auto slot = handle.row().slot();
  const auto bytes = snapshot.row(type.id, slot);
  if (!bytes) throw_removed(type);
  return work_.update(type, slot, *bytes, snapshot.csn());
}

void Transaction::remove(const ClassDef& type, RowHandle handle) {
  begin_write();
  if (auto* entry = entry_of(type, handle)) {
    if (!entry->live()) throw_removed(type);
    work_.remove(*entry, type);
    fragments_.wrote(*entry);
    return;
  }
  if (handle.row().is_new()) throw_removed(type);
  const auto shown = view_.shown_to(type, handle);
  const auto& snapshot = view_.in(*shown, type);
  const auto slot = handle.row().slot();
  if (!snapshot.row(type.id, slot)) throw_removed(type);
  require_room_for(type, 0);
  work_.remove(type, slot, snapshot.csn());
  fragments_.wrote(work_.entry(work_.size() - 1));
}

void Transaction::saw(const ClassDef& type, RowId id) {
  if (records_reads() && !id.is_new()) work_.rows.push_back({type.id, id.slot()});
}

// ---- Object ----

namespace {
const ClassDef& class_of(const Transaction* state, ClassId cls) {
  if (!state) throw Error(ErrorCode::invalid_handle, "this object refers to no row");
  return state->dictionary().class_of(cls);
}
}  // namespace

const ClassDef& Object::type() const { return class_of(state_, class_); }

bool Object::valid() const {
  if (!state_ || !state_->active() || state_->generation() != generation_) return false;
  try {
    return state_->row(type(), RowHandle{row_}).has_value();
  } catch (const Error&) {  // read_committed: it cannot be known any more
    return false;
  }
}

RowView Object::row() const {
  const auto& of = type();
  state_->require_generation(generation_, "an object");
  const auto seen = state_->row(of, RowHandle{row_});
  if (!seen) throw_removed(of);
  return *seen;
}

RowView Object::row(std::shared_ptr<const void>& hold) const {
  const auto seen = row();
  const RowHandle handle{row_};
  if (!state_->work().find(class_, handle.row())) {
    hold = state_->view().shown_to(type(), handle);
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
void require_handle(const Transaction& state, std::uint64_t generation) {
  state.require_generation(generation, "an object");
}
}  // namespace

/// A setter that throws leaves the transaction as it was: a row that it did not write before, too.
template <class Set>
void Object::change(std::size_t incoming, Set&& set) {
  const auto& of = type();
  require_handle(*state_, generation_);
  state_->write(of, RowHandle{row_}, incoming, std::forward<Set>(set));
}

namespace {
/// At least what a row grows by when it is given this value.
std::size_t bytes_of(const Value& value) {
  constexpr std::size_t reference_bytes = 16, vector_alignment_bytes = 64;
  std::size_t bytes = reference_bytes;
  switch (value.kind()) {
    case Value::Kind::text:
      return bytes + value.as_text().size();
    case Value::Kind::bytes:
      return bytes + value.as_bytes().size();
    case Value::Kind::list:
      bytes += vector_alignment_bytes;
      for (const auto& each : value.as_list()) bytes += bytes_of(each);
      return bytes;
    case Value::Kind::record:
      for (const auto& [name, each] : value.as_record()) bytes += bytes_of(each);
      return bytes;
    default:
      return bytes;
  }
}
}  // namespace

void Object::set(std::string_view path, const Value& value) {
  change(bytes_of(value), [&](RowBuilder& row) { row.set(path, value); });
}
void Object::set(const FieldDef& field, const Value& value) {
  change(bytes_of(value), [&](RowBuilder& row) { row.set(field, value); });
}
void Object::set_raw(const FieldDef& field, FieldType type, std::span<const std::byte> elements) {
  change(elements.size(), [&](RowBuilder& row) { row.set_raw(field, type, elements); });
}
void Object::store_scalar(const FieldPlace& place, const void* value, std::size_t size) {
  change(size, [&](RowBuilder& row) { row.store_scalar(place, value, size); });
}
void Object::store_bytes(const FieldPlace& place, Bytes value) {
  change(value.size(), [&](RowBuilder& row) { row.store_bytes(place, value); });
}
void Object::store_elements(const FieldPlace& place, Bytes elements) {
  change(elements.size(), [&](RowBuilder& row) { row.store_elements(place, elements); });
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
