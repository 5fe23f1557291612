// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The pins of this process: snapshots of one csn share a place of the reader table. So what is kept
// for long (cursors, NumPy views of finished transactions) takes a place for each state that is
// kept, however many hold it.
//
// A pin is of the newest csn (but for take_older()), so the place to share is the one pinned last: each of a few
// entries, to which threads are spread, remembers it. Threads do not look at the entries of others
// while they have a place to spare: short transactions on many cores then write no line in common.
// A table of all csns under a mutex was rejected: it costs every pin what only kept ones need.
//
// Invariants
//   I1  users of a place > 0: it belongs to this process, and its pin does not change until they
//       are 0 again. A user is added only where there is one, or by who pinned the place.
//   I2  Places in use at once <= distinct csns pinned + threads that keep some (at most entries).
// Counts are in private memory: in the segment, an increment that comes late could meet the place
// in the hands of another process.
// Threads: any. Lock-free but for a pin of a thread that has no place to spare, since it keeps its
//   last ones: those wait for each other.
#pragma once
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/reader_table.hpp"

namespace exdb {

class SharedPins {
 public:
  struct Pin {
    std::uint32_t place;
    Csn csn;
  };

  SharedPins(ReaderTable& table, std::uint32_t places) : table_(table), users_(places) {}
  /// REQUIRES: nothing is pinned.
  ~SharedPins();

  /// Pins the newest published csn. Fails as ReaderTable::claim().
  Result<Pin> take();
  /// Pins an older one at a place of its own, which is shared with nobody. REQUIRES: another process
  /// keeps it pinned until after this.
  Result<Pin> take_older(Csn csn);
  void give(std::uint32_t place);

 private:
  /// Places are stored + 1; 0 = none.
  struct alignas(64) Entry {
    std::atomic<std::uint32_t> spare;   ///< owned, nothing pinned: the next pin takes no scan
    std::atomic<std::uint32_t> latest;  ///< pinned last by this entry's threads; may be long gone
  };
  struct alignas(64) Users {
    std::atomic<std::uint32_t> count;
  };

  [[nodiscard]] std::optional<Pin> join(std::uint32_t place_plus_1);
  Result<Pin> take_slowly(Entry& mine);
  Pin pin_at(std::uint32_t place, Entry& mine);

  /// A few only: with many processes on a host, each keeps places from the others.
  std::array<Entry, 16> entries_{};
  std::mutex slowly_;
  ReaderTable& table_;
  std::vector<Users> users_;  ///< by place
};

}  // namespace exdb
