// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Gives out the memory of a Segment: cells of size classes for small things, runs of pages for big ones. Its own books
// are kept in the writer's private memory, for only the writer allocates; a reader never needs them.
//
// Invariants
//   I1  A cell of a Stable pool is, for ever, a cell of that pool and of that size: a reader that still holds the
//       offset of a freed cell reads some cell of the same type, never something else (see version.hpp).
//   I2  The first 8 bytes of a free Stable cell are zero, and become non-zero only by the owner's own release store.
//   I3  allocate() gives cells aligned to 8 bytes, and to 64 bytes when `bytes` >= 4096.
// Threads: the writer only.
// Failure: a segment that cannot grow throws Error(no_memory) from allocate(); nothing has changed then.
#pragma once
#include <array>
#include <map>
#include <vector>

#include "storage/segment.hpp"

namespace exdb {

class Allocator {
 public:
  /// Everything below `first_free` belongs to the caller.
  Allocator(Segment& segment, Offset first_free);

  /// For things whose readers are gone before they are freed (tree nodes, tables, big values).
  Offset allocate(std::size_t bytes);
  void free(Offset offset, std::size_t bytes);

  /// For version cells (I1, I2). `bytes` at most stable_bytes_max.
  Offset allocate_stable(std::size_t bytes);
  void free_stable(Offset offset, std::size_t bytes);
  static constexpr std::size_t stable_bytes_max = 4096;

  /// The size that a request really takes: what a caller may use of it.
  static std::size_t rounded(std::size_t bytes);

  [[nodiscard]] std::size_t bytes_used() const { return used_; }

 private:
  struct SizeClasses;  // free lists, one a class
  Offset take_pages(std::size_t bytes);

  Segment& segment_;
  Offset end_;  ///< first byte never given out
  std::size_t used_ = 0;
  static constexpr std::size_t classes_max = 64;
  std::array<std::vector<Offset>, classes_max> cells_, stable_cells_;
  std::multimap<std::size_t, Offset> runs_by_size_;
  std::map<Offset, std::size_t> runs_by_offset_;
};

}  // namespace exdb
