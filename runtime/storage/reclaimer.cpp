// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/reclaimer.hpp"

#include <algorithm>

namespace exdb {

std::deque<Garbage>& Reclaimer::things_held_by(Csn pin) {
  const auto at = held_.lower_bound(pin);
  if (at != held_.end() && at->first == pin) return at->second;
  if (!spare_) return held_.emplace_hint(at, pin, std::deque<Garbage>())->second;
  spare_.key() = pin;
  return held_.insert(at, std::move(spare_))->second;
}

bool Reclaimer::collect_or_hold(const Garbage& garbage) {
  // Of several pins the oldest: it is the likeliest to stay longest, so the thing moves least
  // often.
  const auto pin = std::lower_bound(pins_.begin(), pins_.end(), garbage.birth);
  if (pin != pins_.end() && *pin < garbage.death) {
    things_held_by(*pin).push_back(garbage);
    ++held_count_;
    return false;
  }
  collect_(self_, garbage);
  return true;
}

std::size_t Reclaimer::look_at_released(std::size_t& budget) {
  std::size_t collected = 0;
  for (auto held = held_.begin(); held != held_.end() && budget > 0;) {
    if (std::binary_search(pins_.begin(), pins_.end(), held->first)) {
      ++held;
      continue;
    }
    for (auto& things = held->second; !things.empty() && budget > 0; --budget) {
      const auto garbage = things.front();
      things.pop_front();
      --held_count_;
      collected += collect_or_hold(garbage);
    }
    const auto seen = held++;
    if (seen->second.empty()) spare_ = held_.extract(seen);
  }
  return collected;
}

std::size_t Reclaimer::step(Csn published, std::size_t budget) {
  if (size() == 0) return 0;
  readers_.scan(pins_);
  // Half for what a pin has let go, so that neither a steady stream of new garbage nor a big old
  // heap starves the other.
  auto share = (budget + 1) / 2;
  auto left = budget - share;
  auto collected = look_at_released(share);
  for (left += share; left > 0 && !waiting_.empty() && waiting_.front().death <= published;
       --left) {
    const auto garbage = waiting_.front();
    waiting_.pop_front();
    collected += collect_or_hold(garbage);
  }
  return collected + look_at_released(left);
}

}  // namespace exdb
