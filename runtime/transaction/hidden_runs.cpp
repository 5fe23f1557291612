// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/hidden_runs.hpp"

#include <algorithm>

namespace exdb {

HiddenRuns* HiddenRuns::at(Csn csn) {
  if (csn < csn_) return nullptr;
  if (csn > csn_) {
    runs_.clear();
    csn_ = csn;
  }
  return this;
}

const HiddenRuns::Runs::value_type* HiddenRuns::find(const OrderPlaceView& place,
                                                     Moment moment) const {
  auto run = runs_.upper_bound(place);
  if (run == runs_.begin()) return nullptr;
  --run;
  return OrderPlaceLess{}(place, run->second.to) && run->second.newest < moment ? &*run : nullptr;
}

void HiddenRuns::add(OrderPlace from, OrderPlace to, Moment newest) {
  const OrderPlaceLess less;
  auto run = runs_.upper_bound(from);
  if (run != runs_.begin() && !less(std::prev(run)->second.to, from)) {
    --run;
    from = run->first;
  }
  while (run != runs_.end() && !less(to, run->first)) {
    newest = std::max(newest, run->second.newest);
    if (less(to, run->second.to)) to = std::move(run->second.to);
    run = runs_.erase(run);
  }
  runs_.emplace_hint(run, std::move(from), Run{std::move(to), newest});
}

void HiddenStretch::begin(const OrderPlaceView& place, Moment newest) {
  if (!first_) first_ = OrderPlace{KeyBytes(place.key), place.slot};
  newest_ = std::max(newest_, newest);
}

void HiddenStretch::pass(const OrderPlaceView& place, Moment newest) {
  begin(place, newest);
  ++walked_;
}

void HiddenStretch::jump(const OrderPlaceView& place, const HiddenRuns::Run& run) {
  begin(place, run.newest);
}

/// A run begins and ends where the rows are that are given, and not at its own outermost ones: two
/// that are one stretch touch then.
void HiddenStretch::end(HiddenRuns& runs, bool up, const std::optional<OrderPlaceView>& stop) {
  if (walked_ >= entries_min) {
    OrderPlace other{stop ? KeyBytes(stop->key) : KeyBytes(),
                     stop ? SlotId{stop->slot.value + (up ? 0 : 1)}
                     : up ? SlotId::none()
                          : SlotId{}};
    if (up) {
      runs.add(std::move(*first_), std::move(other), newest_);
    } else {
      ++first_->slot.value;
      runs.add(std::move(other), std::move(*first_), newest_);
    }
  }
  first_.reset();
  walked_ = 0;
  newest_ = {};
}

}  // namespace exdb
