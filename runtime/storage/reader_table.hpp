// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The table in the segment in which every reader, in whatever process, writes the csn of the
// snapshot that it reads: a pin. What a pinned snapshot can see is not reclaimed.
//
// Invariants
//   I1  A reader that has pinned csn S, and after that still saw published == S, is seen by every
//       scan that the writer starts after publishing a csn > S. (Both sides use sequentially
//       consistent stores and loads: the pin is stored before published is read again, published is
//       stored before pins are scanned.)
//   I2  A place is owned by one process at a time; a dead process's places are taken back by
//       reap(). A process is known by its id and its start time, so one that got the id of a dead
//       one is not taken for it.
//   I3  A place in use lies below the high-water mark, so scan() of few readers looks at few
//       places.
//   I4  A pin stays at its place as long as it lasts, so no scan passes it by; who wants the same
//       csn for longer shares the place (pins.hpp). Pins handed on from place to place were
//       rejected: a scan could look at the one before and at the other after.
// Threads: claim, pin, unpin, release from anywhere, lock-free; scan and reap by the writer.
// Failure: a process that dies at any instruction leaves places that reap() takes back.
#pragma once
#include <atomic>
#include <vector>

#include "storage/segment.hpp"

namespace exdb {

/// In the segment; one cache line a reader.
struct alignas(64) ReaderPlace {
  std::atomic<std::uint64_t> owner;   ///< process id << 32 | start stamp of the process; 0 = free
  std::atomic<std::uint64_t> pinned;  ///< csn + 1; 0 = nothing pinned
};

class ReaderTable {
 public:
  static std::size_t bytes_for(std::uint32_t places) {
    return sizeof(Head) + sizeof(ReaderPlace) * places;
  }
  /// `table` lies in zeroed segment memory of bytes_for(places) bytes, aligned to 64.
  ReaderTable(void* table, std::uint32_t places, const std::atomic<std::uint64_t>* published)
      : head_(static_cast<Head*>(table)),
        table_(reinterpret_cast<ReaderPlace*>(head_ + 1)),
        places_(places),
        published_(published) {}

  /// A free place for this process, the lowest. Fails with no_memory, naming the limit and
  /// db_max_connections, when all are taken.
  Result<std::uint32_t> claim();
  void release(std::uint32_t place);

  /// Pins the newest published csn at `place` and returns it. Wait-free but for a publish in
  /// between.
  Csn pin(std::uint32_t place);
  /// Another place keeps it pinned until after this: so no scan passes it by.
  void pin_older(std::uint32_t place, Csn csn) { table_[place].pinned.store(csn.value + 1); }
  void unpin(std::uint32_t place);
  /// What is pinned there. REQUIRES: something is.
  [[nodiscard]] Csn pinned(std::uint32_t place) const {
    return {table_[place].pinned.load(std::memory_order_relaxed) - 1};
  }
  /// Whether the csn that is pinned there is the newest published one.
  [[nodiscard]] bool is_newest(std::uint32_t place) const {
    return table_[place].pinned.load(std::memory_order_relaxed) == published_->load() + 1;
  }

  /// All pinned csns, ascending, each once.
  void scan(std::vector<Csn>& pins) const;
  /// Takes back the places of processes that are gone; returns how many. One system call a place in
  /// use.
  std::uint32_t reap();

 private:
  struct alignas(64) Head {
    std::atomic<std::uint64_t> high_water;  ///< one above the highest place ever claimed
  };
  Head* head_;
  ReaderPlace* table_;
  std::uint32_t places_;
  const std::atomic<std::uint64_t>* published_;
};

}  // namespace exdb
