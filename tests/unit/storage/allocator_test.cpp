// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Allocator against a plain model: a map of what is given out.
#include "storage/allocator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace exdb {
namespace {

constexpr std::size_t kib = 1024;
constexpr Offset first_free = 5000;

class AllocatorTest : public testing::Test {
 protected:
  std::unique_ptr<Segment> segment =
      Segment::create({.unit_bytes = 256 * kib, .reserve_bytes = 256 * kib * kib}).value();
  Allocator allocator{*segment, first_free};
};

TEST_F(AllocatorTest, rounds_to_about_four_sizes_a_doubling) {
  EXPECT_EQ(Allocator::rounded(0), 16u);
  EXPECT_EQ(Allocator::rounded(1), 16u);
  EXPECT_EQ(Allocator::rounded(96), 96u);
  EXPECT_EQ(Allocator::rounded(129), 160u);
  EXPECT_EQ(Allocator::rounded(4096), 4096u);
  EXPECT_EQ(Allocator::rounded(4097), 8192u);
  for (std::size_t bytes = 1; bytes < 20000; ++bytes) {
    const auto size = Allocator::rounded(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_EQ(size % 16, 0u);
    ASSERT_EQ(Allocator::rounded(size), size);
    ASSERT_LE(Allocator::rounded(bytes), Allocator::rounded(bytes + 1));
    if (bytes > 128 && bytes <= 4096) {
      ASSERT_LE(size * 4, bytes * 5 + 4) << bytes;
    }
  }
}

TEST_F(AllocatorTest, aligns_as_promised) {
  for (std::size_t bytes = 1; bytes < 10000; bytes += 7) {
    const auto offset = allocator.allocate(bytes);
    ASSERT_EQ(offset % 16, 0u);
    if (bytes > 224) {
      ASSERT_EQ(offset % 64, 0u) << bytes;
    }
    if (bytes > 4096) {
      ASSERT_EQ(offset % 4096, 0u) << bytes;
    }
    ASSERT_GE(offset, first_free);
  }
}

struct Piece {
  std::size_t bytes;
  bool stable;
  unsigned char mark;
};

class AllocatorModel {
 public:
  AllocatorModel(Segment& segment, Allocator& allocator)
      : segment_(segment), allocator_(allocator) {}

  void allocate(std::size_t bytes, bool stable) {
    stable = stable && bytes <= Allocator::stable_bytes_max;
    const auto offset = stable ? allocator_.allocate_stable(bytes) : allocator_.allocate(bytes);
    const auto next = given_.lower_bound(offset);
    ASSERT_LE(offset + bytes, segment_.size());
    if (next != given_.end()) {
      ASSERT_LE(offset + Allocator::rounded(bytes), next->first);
    }
    if (next != given_.begin()) {
      const auto& before = *std::prev(next);
      ASSERT_LE(before.first + Allocator::rounded(before.second.bytes), offset);
    }
    if (stable) {
      ASSERT_EQ(*segment_.at<std::uint64_t>(offset), 0u) << "I2";
    }
    const auto mark = static_cast<unsigned char>(random_() | 1);
    std::memset(segment_.at<unsigned char>(offset), mark, bytes);
    given_[offset] = {bytes, stable, mark};
    used_ += Allocator::rounded(bytes);
    if (!stable) return;
    const auto [known, fresh] = stable_sizes_.insert({offset, Allocator::rounded(bytes)});
    ASSERT_TRUE(fresh || known->second == Allocator::rounded(bytes)) << "I1";
  }

  void free_one() {
    if (given_.empty()) return;
    auto at = given_.lower_bound(random_() % segment_.size());
    if (at == given_.end()) at = given_.begin();
    const auto [offset, piece] = *at;
    const auto* bytes = segment_.at<unsigned char>(offset);
    for (std::size_t i = 0; i < piece.bytes; ++i) ASSERT_EQ(bytes[i], piece.mark);
    if (piece.stable) {
      allocator_.free_stable(offset, piece.bytes);
      ASSERT_EQ(*segment_.at<std::uint64_t>(offset), 0u) << "I2";
    } else {
      allocator_.free(offset, piece.bytes);
    }
    used_ -= Allocator::rounded(piece.bytes);
    given_.erase(at);
  }

  [[nodiscard]] std::size_t count() const { return given_.size(); }
  [[nodiscard]] std::size_t used() const { return used_; }
  std::mt19937_64& random() { return random_; }

 private:
  Segment& segment_;
  Allocator& allocator_;
  std::mt19937_64 random_{1};
  std::map<Offset, Piece> given_;
  std::map<Offset, std::size_t> stable_sizes_;
  std::size_t used_ = 0;
};

TEST_F(AllocatorTest, never_gives_out_the_same_byte_twice) {
  AllocatorModel model(*segment, allocator);
  auto& random = model.random();
  for (int step = 0; step < 24000; ++step) {
    const bool grows = step % 6000 < 3000;
    if (random() % 5 < (grows ? 3u : 2u)) {
      const auto kind = random() % 20;
      const auto bytes_max = kind == 0 ? 60 * kib : kind < 3 ? 8 * kib : 400;
      model.allocate(8 + random() % bytes_max, random() % 2 == 0);
    } else {
      model.free_one();
    }
    ASSERT_EQ(allocator.bytes_used(), model.used());
    if (HasFatalFailure()) return;
  }
  while (model.count() > 0) model.free_one();
  EXPECT_EQ(allocator.bytes_used(), 0u);
}

TEST_F(AllocatorTest, joins_free_neighbours) {
  std::vector<Offset> runs;
  for (int i = 0; i < 64; ++i) runs.push_back(allocator.allocate(8 * kib));
  const auto guard = allocator.allocate(8 * kib);
  const auto size = segment->size();
  for (int i = 0; i < 64; i += 2) allocator.free(runs[i], 8 * kib);
  for (int i = 63; i > 0; i -= 2) allocator.free(runs[i], 8 * kib);
  EXPECT_EQ(allocator.allocate(64 * 8 * kib), runs[0]);
  EXPECT_EQ(segment->size(), size);
  allocator.free(guard, 8 * kib);
}

TEST_F(AllocatorTest, takes_the_smallest_run_that_fits) {
  const auto large = allocator.allocate(40 * kib);
  const auto guard = allocator.allocate(8 * kib);
  const auto fitting = allocator.allocate(12 * kib);
  const auto second_guard = allocator.allocate(8 * kib);
  allocator.free(large, 40 * kib);
  allocator.free(fitting, 12 * kib);
  EXPECT_EQ(allocator.allocate(12 * kib), fitting);
  EXPECT_EQ(allocator.allocate(12 * kib), large);
  EXPECT_EQ(allocator.allocate(28 * kib), large + 12 * kib);
  EXPECT_LT(guard, second_guard);
}

TEST_F(AllocatorTest, changing_big_values_do_not_let_the_segment_grow_for_ever) {
  std::mt19937_64 random(3);
  std::vector<std::pair<Offset, std::size_t>> values(20);
  for (int step = 0; step < 20000; ++step) {
    auto& [offset, bytes] = values[random() % values.size()];
    if (offset != 0) allocator.free(offset, bytes);
    bytes = 5 * kib + random() % (100 * kib);
    offset = allocator.allocate(bytes);
  }
  EXPECT_LE(segment->size(), 4096 * kib);
}

TEST_F(AllocatorTest, a_full_segment_throws_and_changes_nothing) {
  auto tiny = Segment::create({.unit_bytes = 64 * kib, .reserve_bytes = 256 * kib}).value();
  Allocator narrow(*tiny, Segment::header_bytes);
  const auto one = narrow.allocate(100 * kib);
  const auto used = narrow.bytes_used();
  try {
    narrow.allocate(200 * kib);
    FAIL() << "there is no room for it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::no_memory);
  }
  EXPECT_EQ(narrow.bytes_used(), used);
  narrow.free(one, 100 * kib);
  EXPECT_EQ(narrow.allocate(200 * kib), one);
}

TEST_F(AllocatorTest, cells_of_different_stable_pools_are_never_the_same) {
  std::vector<Offset> records;
  for (int i = 0; i < 1000; ++i)
    records.push_back(allocator.allocate_stable(48, StablePool::records));
  for (const auto offset : records) allocator.free_stable(offset, 48, StablePool::records);
  std::sort(records.begin(), records.end());
  for (int i = 0; i < 1000; ++i) {
    const auto offset = allocator.allocate_stable(48, StablePool::versions);
    ASSERT_FALSE(std::binary_search(records.begin(), records.end(), offset));
  }
}

}  // namespace
}  // namespace exdb
