// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One table of slots with all that it needs, for its tests: all of them with slots without an inline
// cell, with one for rows of a size that few rows of the tests have (so that rows of one slot lie in
// both forms), and with one for the size that most have.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "storage/slots.hpp"

namespace exdb {

constexpr std::uint32_t places = 32;
constexpr ClassId cls{3};
constexpr Offset published_at = 64;
constexpr Offset head_at = 128;
constexpr Offset table_at = 4096;

/// One class and all it needs; what storage.cpp does for many.
struct Grid {
  explicit Grid(std::size_t row_bytes, bool shared = false,
                std::size_t reserve_bytes = std::size_t{1} << 30)
      : segment(Segment::create({.shared = shared,
                                 .unit_bytes = std::size_t{1} << 20,
                                 .reserve_bytes = reserve_bytes})
                    .value()),
        slots(*segment, allocator, reclaimer, head, cls, row_bytes) {}

  void publish(std::size_t budget = 1000) {
    published.store(csn.value);
    reclaimer.step(csn, budget);
  }
  void install(SlotId slot, Bytes row) { slots.install(slot, row, csn, Csn{published.load()}); }
  void remove(SlotId slot) { slots.install_removed(slot, csn, Csn{published.load()}); }
  [[nodiscard]] std::optional<Bytes> find(SlotId slot, Csn at) const {
    return SlotTable::find(*segment, head, cls, slot, at);
  }

  std::unique_ptr<Segment> segment;
  std::atomic<std::uint64_t>& published = *segment->at<std::atomic<std::uint64_t>>(published_at);
  SlotTableHead* head = segment->at<SlotTableHead>(head_at);
  ReaderTable readers{segment->at<void>(table_at), places, &published};
  Allocator allocator{*segment, table_at + ReaderTable::bytes_for(places)};
  Reclaimer reclaimer{readers, this, [](void* self, const Garbage& garbage) {
                        ASSERT_EQ(garbage.kind, Garbage::Kind::version);
                        static_cast<Grid*>(self)->slots.collect(garbage);
                      }};
  SlotTable slots;
  Csn csn;  ///< of the last version installed
};

class Slots : public testing::TestWithParam<std::size_t> {};

inline const auto slot_forms =
    testing::Values(0, 16, 40);  ///< bytes of a row that fits the inline cell

inline std::string name_of_form(const testing::TestParamInfo<std::size_t>& form) {
  return form.param == 0 ? "stable" : "inline_" + std::to_string(form.param);
}

}  // namespace exdb
