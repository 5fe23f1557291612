// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/snapshot_walk.hpp"

namespace exdb {

SnapshotWalk::SnapshotWalk(Workspace& work, const IndexDef& index, const Snapshot& snapshot,
                           Moment moment, const KeyRange& bounds)
    : work_(work), index_(index), snapshot_(snapshot), bounds_(bounds), moment_(moment) {
  if (tree()) {
    cursor_ = snapshot_.range(index_.id);
  } else if (index_.unique) {
    only_ = snapshot_.find(index_.id, bounds_.low);
    ++work_.entries_walked;
  } else {
    cursor_ = snapshot_.hashes(index_.id, bounds_.low, entries_.low);
    entries_.high = key_successor(entries_.low);
  }
}

bool SnapshotWalk::look(bool up, const WalkPlace* from) {
  if (only_) return look_at_only(up, from);
  const bool same_way = up == up_ && (state_ == State::found || state_ == State::ended);
  if (same_way && state_ == State::ended) return false;
  if (same_way) {
    // It may have been removed since it was found.
    Moment written;
    return !hidden(cursor_.slot(), written) || pass_hidden(up, true);
  }
  const bool on = state_ != State::taken ? seek(up, from) : up ? cursor_.next() : cursor_.prev();
  return pass_hidden(up, on);
}

bool SnapshotWalk::look_at_only(bool up, const WalkPlace* from) {
  Moment written;
  if (*only_ == SlotId::none() || hidden(*only_, written)) return false;
  return !from || (up ? row() > from->row : row() < from->row);
}

/// Among rows with one key a new one comes behind those of the snapshot: as a slot, its RowId does.
bool SnapshotWalk::seek(bool up, const WalkPlace* from) {
  const auto& bounds = tree() ? bounds_ : entries_;
  if (from) {
    const Bytes key = tree() ? Bytes(from->key) : Bytes(entries_.low);
    return up ? cursor_.seek(key, SlotId{from->row.value + 1})
              : cursor_.seek_before(key, SlotId{from->row.value});
  }
  if (up) return cursor_.seek(bounds.low);
  return bounds.high.empty() ? cursor_.last() : cursor_.seek_before(bounds.high);
}

bool SnapshotWalk::within(bool up) const {
  const auto& bounds = tree() ? bounds_ : entries_;
  return up ? bounds.high.empty() || compare_keys(cursor_.key(), bounds.high) < 0
            : compare_keys(cursor_.key(), bounds.low) >= 0;
}

/// `written`: when, of a row that is there still.
bool SnapshotWalk::hidden(SlotId slot, Moment& written) {
  const auto* entry = work_.find(index_.class_id, RowId::of(slot));
  if (!entry) return false;
  if (entry->live()) written = entry->written;
  return !entry->live() || entry->written < moment_;
}

/// From where the cursor is to the first row that is not hidden.
bool SnapshotWalk::pass_hidden(bool up, bool on) {
  auto* runs = work_.touches(index_.class_id) ? work_.hidden(index_.id, snapshot_.csn()) : nullptr;
  HiddenStretch stretch;
  const auto end_stretch = [&] {
    if (!runs) return;
    stretch.end(*runs, up,
                on ? std::optional(OrderPlaceView(cursor_.key(), cursor_.slot())) : std::nullopt);
  };
  up_ = up;
  while (on && within(up)) {
    ++work_.entries_walked;
    const OrderPlaceView place(cursor_.key(), cursor_.slot());
    Moment written;
    if (!hidden(place.slot, written)) {
      end_stretch();
      if (tree() || snapshot_.carries(index_.id, bounds_.low, place.slot)) {
        state_ = State::found;
        return true;
      }
      // Another key with the same hash.
      on = up ? cursor_.next() : cursor_.prev();
    } else if (const auto* run = runs ? runs->find(place, moment_) : nullptr) {
      stretch.jump(place, run->second);
      const auto& to = run->second.to;
      on = !up                         ? cursor_.seek_before(run->first.key, run->first.slot)
           : to.slot == SlotId::none() ? false
                                       : cursor_.seek(to.key, to.slot);
    } else {
      stretch.pass(place, written);
      on = up ? cursor_.next() : cursor_.prev();
    }
  }
  end_stretch();
  state_ = State::ended;
  return false;
}

}  // namespace exdb
