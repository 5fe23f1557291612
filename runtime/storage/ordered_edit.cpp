// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/ordered_edit.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace exdb {

namespace {

constexpr unsigned entries_max = OrderedNode::entries_max;
// A node is evened out late and split late, with room between: entries that come and go at one place
// must not merge and split the same two nodes each time.
constexpr unsigned scarce = entries_max / 4;  // that few or fewer: a removal evens out
constexpr unsigned merged_max =
    entries_max * 3 / 4;  // leaves a merged node room before it splits again
constexpr unsigned built_entries = entries_max * 7 / 8;

OrderedKey least_of(const OrderedNode& node) { return {node.key(0), node.slot(0)}; }

// Entries [first, last) of `left` followed by `right`.
std::size_t heap_of(const OrderedNode& left, const OrderedNode& right, unsigned first,
                    unsigned last) {
  const unsigned edge = left.count();
  return left.heap_of(std::min(first, edge), std::min(last, edge)) +
         right.heap_of(std::max(first, edge) - edge, std::max(last, edge) - edge);
}

void append_of(OrderedNode& out, const OrderedNode& left, const OrderedNode& right, unsigned first,
               unsigned last) {
  const unsigned edge = left.count();
  out.append(left, std::min(first, edge), std::min(last, edge));
  out.append(right, std::max(first, edge) - edge, std::max(last, edge) - edge);
}

}  // namespace

OrderedEdit::OrderedEdit(OrderedIndex& index, Csn csn, Csn published)
    : index_(index), csn_(csn), published_(published), record_(index.open_round(csn, published)) {}

// --- nodes ---

Offset OrderedEdit::make_node(unsigned level, std::size_t heap) {
  const auto bytes = Allocator::rounded(OrderedNode::bytes_for(level, heap));
  const auto offset = index_.allocator_.allocate(bytes);
  node(offset).init(csn_, level, bytes);
  return offset;
}

Offset OrderedEdit::copy_with_heap(const OrderedNode& from, std::size_t heap_more) {
  const auto offset = make_node(from.level(), from.heap_live() + heap_more);
  node(offset).append(from, 0, from.count());
  return offset;
}

void OrderedEdit::give_up(Offset offset) {
  const auto& old = node(offset);
  if (old.birth() > published_) {
    index_.allocator_.free(offset, old.bytes());
    return;
  }
  Garbage garbage;
  garbage.kind = Garbage::Kind::block;
  garbage.owner = index_.id_.value;
  garbage.offset = offset;
  garbage.bytes = old.bytes();
  garbage.birth = old.birth();
  garbage.death = csn_;
  index_.reclaimer_.retire(garbage);
}

// --- the path ---

void OrderedEdit::descend(const OrderedKey& key) {
  for (Offset at = record_.root;;) {
    const auto& here = node(at);
    here.prefetch();
    EXDB_ASSERT(depth_ < levels_max, "an ordered index is not that deep");
    const bool leaf = here.level() == 0;
    const auto place = leaf ? here.lower_bound(key) : here.child_for(key);
    path_[depth_++] = {at, place};
    if (leaf) return;
    at = here.child(place);
  }
}

// From the root down, for a child's new offset is written into its parent. Nodes of this round are
// written in place: a round that changes many keys copies each node once.
void OrderedEdit::own_path(std::size_t leaf_heap_more) {
  for (unsigned depth = 0; depth < depth_; ++depth) {
    const auto& here = on_path(depth);
    if (here.birth() > published_) continue;
    replace(depth, copy_with_heap(here, here.level() == 0 ? leaf_heap_more : 0));
  }
}

// Puts a node with the same least entry in the place of the one on the path.
void OrderedEdit::replace(unsigned depth, Offset fresh) {
  if (depth == 0)
    record_.root = fresh;
  else
    on_path(depth - 1).set_child(path_[depth - 1].at, fresh);
  give_up(std::exchange(path_[depth].node, fresh));
}

// Room for a key in the heap of a node on the path, and for some more so that this is not done for
// each key.
void OrderedEdit::reserve(unsigned depth, std::size_t key_bytes) {
  const auto& here = on_path(depth);
  if (here.has_room(key_bytes)) return;
  replace(depth, copy_with_heap(here, key_bytes + (here.heap_live() + key_bytes) / 2));
}

void OrderedEdit::set_separator(unsigned depth, unsigned at, Bytes key, SlotId slot) {
  reserve(depth, key.size());
  on_path(depth).set_key(at, key, slot);
}

// --- insert ---

void OrderedEdit::insert(const OrderedKey& key) {
  const auto heap = OrderedNode::heap_bytes(key.bytes.size());
  if (record_.root == 0) {
    record_.root = make_node(0, heap);
    path_[depth_++] = {record_.root, 0};
  } else {
    descend(key);
    own_path(heap);
  }
  const auto at = path_[depth_ - 1].at;
  EXDB_ASSERT(at == on_path(depth_ - 1).count() || on_path(depth_ - 1).compare(at, key) != 0,
              "an entry enters an index once");
  if (at == 0) {
    // Separators are exact, so this is the least entry of the whole tree, and the path its left
    // edge.
    for (unsigned depth = 0; depth + 1 < depth_; ++depth) {
      set_separator(depth, 0, key.bytes, key.slot);
    }
  }
  put(depth_ - 1, at, key, 0);
  ++record_.entries;
}

void OrderedEdit::put(unsigned depth, unsigned at, const OrderedKey& key, Offset child) {
  if (on_path(depth).count() == entries_max) return split_and_put(depth, at, key, child);
  reserve(depth, key.bytes.size());
  on_path(depth).insert(at, key.bytes, key.slot, child);
}

void OrderedEdit::split_and_put(unsigned depth, unsigned at, const OrderedKey& key, Offset child) {
  const auto middle = split_point(depth, at);
  const bool goes_left = at <= middle && middle < entries_max;
  auto& full = on_path(depth);
  const auto heap_more = goes_left ? 0 : OrderedNode::heap_bytes(key.bytes.size());
  const auto right = make_node(full.level(), full.heap_of(middle, entries_max) + heap_more);
  node(right).append(full, middle, entries_max);
  full.truncate(middle);
  if (goes_left) {
    reserve(depth, key.bytes.size());
    on_path(depth).insert(at, key.bytes, key.slot, child);
  } else {
    node(right).insert(at - middle, key.bytes, key.slot, child);
  }
  put_above(depth, right);
}

// How many entries stay left. At either end of the index all old ones stay together: keys that only
// ascend (or descend) then leave full leaves behind, not half-full ones.
unsigned OrderedEdit::split_point(unsigned depth, unsigned at) const {
  if (at == 0) return 0;
  bool right_edge = at == entries_max;
  for (unsigned above = 0; above < depth; ++above) {
    right_edge = right_edge && path_[above].at + 1 == on_path(above).count();
  }
  return right_edge ? entries_max : entries_max / 2;
}

// Enters the node that was split off to the right of the one on the path.
void OrderedEdit::put_above(unsigned depth, Offset right) {
  const auto least = least_of(node(right));
  if (depth > 0) return put(depth - 1, path_[depth - 1].at + 1, least, right);
  const auto left = path_[0].node;
  const auto first = least_of(node(left));
  const auto heap =
      OrderedNode::heap_bytes(first.bytes.size()) + OrderedNode::heap_bytes(least.bytes.size());
  const auto top = make_node(node(left).level() + 1, heap);
  node(top).insert(0, first.bytes, first.slot, left);
  node(top).insert(1, least.bytes, least.slot, right);
  record_.root = top;
}

// --- remove ---

void OrderedEdit::remove(const OrderedKey& key) {
  EXDB_ASSERT(record_.root != 0, "only what is in an index is removed");
  descend(key);
  const auto at = path_[depth_ - 1].at;
  EXDB_ASSERT(at < on_path(depth_ - 1).count() && on_path(depth_ - 1).compare(at, key) == 0,
              "only what is in an index is removed");
  own_path(0);
  on_path(depth_ - 1).remove(at);
  --record_.entries;
  unsigned depth = depth_ - 1;
  while (depth > 0 && settle(depth)) --depth;
  settle_root();
}

// Makes good what a removal did to a node on the path. True when its parent has changed.
bool OrderedEdit::settle(unsigned depth) {
  const auto& here = on_path(depth);
  auto& parent = on_path(depth - 1);
  const auto at = path_[depth - 1].at;
  if (here.count() == 0) {
    give_up(path_[depth].node);
    parent.remove(at);
    return true;
  }
  if (here.count() <= scarce && parent.count() > 1) {
    even_out(depth - 1, at > 0 ? at - 1 : 0);
    return true;
  }
  return set_least(depth - 1, at);
}

// Makes a separator exact (I3 of the index). False when it was.
bool OrderedEdit::set_least(unsigned depth, unsigned at) {
  const auto& parent = on_path(depth);
  const auto least = least_of(node(parent.child(at)));
  if (parent.compare(at, least) == 0) return false;
  set_separator(depth, at, least.bytes, least.slot);
  return true;
}

// Merges children left_at and left_at + 1 of the node at `depth`, or shares their entries out
// evenly.
void OrderedEdit::even_out(unsigned depth, unsigned left_at) {
  auto& parent = on_path(depth);
  const auto left_offset = parent.child(left_at), right_offset = parent.child(left_at + 1);
  const auto &left = node(left_offset), &right = node(right_offset);
  const unsigned total = left.count() + right.count();
  const unsigned kept = total <= merged_max ? total : total / 2;

  const auto first = make_node(left.level(), heap_of(left, right, 0, kept));
  append_of(node(first), left, right, 0, kept);
  parent.set_child(left_at, first);
  if (kept < total) {
    const auto second = make_node(left.level(), heap_of(left, right, kept, total));
    append_of(node(second), left, right, kept, total);
    parent.set_child(left_at + 1, second);
    set_least(depth, left_at + 1);
  } else {
    parent.remove(left_at + 1);
  }
  set_least(depth, left_at);
  give_up(left_offset);
  give_up(right_offset);
}

// A root with one child is a step for every reader that parts nothing.
void OrderedEdit::settle_root() {
  for (;;) {
    const auto root = record_.root;
    const auto& top = node(root);
    if (top.count() > 0 && (top.level() == 0 || top.count() > 1)) return;
    record_.root = top.count() == 0 ? 0 : top.child(0);
    give_up(root);
    if (record_.root == 0) return;
  }
}

// --- build ---

// Level by level from below, each node written once and never searched. Nodes are left with an
// eighth of room: a tree built full would split everywhere at the first inserts.
void OrderedEdit::build(std::span<const OrderedIndex::Entry> sorted) {
  EXDB_ASSERT(record_.root == 0, "only an empty index is built from sorted entries");
  auto row = build_level(0, sorted, {});
  for (unsigned level = 1; row.size() > 1; ++level) {
    std::vector<OrderedIndex::Entry> least;
    least.reserve(row.size());
    for (const auto below : row) least.push_back({node(below).key(0), node(below).slot(0)});
    row = build_level(level, least, row);
  }
  record_.root = row.front();
  record_.entries = sorted.size();
}

std::vector<Offset> OrderedEdit::build_level(unsigned level,
                                             std::span<const OrderedIndex::Entry> entries,
                                             std::span<const Offset> children) {
  const auto nodes = (entries.size() + built_entries - 1) / built_entries;
  std::vector<Offset> row;
  row.reserve(nodes);
  for (std::size_t i = 0; i < nodes; ++i) {
    const auto first = entries.size() * i / nodes, last = entries.size() * (i + 1) / nodes;
    std::size_t heap = 0;
    for (auto e = first; e < last; ++e) heap += OrderedNode::heap_bytes(entries[e].key.size());
    row.push_back(make_node(level, heap));
    auto& out = node(row.back());
    for (auto e = first; e < last; ++e) {
      EXDB_ASSERT(out.count() == 0 ||
                      out.compare(out.count() - 1, OrderedKey(entries[e].key, entries[e].slot)) < 0,
                  "an index is built from ascending entries");
      out.insert(out.count(), entries[e].key, entries[e].slot, level > 0 ? children[e] : 0);
    }
  }
  return row;
}

}  // namespace exdb
