// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/allocator.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"

namespace exdb {

namespace {

// Cells are cut from slabs, so that small things of one size lie together and a slab is one run of
// pages in the books. What is left of a slab when its class asks for the next is below one cell.
constexpr std::size_t page = 4096;
constexpr std::size_t slab = std::size_t{64} << 10;
constexpr std::size_t cell_bytes_max = 4096;

constexpr std::size_t pages_of(std::size_t bytes) { return (bytes + page - 1) / page * page; }

}  // namespace

// Classes 0..7 are 16, 32, … 128; then four steps a doubling: 160, 192, 224, 256, 320, …
unsigned Allocator::class_of(std::size_t bytes) {
  if (bytes <= 128) return bytes == 0 ? 0 : static_cast<unsigned>((bytes - 1) / 16);
  const auto doubling = static_cast<unsigned>(std::bit_width(bytes - 1)) - 1;  // 7 for 129..256
  return 8 + (doubling - 7) * 4 + static_cast<unsigned>((bytes - 1) >> (doubling - 2) & 3);
}

std::size_t Allocator::class_bytes(unsigned size_class) {
  if (size_class < 8) return (size_class + 1) * std::size_t{16};
  const auto doubling = 7 + (size_class - 8) / 4;
  return (std::size_t{5} + (size_class - 8) % 4) << (doubling - 2);
}

std::size_t Allocator::rounded(std::size_t bytes) {
  return bytes <= cell_bytes_max ? class_bytes(class_of(bytes)) : pages_of(bytes);
}

Allocator::Allocator(Segment& segment, Offset first_free)
    : segment_(segment), end_(pages_of(std::max(first_free, Segment::header_bytes))) {}

Offset Allocator::allocate(std::size_t bytes) {
  const auto size = rounded(bytes);
  const auto offset =
      size <= cell_bytes_max ? take_cell(cells_[class_of(bytes)], size) : take_pages(size);
  used_ += size;
  return offset;
}

void Allocator::free(Offset offset, std::size_t bytes) {
  const auto size = rounded(bytes);
  EXDB_ASSERT(offset % 16 == 0 && offset + size <= end_ && size <= used_,
              "what is freed was allocated");
  if (size <= cell_bytes_max) {
    cells_[class_of(bytes)].free.push_back(offset);
  } else {
    give_pages(offset, size);
  }
  used_ -= size;
}

Offset Allocator::allocate_stable(std::size_t bytes, StablePool which) {
  EXDB_ASSERT(bytes <= stable_bytes_max, "Stable cells have an upper size");
  auto& pool = stable_pool(bytes, which);
  const auto size = rounded(bytes);
  const bool fresh = pool.free.empty();
  const auto offset = take_cell(pool, size);
  // A slab may be cut from pages that were used before; what readers of those are gone by contract
  // of allocate().
  if (fresh)
    std::atomic_ref(*segment_.at<std::uint64_t>(offset)).store(0, std::memory_order_relaxed);
  used_ += size;
  return offset;
}

void Allocator::free_stable(Offset offset, std::size_t bytes, StablePool which) {
  const auto size = rounded(bytes);
  EXDB_ASSERT(
      bytes <= stable_bytes_max && offset % 16 == 0 && offset + size <= end_ && size <= used_,
      "what is freed was allocated");
  // The owner has done so already when it took the cell out of its structure; here it is what makes
  // I2 hold for any owner.
  std::atomic_ref(*segment_.at<std::uint64_t>(offset)).store(0, std::memory_order_release);
  stable_pool(bytes, which).free.push_back(offset);
  used_ -= size;
}

Offset Allocator::take_cell(Pool& pool, std::size_t cell_bytes) {
  if (!pool.free.empty()) {
    const auto offset = pool.free.back();
    pool.free.pop_back();
    return offset;
  }
  if (pool.fresh_end - pool.fresh < cell_bytes) {
    pool.fresh = take_pages(slab);
    pool.fresh_end = pool.fresh + slab;
  }
  const auto offset = pool.fresh;
  pool.fresh += cell_bytes;
  return offset;
}

// Best fit: the smallest run that will do. First fit would cut up the long runs, which growing
// tables and big values need, while short ones lie idle.
Offset Allocator::take_pages(std::size_t bytes) {
  if (const auto best = runs_by_size_.lower_bound({bytes, 0}); best != runs_by_size_.end()) {
    const auto [size, offset] = *best;
    drop_run(offset, size);
    if (size > bytes) add_run(offset + bytes, size - bytes);
    return offset;
  }
  if (const auto missing = end_ + bytes; missing > segment_.size())
    segment_.grow(missing - segment_.size()).or_throw();
  const auto offset = end_;
  end_ += bytes;
  return offset;
}

// Joins the run with free neighbours at once (I4): a class that shrinks gives back what a big value
// of another one can use. At the end of what was given out it becomes "never given out" again.
void Allocator::give_pages(Offset offset, std::size_t bytes) {
  const auto next = runs_by_offset_.lower_bound(offset);
  if (next != runs_by_offset_.begin()) {
    const auto [before, size] = *std::prev(next);
    EXDB_ASSERT(before + size <= offset, "pages are freed once");
    if (before + size == offset) {
      drop_run(before, size);
      offset = before;
      bytes += size;
    }
  }
  if (const auto after = runs_by_offset_.lower_bound(offset); after != runs_by_offset_.end()) {
    const auto [start, size] = *after;
    EXDB_ASSERT(offset + bytes <= start, "pages are freed once");
    if (offset + bytes == start) {
      drop_run(start, size);
      bytes += size;
    }
  }
  if (offset + bytes == end_) {
    end_ = offset;
  } else {
    add_run(offset, bytes);
  }
}

void Allocator::add_run(Offset offset, std::size_t bytes) {
  runs_by_size_.insert({bytes, offset});
  runs_by_offset_.insert({offset, bytes});
}

void Allocator::drop_run(Offset offset, std::size_t bytes) {
  runs_by_size_.erase({bytes, offset});
  runs_by_offset_.erase(offset);
}

}  // namespace exdb
