// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/assigned_keys.hpp"

#include <algorithm>

#include "base/hash.hpp"
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

void OwnKeys::grow() {
  std::vector<Note> old(std::max<std::size_t>(16, 2 * table_.size()));
  old.swap(table_);
  for (const auto& note : old) {
    if (note.entry == nobody) continue;
    auto at = note.hash & (table_.size() - 1);
    while (table_[at].entry != nobody) at = (at + 1) & (table_.size() - 1);
    table_[at] = note;
  }
}

/// A large table is given back: to empty it would cost every small transaction after the large one.
void OwnKeys::clear() {
  if (notes_ == 0) return;
  notes_ = 0;
  if (constexpr std::size_t kept = 64; table_.size() > kept) {
    table_ = {};
  } else {
    std::fill(table_.begin(), table_.end(), Note{});
  }
}

bool assigns_key(const Dictionary& dictionary, const ClassDef& type, const Assigned& what) {
  return std::ranges::any_of(type.indexes, [&](IndexId id) {
    const auto& index = dictionary.index_of(id);
    return index.unique &&
           std::ranges::any_of(index.parts, [&](const auto& part) { return what.covers(part); });
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
void Transaction::require_free(const IndexDef& index, std::size_t at) {
  const auto& type = dictionary().class_of(index.class_id);
  KeyBytes key;
  append_key(index, work_.entry(at).builder.view(), key);
  if (records_reads()) work_.ranges.push_back({index.id, key, key_successor(key)});
  require_free(index, at, key, snapshot_of(type).find(index.id, key));
}

/// `owner`: whom the snapshot shows to have `key`, which row `at` carries.
void Transaction::require_free(const IndexDef& index, std::size_t at, Bytes key, SlotId owner) {
  const auto cls = index.class_id;
  if (owner != SlotId::none() && !shadowed(cls, owner))
    throw_taken(index, key, "taken by another row");
  KeyBytes other;
  const auto carries = [&](std::size_t entry) {
    const auto row = work_.entry(entry).builder.view();
    // By its size first: a key that has become too long cannot be made.
    if (!work_.entry(entry).live() || row.type().id != cls || key_size(index, row) != key.size())
      return false;
    other.clear();
    append_key(index, row, other);
    return compare_keys(key, other) == 0;
  };
  if (own_keys_.find_or_note(hash_bytes(key, index.id.value), at, carries))
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
                      [&](const IndexDef& index) { require_free(index, handle.row().entry()); });
  } catch (const Error&) {
    row.set(*field, before);
    entry->key_parts = parts_before;
    throw;
  }
}

}  // namespace exdb
