// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "base/assert.hpp"
#include "storage/ordered_index.hpp"

namespace exdb {

// To the place of `key` in its leaf, which may be one past the leaf's last entry. False when the
// tree is empty.
bool RangeCursor::descend(const OrderedKey& key) {
  depth_ = 0;
  for (Offset at = root_; at != 0;) {
    const auto& here = node(at);
    here.prefetch();
    EXDB_ASSERT(depth_ < levels_max, "an ordered index is not that deep");
    const bool leaf = here.level() == 0;
    const auto place = leaf ? here.lower_bound(key) : here.child_for(key);
    path_[depth_++] = {at, place};
    if (leaf) return true;
    at = here.child(place);
  }
  return false;
}

bool RangeCursor::seek(Bytes key, SlotId slot) {
  if (!descend(OrderedKey(key, slot))) return false;
  const auto& leaf = path_[depth_ - 1];
  return leaf.at < node(leaf.node).count() || step(true);
}

bool RangeCursor::seek_before(Bytes key, SlotId slot) {
  return descend(OrderedKey(key, slot)) && prev();
}

bool RangeCursor::first() { return seek({}); }

// The path is kept, and leaves have no links: a leaf that is copied on write would have to change
// its neighbours, and those theirs.
bool RangeCursor::last() {
  depth_ = 0;
  for (Offset at = root_; at != 0;) {
    const auto& here = node(at);
    EXDB_ASSERT(depth_ < levels_max, "an ordered index is not that deep");
    path_[depth_++] = {at, here.count() - 1};
    if (here.level() == 0) return true;
    at = here.child(here.count() - 1);
  }
  return false;
}

bool RangeCursor::next() {
  if (depth_ == 0) return false;
  auto& leaf = path_[depth_ - 1];
  return ++leaf.at < node(leaf.node).count() || step(true);
}

bool RangeCursor::prev() {
  if (depth_ == 0) return false;
  auto& leaf = path_[depth_ - 1];
  if (leaf.at == 0) return step(false);
  --leaf.at;
  return true;
}

// To the first entry of the next leaf, or the last entry of the leaf before.
bool RangeCursor::step(bool forward) {
  const unsigned leaf_level = depth_ - 1;
  unsigned level = leaf_level;
  do {
    if (level == 0) {
      depth_ = 0;
      return false;
    }
    --level;
  } while (forward ? path_[level].at + 1 == node(path_[level].node).count() : path_[level].at == 0);
  path_[level].at += forward ? 1 : -1;
  for (; level < leaf_level; ++level) {
    const Offset child = node(path_[level].node).child(path_[level].at);
    path_[level + 1] = {child, forward ? 0 : node(child).count() - 1};
  }
  return true;
}

Bytes RangeCursor::key() const {
  EXDB_ASSERT(on_entry(), "a cursor is on an entry when it is asked for its key");
  const auto& leaf = path_[depth_ - 1];
  return node(leaf.node).key(leaf.at);
}

SlotId RangeCursor::slot() const {
  EXDB_ASSERT(on_entry(), "a cursor is on an entry when it is asked for its slot");
  const auto& leaf = path_[depth_ - 1];
  return node(leaf.node).slot(leaf.at);
}

}  // namespace exdb
