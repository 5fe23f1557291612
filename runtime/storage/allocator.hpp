// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Gives out the memory of a Segment: cells of size classes for small things, runs of pages for big
// ones. Its own books are kept in the writer's private memory, for only the writer allocates; a
// reader never needs them.
//
// Invariants
//   I1  A cell of a Stable pool is, for ever, a cell of that pool and of that size: a reader that
//       still holds the offset of a freed cell reads some cell of the same type, never something
//       else.
//   I2  The first 8 bytes of a free Stable cell are zero, and become non-zero only by the owner's
//       own release store.
//   I3  Cells are aligned to 16 bytes, and to 64 when `bytes` > 224; above 4096 bytes, to 4096.
//   I4  Free page runs never touch each other nor the end of what was given out: neighbours are
//       joined at once.
// Threads: the writer only.
// Failure: a segment that cannot grow throws Error(no_memory) from allocate(); nothing has changed
//   then.
#pragma once
#include <array>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "storage/segment.hpp"

namespace exdb {

/// Cells of different types never share memory, for a walker may stand on a cell that was recycled.
enum class StablePool : std::uint8_t {
  records,   ///< of root records (ordered_index.hpp)
  versions,  ///< of rows (slots.hpp)
};

class Allocator {
 public:
  /// Everything below `first_free` belongs to the caller.
  Allocator(Segment& segment, Offset first_free);

  /// For things whose readers are gone before they are freed (tree nodes, tables, big values).
  Offset allocate(std::size_t bytes);
  void free(Offset offset, std::size_t bytes);

  /// For cells that readers may still look at when they are freed (I1, I2). `bytes` at most
  /// stable_bytes_max.
  Offset allocate_stable(std::size_t bytes, StablePool pool = StablePool::records);
  void free_stable(Offset offset, std::size_t bytes, StablePool pool = StablePool::records);
  static constexpr std::size_t stable_bytes_max = 4096;

  /// The size that a request really takes: what a caller may use of it.
  static std::size_t rounded(std::size_t bytes);

  /// Given out and not freed yet, as rounded().
  [[nodiscard]] std::size_t bytes_used() const { return used_; }

 private:
  static constexpr unsigned classes = 28;  ///< 16 to 4096 bytes, four a doubling
  struct Pool {
    std::vector<Offset> free;
    Offset fresh = 0;  ///< of the slab that is being cut up: its first cell never given out
    Offset fresh_end = 0;
  };
  static unsigned class_of(std::size_t bytes);
  static std::size_t class_bytes(unsigned size_class);
  Offset take_cell(Pool& pool, std::size_t cell_bytes);
  Offset take_pages(std::size_t bytes);
  void give_pages(Offset offset, std::size_t bytes);
  void add_run(Offset offset, std::size_t bytes);
  void drop_run(Offset offset, std::size_t bytes);

  Segment& segment_;
  Offset end_;  ///< first byte never given out
  std::size_t used_ = 0;
  Pool& stable_pool(std::size_t bytes, StablePool pool) {
    return stable_cells_[static_cast<unsigned>(pool)][class_of(bytes)];
  }

  std::array<Pool, classes> cells_;
  std::array<std::array<Pool, classes>, 2> stable_cells_;
  std::set<std::pair<std::size_t, Offset>> runs_by_size_;
  std::map<Offset, std::size_t> runs_by_offset_;
};

}  // namespace exdb
