// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Many rows at once, made of columns: entries of the workspace like any other, so that the
// transaction sees, changes and removes them as it does its own rows; but each is written once, and
// its unique keys are looked at here for the last time before the certifier does.
#include <algorithm>
#include <array>
#include <cstddef>

#include "database/transaction.hpp"
#include "schema/row_layout.hpp"

namespace exdb {
namespace {

/// As memory of a builder is.
constexpr std::size_t row_alignment = alignof(std::max_align_t);
/// Upper bound of what an op takes beside its row.
constexpr std::size_t op_overhead_bytes = 32;
/// Keys that are looked up beside each other.
constexpr std::size_t keys_at_once = 64;

}  // namespace

void Transaction::insert_many(const ClassDef& type, const RowsOfColumns& rows) {
  if (rows.size() == 0) return;
  begin_write();
  require_room_for(type, rows.bytes() + rows.size() * op_overhead_bytes);
  const auto first = work_.size();
  try {
    const auto id = type.autoid != nullptr ? take_autoids(type, rows.size()) : 0;
    auto* to = work_.rows_room(rows.bytes() + rows.size() * row_alignment);
    for (std::size_t at = 0; at < rows.size(); ++at) {
      const auto size = rows.build(at, id + at, to);
      work_.insert(type, Bytes(to, size));
      to += align_up(size, row_alignment);
    }
    require_keys(type, first);
  } catch (...) {
    // Nothing of them has been counted or sent: as though they had been made and removed again.
    for (auto at = first; at < work_.size(); ++at) work_.remove(work_.entry(at), type);
    throw;
  }
  for (auto at = first; at < work_.size(); ++at) {
    work_.entry(at).keys_free = true;
    fragments_.wrote(work_.entry(at));
  }
}

/// An id that the database gave is nobody else's, but a program's index may be over it.
void Transaction::require_keys(const ClassDef& type, std::size_t first) {
  const auto& snapshot = snapshot_of(type);
  std::array<KeyBytes, keys_at_once> keys;
  std::array<Bytes, keys_at_once> views;
  std::array<SlotId, keys_at_once> owners;
  for (const auto id : type.indexes) {
    const auto& index = dictionary().index_of(id);
    if (index.parts.empty() || (!index.unique && index.key_bytes_max != 0)) continue;
    for (auto from = first; from < work_.size(); from += keys_at_once) {
      const auto count = std::min(keys_at_once, work_.size() - from);
      for (std::size_t i = 0; i < count; ++i) {
        keys[i].clear();
        append_key(index, work_.entry(from + i).builder.view(), keys[i]);  // throws key_too_long
        views[i] = keys[i];
      }
      if (!index.unique) continue;
      snapshot.find_many(id, std::span(views).first(count), std::span(owners).first(count));
      for (std::size_t i = 0; i < count; ++i) {
        if (records_reads()) work_.ranges.push_back({id, keys[i], key_successor(keys[i])});
        require_free(index, from + i, keys[i], owners[i]);
      }
    }
  }
}

}  // namespace exdb
