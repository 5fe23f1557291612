// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// An ordered index with the real allocator, reader table and reclaimer, for its tests.
#pragma once
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "storage/ordered_index.hpp"

namespace exdb {

using Pair = std::pair<std::string, std::uint64_t>;
using Model = std::set<Pair>;

inline std::string big_endian(std::uint64_t value) {
  std::string key(8, '\0');
  for (int i = 7; i >= 0; --i, value >>= 8)
    key[static_cast<std::size_t>(i)] = static_cast<char>(value & 0xff);
  return key;
}

// An index with all that it needs, and the rounds that a storage would make.
class Ground {
 public:
  Ground()
      : segment_(Segment::create({.unit_bytes = std::size_t{16} << 20}).value()),
        allocator_(*segment_, 4096),
        readers_(places_.data(), static_cast<std::uint32_t>(places_.size()), &published_),
        reclaimer_(readers_, this, &Ground::collect),
        index_(*segment_, allocator_, reclaimer_, &head_, IndexId{7}) {}

  OrderedIndex& index() { return index_; }
  Allocator& allocator() { return allocator_; }
  ReaderTable& readers() { return readers_; }
  Reclaimer& reclaimer() { return reclaimer_; }
  Segment& segment() { return *segment_; }
  [[nodiscard]] Csn published() const { return {published_.load()}; }
  [[nodiscard]] Csn writing() const { return csn_; }

  // Each change is a commit with a csn of its own; publish() makes those of a round visible
  // together.
  void insert(const std::string& key, std::uint64_t slot) {
    csn_ = csn_.next();
    index_.insert(as_bytes(key), SlotId{slot}, csn_, published());
  }
  void remove(const std::string& key, std::uint64_t slot) {
    csn_ = csn_.next();
    index_.remove(as_bytes(key), SlotId{slot}, csn_, published());
  }
  void build(const Model& model) {
    csn_ = csn_.next();
    std::vector<OrderedIndex::Entry> sorted;
    for (const auto& [key, slot] : model) sorted.push_back({as_bytes(key), SlotId{slot}});
    index_.build(sorted, csn_, published());
  }
  void publish(std::size_t budget = 100) {
    published_.store(csn_.value);
    reclaimer_.step(csn_, budget);
  }
  void publish_at(Csn csn) {
    csn_ = csn;
    publish(1'000'000);
  }
  void collect_all() {
    for (std::size_t before = reclaimer_.size() + 1; reclaimer_.size() < before;) {
      before = reclaimer_.size();
      reclaimer_.step(published(), 1'000'000);
    }
  }

  RangeCursor at(Csn csn) { return OrderedIndex::at(*segment_, &head_, csn); }

 private:
  static void collect(void* self, const Garbage& garbage) {
    auto* ground = static_cast<Ground*>(self);
    if (garbage.kind == Garbage::Kind::root_record) {
      EXPECT_EQ(garbage.owner, 7u);
      ground->index_.collect(garbage);
    } else {
      ground->allocator_.free(garbage.offset, garbage.bytes);
    }
  }

  std::unique_ptr<Segment> segment_;
  Allocator allocator_;
  std::vector<ReaderPlace> places_ = std::vector<ReaderPlace>(64);
  std::atomic<std::uint64_t> published_{0};
  ReaderTable readers_;
  Reclaimer reclaimer_;
  OrderedIndexHead head_{};
  OrderedIndex index_;
  Csn csn_;
};

inline Pair on(const RangeCursor& cursor) {
  return {std::string(as_text(cursor.key())), cursor.slot().value};
}

}  // namespace exdb
