// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/ordered_walk.hpp"

namespace exdb {
namespace {

/// Whether a comes before b on the way.
bool nearer(const WalkPlace& a, Bytes key, RowId row, bool up) {
  const auto order = compare_keys(a.key, key);
  return (order != 0 ? order < 0 : a.row < row) == up;
}

}  // namespace

OrderedWalk::OrderedWalk(Workspace& work, const IndexDef& index, const Snapshot& snapshot,
                         Moment moment, KeyRange bounds)
    : bounds_(std::move(bounds)),
      snapshot_(work, index, snapshot, moment, bounds_),
      own_(work, index, moment, bounds_),
      past_(work, index, moment, bounds_) {}

const WalkPlace* OrderedWalk::look(bool up) {
  if (at_end(up)) return nullptr;
  const auto* from = at_ == At::on ? &place_ : nullptr;
  const WalkPlace* nearest = nullptr;
  if (own_.look(up, from)) nearest = &own_.place();
  if (past_.look(up, from) && (!nearest || nearer(past_.place(), nearest->key, nearest->row, up)))
    nearest = &past_.place();
  if (snapshot_.look(up, from) &&
      (!nearest || !nearer(*nearest, snapshot_.key(), snapshot_.row(), up))) {
    ahead_.key.clear();
    ahead_.key.append(snapshot_.key());
    ahead_.row = snapshot_.row();
    nearest = &ahead_;
  }
  return nearest;
}

bool OrderedWalk::move(bool up) {
  const auto* next = look(up);
  if (!next) {
    to_end(up);
    return false;
  }
  place_ = *next;
  at_ = At::on;
  if (next == &own_.place()) own_.take();
  if (next == &ahead_) snapshot_.take();
  return true;
}

}  // namespace exdb
