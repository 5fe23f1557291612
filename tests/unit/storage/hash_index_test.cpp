// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// HashIndex against a plain model, std::multimap. "Carries" is always a set of the test: the index
// itself knows no rows.
#include "storage/hash_index.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "base/hash.hpp"

namespace exdb {
namespace {

class HashIndexTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t places = 16;

  HashIndexTest() {
    SegmentOptions options;
    options.unit_bytes = std::size_t{1} << 20;
    options.reserve_bytes = std::size_t{1} << 30;
    segment = Segment::create(options).value();
    readers = std::make_unique<ReaderTable>(segment->at<std::byte>(4096), places, &published);
    allocator = std::make_unique<Allocator>(*segment, 4096 + ReaderTable::bytes_for(places));
    reclaimer = std::make_unique<Reclaimer>(*readers, this, [](void* self, const Garbage& garbage) {
      static_cast<HashIndexTest*>(self)->allocator->free(garbage.offset, garbage.bytes);
    });
    head = segment->at<HashIndexHead>(64);
    index = std::make_unique<HashIndex>(*segment, *allocator, *reclaimer, head);
  }

  void publish() {
    published.store(csn.value);
    csn = csn.next();
    reclaimer->step(Csn{published.load()}, 1000);
  }
  std::multiset<std::uint64_t> candidates(std::uint64_t hash) const {
    std::multiset<std::uint64_t> found;
    HashIndex::find(*segment, head, hash, [&](SlotId slot) {
      found.insert(slot.value);
      return false;
    });
    return found;
  }
  bool finds(std::uint64_t hash, std::uint64_t slot) const {
    return HashIndex::find(*segment, head, hash, [&](SlotId s) { return s.value == slot; }).value ==
           slot;
  }

  std::unique_ptr<Segment> segment;
  std::atomic<std::uint64_t> published{0};
  Csn csn{1};
  std::unique_ptr<ReaderTable> readers;
  std::unique_ptr<Allocator> allocator;
  std::unique_ptr<Reclaimer> reclaimer;
  HashIndexHead* head = nullptr;
  std::unique_ptr<HashIndex> index;
};

std::uint64_t hash_of(std::uint64_t key) { return hash_word(key + 0x9e3779b97f4a7c15ULL); }

TEST_F(HashIndexTest, finds_what_was_inserted_and_nothing_else) {
  index->create(0);
  for (std::uint64_t i = 0; i < 1000; ++i) index->insert(hash_of(i), SlotId{i}, csn);
  EXPECT_EQ(index->check(), 1000u);
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_TRUE(finds(hash_of(i), i));
  for (std::uint64_t i = 1000; i < 2000; ++i) EXPECT_FALSE(finds(hash_of(i), i));
}

TEST_F(HashIndexTest, an_entry_inserted_twice_is_there_once) {
  index->create(0);
  index->insert(hash_of(1), SlotId{7}, csn);
  index->insert(hash_of(1), SlotId{7}, csn);
  index->insert(hash_of(1), SlotId{8}, csn);
  EXPECT_EQ(index->check(), 2u);
  index->erase(hash_of(1), SlotId{7});
  EXPECT_EQ(index->check(), 1u);
  index->erase(hash_of(1), SlotId{7});
  EXPECT_FALSE(finds(hash_of(1), 7));
  EXPECT_TRUE(finds(hash_of(1), 8));
}

TEST_F(HashIndexTest, grows_by_one_table_at_a_time_and_keeps_every_entry) {
  index->create(0);
  constexpr std::uint64_t rows = 200'000;
  for (std::uint64_t i = 0; i < rows; ++i) {
    index->insert(hash_of(i), SlotId{i}, csn);
    if (i % 256 == 255) publish();
  }
  EXPECT_EQ(index->check(), rows);
  for (std::uint64_t i = 0; i < rows; ++i) ASSERT_TRUE(finds(hash_of(i), i)) << i;
  publish();
  EXPECT_EQ(reclaimer->size(), 0u) << "tables that were replaced are given back";
}

TEST_F(HashIndexTest, a_hint_makes_room_at_the_start) {
  index->create(100'000);
  const auto used = allocator->bytes_used();
  for (std::uint64_t i = 0; i < 50'000; ++i) index->insert(hash_of(i), SlotId{i}, csn);
  EXPECT_EQ(allocator->bytes_used(), used);
  EXPECT_EQ(index->check(), 50'000u);
}

TEST_F(HashIndexTest, random_insertions_and_removals_agree_with_a_multimap) {
  index->create(0);
  std::mt19937_64 random(1);
  std::multimap<std::uint64_t, std::uint64_t> model;
  for (int step = 0; step < 100'000; ++step) {
    const auto hash = hash_of(random() % 5000);
    const auto slot = random() % 4;
    const auto range = model.equal_range(hash);
    const auto it = std::find_if(range.first, range.second,
                                 [&](const auto& entry) { return entry.second == slot; });
    if (random() % 2 == 0) {
      index->insert(hash, SlotId{slot}, csn);
      if (it == range.second) model.emplace(hash, slot);
    } else {
      index->erase(hash, SlotId{slot});
      if (it != range.second) model.erase(it);
    }
    if (step % 500 == 0) publish();
    if (step % 10'000 == 0) {
      ASSERT_EQ(index->check(), model.size());
    }
  }
  for (std::uint64_t key = 0; key < 5000; ++key) {
    std::multiset<std::uint64_t> expected;
    const auto range = model.equal_range(hash_of(key));
    for (auto it = range.first; it != range.second; ++it) expected.insert(it->second);
    EXPECT_EQ(candidates(hash_of(key)), expected);
  }
}

TEST_F(HashIndexTest, steady_churn_takes_no_more_memory) {
  index->create(4000);
  for (std::uint64_t i = 0; i < 4000; ++i) index->insert(hash_of(i), SlotId{i}, csn);
  publish();
  const auto used = allocator->bytes_used();
  for (std::uint64_t i = 4000; i < 400'000; ++i) {
    index->erase(hash_of(i - 4000), SlotId{i - 4000});
    index->insert(hash_of(i), SlotId{i}, csn);
    if (i % 256 == 0) publish();
  }
  publish();
  EXPECT_EQ(index->check(), 4000u);
  EXPECT_LE(allocator->bytes_used(), 2 * used);
}

TEST_F(HashIndexTest, equal_hashes_in_many_slots_grow_a_table_and_not_the_directory) {
  index->create(0);
  for (std::uint64_t i = 0; i < 3300; ++i) index->insert(hash_of(1), SlotId{i}, csn);
  EXPECT_EQ(index->check(), 3300u);
  EXPECT_EQ(candidates(hash_of(1)).size(), 3300u);
  for (std::uint64_t i = 0; i < 20'000; ++i) index->insert(hash_of(i), SlotId{i + 10'000}, csn);
  EXPECT_EQ(index->check(), 23'300u);
}

TEST_F(HashIndexTest, hashes_that_differ_only_in_bits_not_kept_share_an_entry) {
  index->create(0);
  const auto a = hash_of(1), b = a ^ (std::uint64_t{1} << 40);
  EXPECT_TRUE(HashIndex::same_entry(a, b));
  EXPECT_FALSE(HashIndex::same_entry(a, a ^ 1));
  index->insert(a, SlotId{1}, csn);
  index->insert(b, SlotId{1}, csn);
  EXPECT_EQ(index->check(), 1u);
  EXPECT_TRUE(finds(b, 1));
}

TEST_F(HashIndexTest, readers_find_what_stays_while_the_writer_inserts_removes_and_rebuilds) {
  index->create(0);
  constexpr std::uint64_t stays = 2000;
  for (std::uint64_t i = 0; i < stays; ++i) index->insert(hash_of(i), SlotId{i}, csn);
  publish();
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> missed{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      const auto place = readers->claim().value();
      std::mt19937_64 random(t);
      while (!done.load(std::memory_order_relaxed)) {
        readers->pin(place);
        for (int i = 0; i < 200; ++i) {
          const auto key = random() % stays;
          if (!finds(hash_of(key), key)) missed.fetch_add(1);
        }
        readers->unpin(place);
      }
      readers->release(place);
    });
  }
  for (std::uint64_t i = stays; i < 60'000; ++i) {
    index->insert(hash_of(i), SlotId{i}, csn);
    if (i >= 20'000 && i % 3 != 0) index->erase(hash_of(i - 10'000), SlotId{i - 10'000});
    if (i % 100 == 0) publish();
  }
  done.store(true);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(missed.load(), 0u);
  index->check();
}

}  // namespace
}  // namespace exdb
