// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/ordered_node.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace exdb {

namespace {

// Arrays side by side and not entries of a struct: a search reads heads alone, eight to a line.

template <class T>
void open_gap(T* array, unsigned at, unsigned count) {
  std::memmove(array + at + 1, array + at, sizeof(T) * (count - at));
}

template <class T>
void close_gap(T* array, unsigned at, unsigned count) {
  std::memmove(array + at, array + at + 1, sizeof(T) * (count - at - 1));
}

std::size_t heap_start(unsigned level) {
  return sizeof(OrderedNode) + (level > 0 ? sizeof(Offset) * OrderedNode::entries_max : 0);
}

}  // namespace

std::size_t OrderedNode::bytes_for(unsigned level, std::size_t heap) {
  return heap_start(level) + heap;
}

void OrderedNode::init(Csn birth, unsigned level, std::size_t bytes) {
  EXDB_ASSERT(bytes >= heap_start(level) && bytes <= UINT32_MAX, "a node has room for its entries");
  birth_ = birth.value;
  bytes_ = static_cast<std::uint32_t>(bytes);
  heap_end_ = static_cast<std::uint32_t>(heap_start(level));
  heap_live_ = 0;
  level_ = static_cast<std::uint16_t>(level);
  count_ = 0;
}

int OrderedNode::compare(unsigned at, const OrderedKey& other) const {
  if (const auto mine = head(at); mine != other.head) return mine < other.head ? -1 : 1;
  // Equal heads: up to head_bytes the shorter key is equal to the longer one, padding and all.
  const std::size_t length = texts_[at].length;
  const auto common = std::min(length, other.bytes.size());
  if (common > head_bytes) {
    const int order = std::memcmp(start_of(texts_[at]) + head_bytes,
                                  other.bytes.data() + head_bytes, common - head_bytes);
    if (order != 0) return order;
  }
  if (length != other.bytes.size()) return length < other.bytes.size() ? -1 : 1;
  if (slots_[at] != other.slot.value) return slots_[at] < other.slot.value ? -1 : 1;
  return 0;
}

// The number of entries whose head is less; without a branch that depends on the keys.
unsigned OrderedNode::heads_below(std::uint64_t head) const {
  const std::uint64_t* base = heads_;
  unsigned left = count_;
  // Compilers turn the choice into a conditional move: keys are random, and a mispredicted branch at
  // each of five steps costs more than the steps.
  while (left > 1) {
    const unsigned half = left / 2;
    base += __builtin_bswap64(base[half - 1]) < head ? half : 0;
    left -= half;
  }
  const auto below = static_cast<unsigned>(base - heads_);
  return below + (left == 1 && __builtin_bswap64(*base) < head ? 1 : 0);
}

unsigned OrderedNode::lower_bound(const OrderedKey& key) const {
  unsigned low = heads_below(key.head);
  unsigned high = low;
  while (high < count_ && head(high) == key.head) ++high;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (compare(middle, key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

unsigned OrderedNode::child_for(const OrderedKey& key) const {
  const auto at = lower_bound(key);
  if (at < count_ && compare(at, key) == 0) return at;
  return at == 0 ? 0 : at - 1;
}

void OrderedNode::put_text(unsigned at, Bytes key) {
  std::uint64_t head = 0;
  if (!key.empty()) std::memcpy(&head, key.data(), std::min(key.size(), head_bytes));
  heads_[at] = head;
  texts_[at] = {heap_end_, static_cast<std::uint32_t>(key.size())};
  if (key.size() <= head_bytes) return;
  std::memcpy(reinterpret_cast<std::byte*>(this) + heap_end_, key.data(), key.size());
  heap_end_ += static_cast<std::uint32_t>(key.size());
  heap_live_ += static_cast<std::uint32_t>(key.size());
}

void OrderedNode::drop_text(unsigned at) {
  heap_live_ -= static_cast<std::uint32_t>(heap_bytes(texts_[at].length));
  // A dropped key leaves a hole. It is won back when the node is copied, at the next round that
  // touches it; only an empty heap starts anew here.
  if (heap_live_ == 0) heap_end_ = static_cast<std::uint32_t>(heap_start(level_));
}

void OrderedNode::insert(unsigned at, Bytes key, SlotId slot, Offset child) {
  open_gap(heads_, at, count_);
  open_gap(slots_, at, count_);
  open_gap(texts_, at, count_);
  if (level_ > 0) {
    open_gap(children(), at, count_);
    children()[at] = child;
  }
  ++count_;
  slots_[at] = slot.value;
  put_text(at, key);
}

void OrderedNode::set_key(unsigned at, Bytes key, SlotId slot) {
  drop_text(at);
  put_text(at, key);
  slots_[at] = slot.value;
}

void OrderedNode::remove(unsigned at) {
  drop_text(at);
  close_gap(heads_, at, count_);
  close_gap(slots_, at, count_);
  close_gap(texts_, at, count_);
  if (level_ > 0) close_gap(children(), at, count_);
  --count_;
}

void OrderedNode::truncate(unsigned count) {
  for (unsigned at = count; at < count_; ++at) drop_text(at);
  count_ = static_cast<std::uint16_t>(count);
}

void OrderedNode::append(const OrderedNode& from, unsigned first, unsigned last) {
  const std::size_t added = last - first;
  if (added == 0) return;
  std::memcpy(heads_ + count_, from.heads_ + first, sizeof(heads_[0]) * added);
  std::memcpy(slots_ + count_, from.slots_ + first, sizeof(slots_[0]) * added);
  std::memcpy(texts_ + count_, from.texts_ + first, sizeof(texts_[0]) * added);
  if (level_ > 0) {
    std::memcpy(children() + count_, from.children() + first, sizeof(Offset) * added);
  }
  // Places of texts are those of the other node: keys in its heap are put in again, without holes.
  if (from.heap_live_ > 0) {
    for (unsigned at = first; at < last; ++at) put_text(count_ + at - first, from.key(at));
  }
  count_ = static_cast<std::uint16_t>(count_ + added);
}

std::size_t OrderedNode::heap_of(unsigned first, unsigned last) const {
  if (heap_live_ == 0) return 0;
  std::size_t sum = 0;
  for (unsigned at = first; at < last; ++at) sum += heap_bytes(texts_[at].length);
  return sum;
}

void OrderedNode::check() const {
  EXDB_ASSERT(count_ > 0 && count_ <= entries_max, "a node is neither empty nor too full");
  EXDB_ASSERT(heap_end_ <= bytes_ && heap_live_ == heap_of(0, count_), "I3: the heap adds up");
  for (unsigned at = 0; at < count_; ++at) {
    const OrderedKey own(key(at), slot(at));
    EXDB_ASSERT(own.head == head(at), "I2: the head is the beginning of the key");
    EXDB_ASSERT(at == 0 || compare(at - 1, own) < 0, "I1: entries ascend");
  }
}

}  // namespace exdb
