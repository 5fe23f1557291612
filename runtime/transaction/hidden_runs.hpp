// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Stretches of an order (of an index, or of storage) in which a transaction's own writes hide every
// row of its snapshot: so that a walk over them is made once, and later ones jump. Without it, each
// "first row, remove it" would pass over all rows removed before.
//
// Invariants
//   H1  In a run [from, to) of moment m, a walk that began after m has nothing to give: each row of
//       the snapshot there was written at m or before, or is removed. That stays so, for a write is
//       never taken back from under a walk.
//   H2  Runs do not overlap or touch.
// Threads: used by one thread at a time.
#pragma once
#include <cstdint>
#include <map>
#include <optional>

#include "exdb/types.hpp"
#include "schema/key.hpp"

namespace exdb {

/// Cursors that begin, counted: what is later in a transaction has a larger one (Workspace, W3).
struct Moment {
  std::uint64_t value = 0;
  auto operator<=>(const Moment&) const = default;
  /// Of who sees all there is, and goes at once: a find, a count.
  static constexpr Moment now() { return {~std::uint64_t{0}}; }
};

/// A place in an order: a key and, among equal ones, a slot. In storage order the key is empty, and
/// the slot a RowId. SlotId::none() is behind all there is.
struct OrderPlace {
  KeyBytes key;
  SlotId slot;
};
struct OrderPlaceView {
  Bytes key;
  SlotId slot;
  OrderPlaceView(Bytes key_in, SlotId slot_in) : key(key_in), slot(slot_in) {}
  OrderPlaceView(const OrderPlace& place) : key(place.key), slot(place.slot) {}
};
struct OrderPlaceLess {
  using is_transparent = void;
  bool operator()(const OrderPlaceView& a, const OrderPlaceView& b) const {
    if (a.slot == SlotId::none() || b.slot == SlotId::none()) return a.slot < b.slot;
    const auto order = compare_keys(a.key, b.key);
    return order != 0 ? order < 0 : a.slot < b.slot;
  }
};

class HiddenRuns {
 public:
  struct Run {
    OrderPlace to;
    Moment newest;  ///< m of H1
  };
  using Runs = std::map<OrderPlace, Run, OrderPlaceLess>;

  /// The runs of a snapshot of this csn, none to begin with; null for one older than that of the
  /// runs kept.
  HiddenRuns* at(Csn csn);
  /// The run that has this place, if a walk of this moment may jump over it; else null. O(log runs).
  [[nodiscard]] const Runs::value_type* find(const OrderPlaceView& place, Moment moment) const;
  /// REQUIRES: H1. O(log runs), amortised.
  void add(OrderPlace from, OrderPlace to, Moment newest);
  [[nodiscard]] std::size_t size() const { return runs_.size(); }

 private:
  Runs runs_;
  Csn csn_;
};

/// What one walk is passing over, until it comes to a row that it gives: then it becomes a run.
class HiddenStretch {
 public:
  /// Shorter ones are walked again: cheaper than to keep them.
  static constexpr std::size_t entries_min = 4;

  /// A row, first written at `newest` if it is there still.
  void pass(const OrderPlaceView& place, Moment newest);
  /// A run that is jumped over from this place in it.
  void jump(const OrderPlaceView& place, const HiddenRuns::Run& run);
  /// The walk, upward or downward, has come to `stop`, or to the end.
  void end(HiddenRuns& runs, bool up, const std::optional<OrderPlaceView>& stop);

 private:
  void begin(const OrderPlaceView& place, Moment newest);
  std::optional<OrderPlace> first_;
  std::size_t walked_ = 0;
  Moment newest_;
};

}  // namespace exdb
