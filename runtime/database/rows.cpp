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
void Object::change(const Assigned& what, std::size_t least, std::size_t most, Set&& set) {
  const auto& of = type();
  require_handle(*state_, generation_);
  state_->require_fits(of, what.name, least);
  const RowHandle handle{row_};
  if (!assigns_key(state_->dictionary(), of, what))
    return state_->write(of, handle, most, std::forward<Set>(set));
  state_->write(of, handle, most,
                [&](RowBuilder& row) { state_->assign(of, handle, what, set, row); });
}

namespace {
/// Bytes of a value in a row, when each scalar and each reference takes `each`, and each block
/// `block` more.
std::size_t bytes_of(const Value& value, std::size_t each, std::size_t block) {
  switch (value.kind()) {
    case Value::Kind::text:
      return each + value.as_text().size();
    case Value::Kind::bytes:
      return each + value.as_bytes().size();
    case Value::Kind::list: {
      auto bytes = block;
      for (const auto& one : value.as_list()) bytes += bytes_of(one, each, block);
      return bytes;
    }
    case Value::Kind::record: {
      auto bytes = block;
      for (const auto& [name, one] : value.as_record()) bytes += bytes_of(one, each, block);
      return bytes;
    }
    default:
      return each;
  }
}
/// What a row may grow by: no scalar and no reference is larger, no alignment more.
std::size_t most_bytes(const Value& value) { return bytes_of(value, 16, 64); }
std::size_t least_bytes(const Value& value) {
  const bool single = value.kind() == Value::Kind::text || value.kind() == Value::Kind::bytes;
  return bytes_of(value, single ? 0 : 1, 0);
}

Assigned assigned(const FieldPlace& place) { return Assigned::of(*place.field, place.offset); }
Assigned assigned(const FieldDef& field) { return Assigned::of(field, field.offset); }
}  // namespace

void Object::require_fits(std::string_view path, std::size_t bytes) const {
  const auto& of = type();
  require_handle(*state_, generation_);
  state_->require_fits(of, path, bytes);
}

void Object::set(std::string_view path, const Value& value) {
  change(Assigned::of(path), least_bytes(value), most_bytes(value),
         [&](RowBuilder& row) { row.set(path, value); });
}
void Object::set(const FieldDef& field, const Value& value) {
  change(assigned(field), least_bytes(value), most_bytes(value),
         [&](RowBuilder& row) { row.set(field, value); });
}
void Object::set_raw(const FieldDef& field, FieldType type, std::span<const std::byte> elements) {
  change(assigned(field), elements.size(), elements.size(),
         [&](RowBuilder& row) { row.set_raw(field, type, elements); });
}
void Object::set_bytes(const FieldDef& field, std::span<const std::byte> value) {
  const auto fields = type().fields();
  const bool own =
      !std::less<>()(&field, fields.data()) && std::less<>()(&field, fields.data() + fields.size());
  if (!own || !field.is_single() || is_scalar(field.type) || field.type == FieldType::structure)
    throw Error(ErrorCode::conversion, "field " + field.name + " of class " + type().name +
                                           " is no text and no bytes, or of another class");
  store_bytes(FieldPlace{&field, field.offset, field.presence_bit}, value);
}
void Object::store_scalar(const FieldPlace& place, const void* value, std::size_t size) {
  change(assigned(place), size, size,
         [&](RowBuilder& row) { row.store_scalar(place, value, size); });
}
void Object::store_bytes(const FieldPlace& place, Bytes value) {
  change(assigned(place), value.size(), value.size(),
         [&](RowBuilder& row) { row.store_bytes(place, value); });
}
void Object::store_elements(const FieldPlace& place, Bytes elements) {
  change(assigned(place), elements.size(), elements.size(),
         [&](RowBuilder& row) { row.store_elements(place, elements); });
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
