// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/storage_walk.hpp"

#include <algorithm>

namespace exdb {
namespace {

constexpr RowId first_new{RowId::new_bit};
constexpr RowId behind_all{~std::uint64_t{0}};

/// In the order of RowIds.
OrderPlaceView place(RowId row) { return {{}, SlotId{row.value}}; }

}  // namespace

StorageWalk::StorageWalk(Workspace& work, const ClassDef& type, const Snapshot& snapshot)
    : work_(work), type_(type), snapshot_(snapshot), new_rows_(work.inserted(type.id).size()) {}

bool StorageWalk::removed(RowId row) {
  const auto* entry = work_.find(type_.id, row);
  return entry && !entry->live();
}

std::optional<RowId> StorageWalk::any_above(RowId from) const {
  if (!from.is_new()) {
    const auto slot = snapshot_.scan(type_.id, from.slot());
    if (slot != SlotId::none()) return RowId::of(slot);
    from = first_new;
  }
  const auto fresh = std::span(work_.inserted(type_.id)).first(new_rows_);
  const auto next = std::ranges::lower_bound(fresh, from.entry());
  return next == fresh.end() ? std::nullopt : std::optional(RowId::of_new(*next));
}

std::optional<RowId> StorageWalk::any_below(RowId from) const {
  if (from > first_new) {
    const auto fresh = std::span(work_.inserted(type_.id)).first(new_rows_);
    const auto end = std::ranges::lower_bound(fresh, from.entry());
    if (end != fresh.begin()) return RowId::of_new(*(end - 1));
    from = first_new;
  }
  if (from.value == 0) return std::nullopt;
  const auto slot =
      snapshot_.scan_back(type_.id, from == first_new ? SlotId::none() : SlotId{from.value - 1});
  return slot == SlotId::none() ? std::nullopt : std::optional(RowId::of(slot));
}

bool StorageWalk::move(bool up) {
  if (at_ == (up ? At::after : At::before)) return false;
  auto* runs = work_.touches(type_.id) ? work_.hidden(type_.id, snapshot_.csn()) : nullptr;
  HiddenStretch stretch;
  // Upward the first place to look at, downward the one above it.
  auto from = at_ == At::on ? RowId{row_.value + (up ? 1 : 0)} : up ? RowId{} : behind_all;
  for (;;) {
    const auto next = up ? any_above(from) : any_below(from);
    if (next) ++work_.entries_walked;
    if (!next || !removed(*next)) {
      // New rows may come behind the last one: a run ends where this walk was.
      const auto stop = next ? *next : up ? from : RowId{};
      if (runs) {
        stretch.end(*runs, up, next || up ? std::optional(place(stop)) : std::nullopt);
      }
      at_ = next ? At::on : up ? At::after : At::before;
      if (next) row_ = *next;
      return next.has_value();
    }
    if (const auto* run = runs ? runs->find(place(*next), Moment::now()) : nullptr) {
      stretch.jump(place(*next), run->second);
      from = RowId{up ? run->second.to.slot.value : run->first.slot.value};
    } else {
      stretch.pass(place(*next), {});
      from = RowId{next->value + (up ? 1 : 0)};
    }
  }
}

}  // namespace exdb
