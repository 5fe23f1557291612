// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One change of an ordered index: the path from the root to a leaf, and the nodes on it made the
// round's own.
//
// Invariants
//   I1  path_[0] is the root, and path_[i + 1] the child `at` of path_[i].
//   I2  After own_path() every node on the path has birth > published, so it is written in place
//       (I1 of the index).
// Threads: the writer only. Nodes born and given up within one unpublished round are freed at once:
//   no reader can have seen them.
#pragma once
#include <span>
#include <vector>

#include "storage/ordered_index.hpp"

namespace exdb {

class OrderedEdit {
 public:
  OrderedEdit(OrderedIndex& index, Csn csn, Csn published);

  void insert(const OrderedKey& key);
  void remove(const OrderedKey& key);
  void build(std::span<const OrderedIndex::Entry> sorted);

 private:
  struct Level {
    Offset node;
    unsigned at;
  };
  static constexpr unsigned levels_max = RangeCursor::levels_max;

  [[nodiscard]] OrderedNode& node(Offset offset) const {
    return *index_.segment_.at<OrderedNode>(offset);
  }
  [[nodiscard]] OrderedNode& on_path(unsigned level) const { return node(path_[level].node); }
  Offset make_node(unsigned level, std::size_t heap);
  Offset copy_with_heap(const OrderedNode& from, std::size_t heap_more);
  void give_up(Offset offset);

  void descend(const OrderedKey& key);
  void own_path(std::size_t leaf_heap_more);
  void replace(unsigned depth, Offset fresh);
  void reserve(unsigned depth, std::size_t key_bytes);
  void set_separator(unsigned depth, unsigned at, Bytes key, SlotId slot);

  void put(unsigned depth, unsigned at, const OrderedKey& key, Offset child);
  void split_and_put(unsigned depth, unsigned at, const OrderedKey& key, Offset child);
  [[nodiscard]] unsigned split_point(unsigned depth, unsigned at) const;
  void put_above(unsigned depth, Offset right);

  bool settle(unsigned depth);
  bool set_least(unsigned depth, unsigned at);
  void even_out(unsigned depth, unsigned left_at);
  void settle_root();
  std::vector<Offset> build_level(unsigned level, std::span<const OrderedIndex::Entry> entries,
                                  std::span<const Offset> children);

  OrderedIndex& index_;
  Csn csn_, published_;
  OrderedRootRecord& record_;
  Level path_[levels_max]{};
  unsigned depth_ = 0;
};

}  // namespace exdb
