// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/pins.hpp"

#include "base/assert.hpp"

namespace exdb {
namespace {

/// Threads share out the entries among them; two on one entry still are correct, only slower.
unsigned entry_of_thread() {
  static std::atomic<unsigned> threads{0};
  thread_local const unsigned mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

SharedPins::~SharedPins() {
  for (auto& entry : entries_)
    if (const auto place = entry.spare.load(); place != 0) table_.release(place - 1);
}

/// One more user of a place that is pinned at the newest csn.
std::optional<SharedPins::Pin> SharedPins::join(std::uint32_t place_plus_1) {
  if (place_plus_1 == 0) return std::nullopt;
  const auto place = place_plus_1 - 1;
  auto& count = users_[place].count;
  auto users = count.load(std::memory_order_relaxed);
  if (users == 0 || !table_.is_newest(place)) return std::nullopt;  // without a locked instruction
  do {
    if (users == 0) return std::nullopt;
  } while (!count.compare_exchange_weak(users, users + 1));
  // From here on the pin stays, so that this is the second look of ReaderTable I1.
  if (table_.is_newest(place)) return Pin{place, table_.pinned(place)};
  give(place);
  return std::nullopt;
}

Result<SharedPins::Pin> SharedPins::take() {
  auto& mine = entries_[entry_of_thread() % entries_.size()];
  if (const auto pin = join(mine.latest.load(std::memory_order_relaxed))) return *pin;
  if (const auto place = mine.spare.exchange(0)) return pin_at(place - 1, mine);
  return take_slowly(mine);
}

Result<SharedPins::Pin> SharedPins::take_older(Csn csn) {
  auto place = table_.claim();
  if (!place.ok()) return place.status();
  table_.pin_older(*place, csn);
  users_[*place].count.store(1, std::memory_order_release);
  return Pin{*place, csn};
}

/// This thread's places are kept at older csns: another may have the newest. One at a time, or each
/// of several would claim a place for the same csn.
Result<SharedPins::Pin> SharedPins::take_slowly(Entry& mine) {
  const std::lock_guard lock(slowly_);
  for (auto& entry : entries_) {
    const auto latest = entry.latest.load(std::memory_order_relaxed);
    if (const auto pin = join(latest)) {
      mine.latest.store(latest, std::memory_order_relaxed);
      return *pin;
    }
  }
  auto claimed = table_.claim();
  if (claimed.ok()) return pin_at(*claimed, mine);
  for (auto& entry : entries_)
    if (const auto place = entry.spare.exchange(0)) return pin_at(place - 1, mine);
  return claimed.status();
}

SharedPins::Pin SharedPins::pin_at(std::uint32_t place, Entry& mine) {
  const Pin pin{place, table_.pin(place)};
  users_[place].count.store(1, std::memory_order_release);
  mine.latest.store(place + 1, std::memory_order_relaxed);
  return pin;
}

void SharedPins::give(std::uint32_t place) {
  const auto users = users_[place].count.fetch_sub(1);
  EXDB_ASSERT(users > 0, "a pin is given back once");
  if (users > 1) return;
  table_.unpin(place);
  std::uint32_t none = 0;
  auto& spare = entries_[entry_of_thread() % entries_.size()].spare;
  if (!spare.compare_exchange_strong(none, place + 1)) table_.release(place);
}

}  // namespace exdb
