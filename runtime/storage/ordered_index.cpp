// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/ordered_index.hpp"

#include <optional>

#include "base/assert.hpp"
#include "storage/ordered_edit.hpp"

namespace exdb {

OrderedIndex::OrderedIndex(Segment& segment, Allocator& allocator, Reclaimer& reclaimer,
                           OrderedIndexHead* head, IndexId id)
    : segment_(segment), allocator_(allocator), reclaimer_(reclaimer), head_(head), id_(id) {}

void OrderedIndex::insert(Bytes key, SlotId slot, Csn csn, Csn published) {
  OrderedEdit(*this, csn, published).insert(OrderedKey(key, slot));
}

void OrderedIndex::remove(Bytes key, SlotId slot, Csn csn, Csn published) {
  OrderedEdit(*this, csn, published).remove(OrderedKey(key, slot));
}

void OrderedIndex::build(std::span<const Entry> sorted, Csn csn, Csn published) {
  if (!sorted.empty()) OrderedEdit(*this, csn, published).build(sorted);
}

// The record of the unpublished round. It keeps the first csn of the round: csns of one round are
// published together, so no reader can tell them apart, and a csn that stays put spares walkers a
// fresh start.
OrderedRootRecord& OrderedIndex::open_round(Csn csn, Csn published) {
  EXDB_ASSERT(csn > published, "an index changes at a csn that is not published");
  const auto newest = head_->newest.load(std::memory_order_relaxed);
  if (newest != 0) {
    auto& last = record(newest);
    if (last.csn.load(std::memory_order_relaxed) > published.value) return last;
  }
  const auto fresh = allocator_.allocate_stable(sizeof(OrderedRootRecord), StablePool::records);
  auto& next = record(fresh);
  next.newer = 0;
  next.root = newest == 0 ? 0 : record(newest).root;
  next.entries = newest == 0 ? 0 : record(newest).entries;
  // Release: a walker that still stands on this recycled cell and reads the new value also sees
  // that csn has changed.
  next.previous.store(newest, std::memory_order_release);
  next.csn.store(csn.value, std::memory_order_release);
  if (newest != 0) {
    auto& last = record(newest);
    last.newer = fresh;
    Garbage garbage;
    garbage.kind = Garbage::Kind::root_record;
    garbage.owner = id_.value;
    garbage.offset = newest;
    garbage.bytes = sizeof(OrderedRootRecord);
    garbage.birth = {last.csn.load(std::memory_order_relaxed)};
    garbage.death = csn;
    reclaimer_.retire(garbage);
  }
  head_->newest.store(fresh, std::memory_order_release);
  return next;
}

void OrderedIndex::collect(const Garbage& garbage) {
  auto& gone = record(garbage.offset);
  EXDB_ASSERT(gone.newer != 0, "the newest root record is not garbage");
  const auto older = gone.previous.load(std::memory_order_relaxed);
  record(gone.newer).previous.store(older, std::memory_order_release);
  if (older != 0) record(older).newer = gone.newer;
  allocator_.free_stable(garbage.offset, garbage.bytes, StablePool::records);
}

RangeCursor OrderedIndex::newest() const {
  const auto newest = head_->newest.load(std::memory_order_relaxed);
  return {segment_, newest == 0 ? 0 : record(newest).root};
}

namespace {

// The root that a pinned csn sees. Nothing, when a record was recycled under the walk.
std::optional<Offset> root_at(const Segment& segment, const OrderedIndexHead* head, Csn pinned) {
  auto offset = head->newest.load(std::memory_order_acquire);
  if (offset == 0) return Offset{0};
  const auto* here = segment.at<OrderedRootRecord>(offset);
  auto csn = here->csn.load(std::memory_order_acquire);
  if (csn == 0 || head->newest.load(std::memory_order_acquire) != offset) return std::nullopt;
  while (csn > pinned.value) {
    offset = here->previous.load(std::memory_order_acquire);
    // Before the offset is followed: that of a recycled cell leads elsewhere.
    if (here->csn.load(std::memory_order_acquire) != csn) return std::nullopt;
    if (offset == 0) return Offset{0};
    const auto* next = segment.at<OrderedRootRecord>(offset);
    const auto next_csn = next->csn.load(std::memory_order_acquire);
    if (next_csn == 0 || here->csn.load(std::memory_order_acquire) != csn ||
        here->previous.load(std::memory_order_acquire) != offset) {
      return std::nullopt;
    }
    here = next;
    csn = next_csn;
  }
  // The pin holds this record back from here on, so its root is read at leisure.
  return here->root;
}

}  // namespace

RangeCursor OrderedIndex::at(const Segment& segment, const OrderedIndexHead* head, Csn csn) {
  for (;;) {
    if (const auto root = root_at(segment, head, csn)) return {segment, *root};
  }
}

std::uint64_t OrderedIndex::check() const {
  const auto newest = head_->newest.load(std::memory_order_relaxed);
  if (newest == 0) return 0;
  const auto& last = record(newest);
  const auto root = last.root;
  const auto found =
      root == 0 ? 0 : check_below(root, segment_.at<OrderedNode>(root)->level(), nullptr);
  EXDB_ASSERT(found == last.entries, "the root record counts the entries");
  EXDB_ASSERT(last.newer == 0, "nothing is newer than the newest record");
  for (auto at = newest; record(at).previous.load() != 0; at = record(at).previous.load()) {
    const auto& older = record(record(at).previous.load());
    EXDB_ASSERT(older.newer == at, "the chain of records leads back as well");
    EXDB_ASSERT(older.csn.load() != 0 && older.csn.load() < record(at).csn.load(),
                "I5: csns descend along the chain");
  }
  return found;
}

// Entries below a node, all of which are less than `bound` (null = no bound).
std::uint64_t OrderedIndex::check_below(Offset offset, unsigned level,
                                        const OrderedKey* bound) const {
  const auto& here = *segment_.at<OrderedNode>(offset);
  EXDB_ASSERT(here.level() == level, "I4: all leaves lie at the same depth");
  here.check();
  EXDB_ASSERT(bound == nullptr || here.compare(here.count() - 1, *bound) < 0,
              "I3: entries ascend from node to node");
  if (level == 0) return here.count();
  std::uint64_t sum = 0;
  for (unsigned at = 0; at < here.count(); ++at) {
    const auto& child = *segment_.at<OrderedNode>(here.child(at));
    EXDB_ASSERT(child.count() > 0 && here.compare(at, {child.key(0), child.slot(0)}) == 0,
                "I3: a separator is the least entry below it");
    if (at + 1 == here.count()) {
      sum += check_below(here.child(at), level - 1, bound);
    } else {
      const OrderedKey next(here.key(at + 1), here.slot(at + 1));
      sum += check_below(here.child(at), level - 1, &next);
    }
  }
  return sum;
}

}  // namespace exdb
