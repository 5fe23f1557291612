// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Decides when something that was superseded can go. A thing was visible to the snapshots [birth,
// death): it is collected as soon as death is published and no pinned snapshot lies in that
// interval. So a snapshot that is held for hours keeps what it can see and nothing else: at most
// one extra copy of what changed since.
//
// Invariants
//   I1  Nothing is collected while a pin lies in [birth, death), or before a csn >= death is
//       published.
//   I2  Everything retired is collected once no pin lies in its interval: nothing is forgotten.
//   I3  A held thing is looked at again only when the pin that holds it is gone: a long pin costs
//       no work a round, however much it holds. (A pin that comes later cannot matter: it is >=
//       published >= death.)
// Threads: the writer only.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "storage/reader_table.hpp"

namespace exdb {

/// What can be retired. The collector knows how to let each of them go.
struct Garbage {
  enum class Kind : std::uint8_t { version, block, hash_entry, root_record };
  Kind kind = Kind::block;
  std::uint32_t owner = 0;  ///< version: class; hash_entry, root_record: index
  std::uint64_t key = 0;    ///< version: slot; hash_entry: slot
  Offset offset = 0;        ///< version, block: where it lies; hash_entry: hash of the key
  std::uint64_t bytes = 0;  ///< version, block: allocated size
  Csn birth, death;         ///< visible to snapshots birth <= S < death
};

class Reclaimer {
 public:
  using Collect = void (*)(void* self, const Garbage&);
  Reclaimer(ReaderTable& readers, void* self, Collect collect)
      : readers_(readers), self_(self), collect_(collect) {}

  /// REQUIRES: death of successive calls never decreases.
  void retire(const Garbage& garbage) { waiting_.push_back(garbage); }

  /// Looks at up to `budget` things and collects those that can go; returns how many. To be called
  /// after each publish, with a budget above what a round retires, or garbage piles up.
  std::size_t step(Csn published, std::size_t budget);

  /// Things not collected yet.
  [[nodiscard]] std::size_t size() const { return waiting_.size() + held_count_; }

 private:
  std::deque<Garbage>& things_held_by(Csn pin);
  bool collect_or_hold(const Garbage& garbage);
  std::size_t look_at_released(std::size_t& budget);

  ReaderTable& readers_;
  void* self_;
  Collect collect_;
  std::deque<Garbage> waiting_;  ///< by death
  using Held = std::map<Csn, std::deque<Garbage>>;
  Held held_;  ///< by one pin that holds them back
  /// The last one let go, with its room. Who commits has a snapshot pinned, so nearly every commit
  /// holds something back that the next one lets go: it was three allocations each time.
  Held::node_type spare_;
  std::size_t held_count_ = 0;
  std::vector<Csn> pins_;
};

}  // namespace exdb
