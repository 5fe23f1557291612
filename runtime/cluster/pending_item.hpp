// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A local item from submit to answer.
//
// Invariants
//   I1  Answered once: `outcome` is written before `done` becomes true and never after.
// Threads: `done` by any; `outcome` by whoever saw `done`; the rest by the window, then by the
// driver.
#pragma once
#include <atomic>
#include <vector>

#include "base/assert.hpp"
#include "cluster/node.hpp"

namespace exdb {

struct PendingItem {
  RoundItem::Kind kind = RoundItem::Kind::transaction;
  std::uint64_t sequence = 0;
  std::vector<std::byte> bytes;
  int priority = 0;
  ItemOutcome outcome;
  std::atomic<bool> done{false};

  void answer(ItemOutcome with) {
    EXDB_ASSERT(!done.load(std::memory_order_relaxed), "an item is answered once");
    outcome = std::move(with);
    bytes = {};
    done.store(true, std::memory_order_release);
  }
};

}  // namespace exdb
