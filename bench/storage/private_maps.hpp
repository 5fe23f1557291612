// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The floors of reads and updates, in private memory, without versions and without other readers.
//   PrivateMap  one open-addressing array of key and row
//   TwoStepMap  what keeps rows apart from its index, as a store must whose rows have several
//               indexes or change their keys: cells of 8 bytes, then the row
#pragma once
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "base/hash.hpp"

namespace exdb::bench {

constexpr std::size_t row_bytes = 64;
using RowBytes = std::array<std::byte, row_bytes>;

/// Zeroed elements in huge pages, as the segment has them.
template <class T>
class HugeArray {
 public:
  explicit HugeArray(std::size_t count) {
    constexpr std::size_t huge = std::size_t{2} << 20;
    const auto bytes = (count * sizeof(T) + huge - 1) / huge * huge;
    area_ = static_cast<T*>(std::aligned_alloc(huge, bytes));
    if (area_ == nullptr) throw std::runtime_error("no memory for a private map");
    ::madvise(area_, bytes, MADV_HUGEPAGE);
    std::memset(static_cast<void*>(area_), 0, bytes);
  }
  ~HugeArray() { std::free(area_); }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;
  T& operator[](std::size_t at) { return area_[at]; }

 private:
  T* area_;
};

/// Of open addressing: cells - 1, at most 5 of 8 cells in use.
constexpr std::size_t mask_for(std::size_t rows) {
  std::size_t mask = 15;
  while (mask + 1 < rows * 8 / 5) mask = mask * 2 + 1;
  return mask;
}

class PrivateMap {
 public:
  explicit PrivateMap(std::size_t rows) : mask_(mask_for(rows)), entries_(mask_ + 1) {}

  /// `key` > 0.
  RowBytes& at(std::uint64_t key) {
    for (auto i = hash_word(key) & mask_;; i = (i + 1) & mask_) {
      if (entries_[i].key == key) return entries_[i].row;
      if (entries_[i].key != 0) continue;
      entries_[i].key = key;
      return entries_[i].row;
    }
  }

 private:
  struct Entry {
    std::uint64_t key;
    RowBytes row;
  };
  std::size_t mask_;
  HugeArray<Entry> entries_;
};

class TwoStepMap {
 public:
  explicit TwoStepMap(std::size_t rows) : mask_(mask_for(rows)), cells_(mask_ + 1), rows_(rows) {}

  RowBytes& at(std::uint64_t key) {
    const auto hash = hash_word(key);
    const auto tag = hash >> 40 << 40;
    for (auto i = hash & mask_;; i = (i + 1) & mask_) {
      if (cells_[i] == 0) cells_[i] = tag | ++used_;
      if ((cells_[i] ^ tag) >> 40 != 0) continue;
      auto& row = rows_[(cells_[i] & ~(~std::uint64_t{0} << 40)) - 1];
      if (row.key == key || row.key == 0) {
        row.key = key;
        return row.row;
      }
    }
  }

 private:
  struct Row {
    std::uint64_t key;
    RowBytes row;
  };
  std::size_t mask_, used_ = 0;
  HugeArray<std::uint64_t> cells_;  ///< 24 bits of the hash | number of the row + 1
  HugeArray<Row> rows_;
};

}  // namespace exdb::bench
