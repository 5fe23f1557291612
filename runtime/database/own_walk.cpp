// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/own_walk.hpp"

namespace exdb {
namespace {

using Keys = Workspace::Keys;

/// Upward the first that may be given, downward the one behind it.
Keys::const_iterator begin_at(const Keys& keys, const KeyRange& bounds, bool up,
                              const WalkPlace* from) {
  if (from)
    return up ? keys.upper_bound({from->key, from->row}) : keys.lower_bound({from->key, from->row});
  if (up) return keys.lower_bound({bounds.low, RowId{}});
  return bounds.high.empty() ? keys.end() : keys.lower_bound({bounds.high, RowId{}});
}

/// Moves to the next one in the way; false when there is none within the bounds.
bool enter(const Keys& keys, const KeyRange& bounds, bool up, Keys::const_iterator& at) {
  if (at == (up ? keys.end() : keys.begin())) return false;
  if (up) return bounds.high.empty() || at->first < bounds.high;
  --at;
  return at->first >= bounds.low;
}

}  // namespace

OwnWalk::OwnWalk(Workspace& work, const IndexDef& index, Moment moment, const KeyRange& bounds)
    : work_(work),
      index_(index),
      bounds_(bounds),
      moment_(moment),
      nothing_(work.keys(index.id).empty()) {}

bool OwnWalk::was_there(RowId row) {
  const auto* entry = work_.find(index_.class_id, row);
  return entry && entry->settled && entry->keyed < moment_;
}

bool OwnWalk::look(bool up, const WalkPlace* from) {
  if (nothing_) return false;
  if (up == up_ && state_ == State::ended) return false;
  if (up == up_ && state_ == State::found) {
    if (was_there(found_.row)) return true;
    from = &found_;  // gone since
  }
  return search(up, from);
}

bool OwnWalk::search(bool up, const WalkPlace* from) {
  const auto& keys = work_.keys(index_.id);
  const bool stands = state_ == State::taken && erasures_ == work_.erasures();
  auto at = !stands ? begin_at(keys, bounds_, up, from) : up ? std::next(at_) : at_;
  up_ = up;
  state_ = State::ended;
  for (; enter(keys, bounds_, up, at); at = up ? std::next(at) : at) {
    ++work_.entries_walked;
    if (!was_there(at->second)) continue;
    found_ = {at->first, at->second};
    at_ = at;
    erasures_ = work_.erasures();
    state_ = State::found;
    return true;
  }
  return false;
}

PastWalk::PastWalk(Workspace& work, const IndexDef& index, Moment moment, const KeyRange& bounds)
    : work_(work), index_(index) {
  if (moment != Moment::now() && !work.keys(index.id).empty())
    past_ = work_.watch(index.id, moment, bounds);
}

bool PastWalk::look(bool up, const WalkPlace* from) {
  if (!past_ || past_->keys.empty()) return false;
  auto& keys = past_->keys;
  auto at = begin_at(keys, past_->bounds, up, from);
  while (enter(keys, past_->bounds, up, at)) {
    ++work_.entries_walked;
    if (work_.find(index_.class_id, at->second)->live()) {
      found_ = {at->first, at->second};
      return true;
    }
    at = keys.erase(at);
  }
  return false;
}

}  // namespace exdb
