// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/assigned_keys.hpp"

#include <algorithm>

#include "database/transaction.hpp"
#include "schema/row_layout.hpp"

namespace exdb {

Assigned Assigned::of(const FieldDef& field, std::size_t offset) {
  return {field.name, offset, offset + extent_of(field)};
}

/// By path: the part itself, or a struct around it.
bool Assigned::covers(const IndexPart& part) const {
  if (end != 0) return begin <= part.place.offset && part.place.offset < end;
  return part.path.starts_with(name) &&
         (part.path.size() == name.size() || part.path[name.size()] == '.');
}

bool assigns_key(const Dictionary& dictionary, const ClassDef& type, const Assigned& what) {
  return std::ranges::any_of(type.indexes, [&](IndexId id) {
    const auto& index = dictionary.index_of(id);
    return index.unique && std::ranges::any_of(
                               index.parts, [&](const auto& part) { return what.covers(part); });
  });
}

namespace {

[[noreturn]] void throw_taken(const IndexDef& index, Bytes key, const char* by) {
  throw Error(ErrorCode::duplicate,
              "duplicate key: " + describe_index_key(index, key) + " is " + by);
}

/// The top-level field that a write changes something of; null for a field of another class, which
/// the write is about to refuse.
const FieldDef* field_of(const ClassDef& type, const Assigned& what) {
  if (what.end == 0) return type.record.find(what.name.substr(0, what.name.find('.')));
  for (const auto& field : type.record.fields)
    if (field.offset <= what.begin && what.begin < field.offset + extent_of(field)) return &field;
  return nullptr;
}

}  // namespace

/// What it finds is a read: a serializable transaction has learned who has the key, or that nobody
/// has.
void Transaction::require_free(const IndexDef& index, const WorkEntry& entry) {
  const auto& type = dictionary().class_of(index.class_id);
  KeyBytes key;
  append_key(index, entry.builder.view(), key);
  if (records_reads()) work_.ranges.push_back({index.id, key, key_successor(key)});
  const auto owner = snapshot_of(type).find(index.id, key);
  if (owner != SlotId::none() && !shadowed(type.id, owner))
    throw_taken(index, key, "taken by another row");
  work_.settle_others(type.id, entry);
  const auto& own = work_.keys(index.id);
  const auto first = own.lower_bound({key, RowId{}});
  if (first != own.end() && first->first == key)
    throw_taken(index, key, "carried by another row of this transaction");
}

/// The field is put back by its value, not the row by a copy: that would cost the row's size.
void Transaction::assign(const ClassDef& type, RowHandle handle, const Assigned& what,
                         const std::function<void(RowBuilder&)>& set, RowBuilder& row) {
  auto* entry = work_.find(type.id, handle.row());
  const auto* field = field_of(type, what);
  if (entry->state != WorkEntry::State::inserted || !field) return set(row);
  const auto before = row.view().value(*field);
  const auto parts_before = entry->key_parts;
  set(row);
  try {
    each_key_assigned(dictionary(), type, *entry, what,
                      [&](const IndexDef& index) { require_free(index, *entry); });
  } catch (const Error&) {
    row.set(*field, before);
    entry->key_parts = parts_before;
    throw;
  }
}

}  // namespace exdb
