// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// SlotTable against a plain model: a map, and a copy of it for each pinned snapshot.
#include <map>
#include <random>
#include <set>

#include "slots_grid.hpp"

namespace exdb {
namespace {

INSTANTIATE_TEST_SUITE_P(Forms, Slots, slot_forms, name_of_form);

std::vector<std::byte> row_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text_of(std::optional<Bytes> row) {
  return row ? std::string(reinterpret_cast<const char*>(row->data()), row->size()) : "none";
}

TEST_P(Slots, a_reader_sees_the_newest_version_of_its_snapshot) {
  Grid grid(GetParam());
  for (const auto* text : {"one", "two", "three"}) {
    grid.readers.pin(grid.readers.claim().value());
    grid.csn = grid.csn.next();
    grid.install({5}, row_of(text));
    grid.publish();
  }
  EXPECT_EQ(text_of(grid.find({5}, {0})), "none");
  EXPECT_EQ(text_of(grid.find({5}, {1})), "one");
  EXPECT_EQ(text_of(grid.find({5}, {2})), "two");
  EXPECT_EQ(text_of(grid.find({5}, {3})), "three");
  EXPECT_EQ(text_of(grid.find({6}, {3})), "none");
  EXPECT_EQ(text_of(grid.find({SlotTable::slots_max - 1}, {3})), "none");
  EXPECT_EQ(text_of(grid.find(SlotId::none(), {3})), "none");
  EXPECT_EQ(grid.slots.newest_csn({5}), Csn{3});
  EXPECT_EQ(grid.slots.newest_csn({6}), Csn{0});
  EXPECT_EQ(text_of(grid.slots.newest_row({5})), "three");
}

TEST_P(Slots, an_empty_row_is_a_row) {
  Grid grid(GetParam());
  grid.csn = {1};
  grid.install({0}, {});
  ASSERT_TRUE(grid.slots.newest_row({0}).has_value());
  EXPECT_EQ(grid.slots.newest_row({0})->size(), 0u);
}

TEST_P(Slots, a_removed_slot_is_free_and_keeps_its_csn) {
  Grid grid(GetParam());
  grid.csn = {1};
  grid.install({0}, row_of("a"));
  grid.install({1}, row_of("b"));
  grid.publish();
  EXPECT_EQ(grid.slots.lowest_free(), SlotId{2});
  const auto place = grid.readers.claim().value();
  grid.readers.pin(place);
  grid.csn = {2};
  grid.remove({0});
  EXPECT_EQ(grid.slots.lowest_free(), SlotId{0});
  EXPECT_EQ(grid.slots.rows(), 1u);
  grid.publish();
  EXPECT_EQ(text_of(grid.find({0}, {1})), "a");
  EXPECT_EQ(text_of(grid.find({0}, {2})), "none");
  EXPECT_EQ(grid.slots.check(), 3u);
  grid.readers.release(place);
  grid.publish();
  EXPECT_EQ(grid.slots.check(), 1u) << "the removal goes with the last version below it";
  EXPECT_EQ(grid.slots.newest_csn({0}), Csn{2}) << "I6";
}

TEST_P(Slots, what_nobody_can_have_seen_is_freed_at_once) {
  Grid grid(GetParam());
  for (std::uint64_t csn = 1; csn <= 100; ++csn) {
    grid.csn = {csn};
    grid.install({0}, row_of(std::to_string(csn)));
  }
  EXPECT_EQ(grid.slots.check(), 1u);
  EXPECT_EQ(grid.reclaimer.size(), 0u);
  grid.csn = {101};
  grid.remove({0});
  EXPECT_EQ(grid.slots.check(), 0u);
  EXPECT_EQ(grid.slots.newest_csn({0}), Csn{101});
}

TEST_P(Slots, several_versions_of_one_csn_leave_the_last) {
  Grid grid(GetParam());
  grid.csn = {1};
  grid.install({0}, row_of("old"));
  grid.publish();
  const auto place = grid.readers.claim().value();
  grid.readers.pin(place);
  grid.csn = {2};
  for (const auto* text : {"x", "y", "z"}) grid.install({0}, row_of(text));
  grid.remove({0});
  grid.install({0}, row_of("last"));
  grid.publish();
  EXPECT_EQ(text_of(grid.find({0}, {1})), "old");
  EXPECT_EQ(text_of(grid.find({0}, {2})), "last");
  EXPECT_EQ(grid.slots.check(), 2u);
}

TEST_P(Slots, an_update_may_be_built_from_the_row_it_replaces) {
  Grid grid(GetParam());
  for (const std::size_t bytes : {100, 100000}) {
    grid.csn = grid.csn.next();
    const std::vector<std::byte> row(bytes, std::byte{7});
    grid.install({0}, row);
    for (int i = 0; i < 10; ++i) {
      grid.csn = grid.csn.next();
      grid.install({0}, *grid.slots.newest_row({0}));
      EXPECT_TRUE(std::ranges::equal(*grid.slots.newest_row({0}), row));
    }
  }
}

TEST_P(Slots, big_rows_lie_on_64_byte_boundaries) {
  Grid grid(GetParam());
  std::uint64_t slot = 0;
  for (std::size_t bytes = Version::inline_bytes_max - 3; bytes < Version::inline_bytes_max + 100;
       ++bytes) {
    grid.csn = grid.csn.next();
    grid.install({slot}, std::vector<std::byte>(bytes));
    const auto row = *grid.slots.newest_row({slot++});
    EXPECT_EQ(row.size(), bytes);
    const auto wanted = bytes > Version::inline_bytes_max ? 64u : 16u;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(row.data()) % wanted, 0u);
  }
}

TEST_P(Slots, lowest_free_is_lowest_also_over_many_levels) {
  Grid grid(GetParam());
  std::set<std::uint64_t> holes;
  constexpr std::uint64_t count = 64 * 64 * 3 + 17;
  grid.csn = {1};
  for (std::uint64_t slot = 0; slot < count; ++slot) {
    ASSERT_EQ(grid.slots.lowest_free(), SlotId{slot});
    grid.install({slot}, row_of("r"));
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 20000; ++i) {
    grid.csn = grid.csn.next();
    if (const auto slot = random() % count; random() % 2 == 0 && !holes.contains(slot)) {
      grid.remove({slot});
      holes.insert(slot);
    } else if (!holes.empty()) {
      ASSERT_EQ(grid.slots.lowest_free(), SlotId{*holes.begin()});
      grid.install({*holes.begin()}, row_of("r"));
      holes.erase(holes.begin());
    }
    ASSERT_EQ(grid.slots.lowest_free(), SlotId{holes.empty() ? count : *holes.begin()});
  }
  EXPECT_EQ(grid.slots.rows(), count - holes.size());
}

TEST_P(Slots, scans_find_far_rows_over_empty_pages) {
  Grid grid(GetParam());
  grid.csn = {1};
  const std::vector<std::uint64_t> rows{3, 4096, 4096 * 5 + 1, 4096 * 2048 * 7};
  for (const auto slot : rows) grid.install({slot}, row_of("r"));
  grid.publish();
  const auto scan = [&](std::uint64_t from) {
    return SlotTable::scan(*grid.segment, grid.head, cls, {from}, {1}).value;
  };
  const auto back = [&](std::uint64_t from) {
    return SlotTable::scan_back(*grid.segment, grid.head, cls, {from}, {1}).value;
  };
  EXPECT_EQ(scan(0), 3u);
  EXPECT_EQ(scan(3), 3u);
  EXPECT_EQ(scan(4), 4096u);
  EXPECT_EQ(scan(4097), rows[2]);
  EXPECT_EQ(scan(rows[2] + 1), rows[3]);
  EXPECT_EQ(scan(rows[3] + 1), SlotId::none().value);
  EXPECT_EQ(back(SlotId::none().value), rows[3]);
  EXPECT_EQ(back(rows[3] - 1), rows[2]);
  EXPECT_EQ(back(rows[2] - 1), 4096u);
  EXPECT_EQ(back(4095), 3u);
  EXPECT_EQ(back(2), SlotId::none().value);
  EXPECT_EQ(SlotTable::scan(*grid.segment, grid.head, cls, {0}, {0}), SlotId::none());
}

TEST_P(Slots, scans_pass_over_the_borders_of_pages) {
  Grid grid(GetParam());
  grid.csn = {1};
  const auto first = grid.head->first_slots(), page = grid.head->page_slots();
  const std::set<std::uint64_t> rows{first - 1, first, page - 1, page, 3 * page - 1, 3 * page};
  for (const auto slot : rows) grid.install({slot}, row_of("r"));
  grid.publish();
  std::vector<std::uint64_t> up, down;
  for (auto at = SlotTable::scan(*grid.segment, grid.head, cls, {0}, {1}); at != SlotId::none();
       at = SlotTable::scan(*grid.segment, grid.head, cls, {at.value + 1}, {1}))
    up.push_back(at.value);
  auto at = SlotTable::scan_back(*grid.segment, grid.head, cls, SlotId::none(), {1});
  for (; at != SlotId::none();
       at = SlotTable::scan_back(*grid.segment, grid.head, cls, {at.value - 1}, {1}))
    down.push_back(at.value);
  EXPECT_TRUE(std::ranges::equal(up, rows));
  EXPECT_EQ(down, std::vector(up.rbegin(), up.rend()));
  EXPECT_EQ(grid.slots.check(), rows.size());
}

TEST_P(Slots, an_empty_class_takes_nothing_and_few_rows_take_a_small_page) {
  Grid grid(GetParam());
  EXPECT_EQ(grid.allocator.bytes_used(), 0u);
  grid.csn = {1};
  for (std::uint64_t slot = 0; slot < 10; ++slot) grid.install({slot}, row_of("r"));
  EXPECT_LE(grid.allocator.bytes_used(), std::size_t{17} << 10);
  grid.install({grid.head->first_slots()}, row_of("r"));
  EXPECT_LE(grid.head->page_slots() * grid.head->stride, SlotTable::page_bytes_max);
}

TEST(SlotsInline, a_row_lies_in_its_slot_when_the_cell_is_free) {
  Grid grid(64);
  const auto lies_inline = [&](SlotId slot) {
    const auto* place =
        reinterpret_cast<const std::byte*>(SlotTable::locate(*grid.segment, grid.head, slot));
    return grid.slots.newest_row(slot)->data() == place + sizeof(Slot) + sizeof(VersionHead);
  };
  const std::vector<std::byte> row(64);
  grid.csn = {1};
  grid.install({7}, row);
  EXPECT_TRUE(lies_inline({7}));
  grid.publish();
  const auto place = grid.readers.claim().value();
  grid.readers.pin(place);
  for (std::uint64_t csn = 2; csn < 6; ++csn) {
    grid.csn = {csn};
    grid.install({7}, row);
    grid.publish();
    EXPECT_FALSE(lies_inline({7})) << "the pinned version lies there";
  }
  grid.readers.release(place);
  grid.publish();
  grid.csn = {6};
  grid.install({7}, row);
  EXPECT_TRUE(lies_inline({7}));
  grid.install({8}, std::vector<std::byte>(65));
  EXPECT_FALSE(lies_inline({8})) << "a row of another size";
}

TEST(SlotsInline, a_row_takes_24_bytes_beside_its_own_in_halves_of_cache_lines) {
  const std::pair<std::size_t, std::uint32_t> strides[] = {
      {0, 8}, {1, 32}, {8, 32}, {9, 64}, {40, 64}, {41, 96}, {64, 96}, {208, 256}, {232, 256}};
  for (const auto& [row, stride] : strides) EXPECT_EQ(Grid(row).head->stride, stride) << row;
}

TEST(SlotsInline, classes_of_small_rows_of_one_size_have_inline_cells) {
  const auto dictionary = Dictionary::parse(
                              "declare database d;"
                              "class Small { signed<8> id; binary<56> rest; };"
                              "class Large { signed<8> id; binary<300> rest; };"
                              "class Tail { signed<8> id; string name; };")
                              .value();
  const auto bytes = [&](std::size_t n) {
    return SlotTable::inline_row_bytes(dictionary->classes()[n].record);
  };
  EXPECT_EQ(bytes(0), 64u);
  EXPECT_EQ(bytes(1), 0u);
  EXPECT_EQ(bytes(2), 0u);
}

TEST_P(Slots, a_full_segment_throws_and_leaves_the_slot_as_it_was) {
  Grid grid(GetParam(), false, std::size_t{8} << 20);
  grid.csn = {1};
  grid.install({0}, row_of("kept"));
  grid.publish();
  const auto used = grid.allocator.bytes_used();
  grid.csn = {2};
  const std::vector<std::byte> monster(std::size_t{16} << 20);
  EXPECT_THROW(grid.install({0}, monster), Error);
  EXPECT_EQ(text_of(grid.slots.newest_row({0})), "kept");
  EXPECT_EQ(grid.allocator.bytes_used(), used);
  EXPECT_EQ(grid.slots.check(), 1u);
  EXPECT_THROW(grid.install({SlotTable::slots_max}, {}), Error);
}

// --- the model ---

class SlotsModel {
 public:
  using State = std::map<std::uint64_t, std::string>;
  explicit SlotsModel(std::size_t row_bytes) : grid_(row_bytes) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      grid_.csn = {grid_.published.load() + 1 + random_() % 2};
      for (auto changes = 1 + random_() % 6; changes > 0; --changes) change();
      grid_.publish(random_() % 12);
      if (random_() % 8 == 0 && pins_.size() < places) pin();
      if (random_() % 9 == 0 && !pins_.empty()) unpin(random_() % pins_.size());
      if (i % 50 == 0) check();
    }
  }

  void empty_all() {
    while (!pins_.empty()) unpin(0);
    grid_.csn = grid_.csn.next();
    while (!state_.empty()) remove(state_.begin()->first);
    grid_.publish(1000000);
    EXPECT_EQ(grid_.reclaimer.size(), 0u);
    EXPECT_EQ(grid_.slots.check(), 0u);
    const auto page = grid_.head->first_slots() * grid_.head->stride;
    EXPECT_EQ(grid_.allocator.bytes_used(), Allocator::rounded(page)) << "nothing leaks";
  }

 private:
  void change() {
    if (random_() % 3 == 0) grid_.csn = grid_.csn.next();
    const auto kind = random_() % 10;
    if (state_.empty() || (kind < 3 && state_.size() < 60)) {
      std::uint64_t lowest = 0;
      while (state_.contains(lowest)) ++lowest;
      ASSERT_EQ(grid_.slots.lowest_free(), SlotId{lowest}) << "I7";
      write(lowest);
    } else {
      const auto slot =
          std::next(state_.begin(), static_cast<long>(random_() % state_.size()))->first;
      kind < 8 ? write(slot) : remove(slot);
    }
  }
  void write(std::uint64_t slot) {
    const auto dice = random_() % 30;
    const auto bytes = dice == 0   ? 3000 + random_() % 9000
                       : dice < 20 ? grid_.head->row_bytes
                                   : random_() % 100;
    std::string row(bytes, static_cast<char>('a' + random_() % 26));
    grid_.install({slot}, row_of(row));
    state_[slot] = std::move(row);
    csns_[slot] = grid_.csn;
  }
  void remove(std::uint64_t slot) {
    grid_.remove({slot});
    state_.erase(slot);
    csns_[slot] = grid_.csn;
  }
  void pin() {
    const auto place = grid_.readers.claim().value();
    grid_.readers.pin(place);
    pins_.push_back({place, grid_.csn, state_});
  }
  void unpin(std::size_t at) {
    grid_.readers.release(pins_[at].place);
    pins_.erase(pins_.begin() + static_cast<long>(at));
  }
  void check() {
    (void)grid_.slots.check();
    ASSERT_EQ(grid_.slots.rows(), state_.size());
    for (const auto& [slot, csn] : csns_) ASSERT_EQ(grid_.slots.newest_csn({slot}), csn);
    check(grid_.csn, state_);
    for (const auto& pin : pins_) check(pin.csn, pin.state);
  }
  void check(Csn csn, const State& state) {
    for (std::uint64_t slot = 0; slot < 64; ++slot) {
      const auto want = state.find(slot);
      const auto row = grid_.find({slot}, csn);
      ASSERT_EQ(row.has_value(), want != state.end());
      if (row) {
        ASSERT_EQ(text_of(row), want->second);
      }
    }
    auto at = SlotTable::scan(*grid_.segment, grid_.head, cls, {0}, csn);
    for (const auto& [slot, row] : state) {
      ASSERT_EQ(at, SlotId{slot});
      at = SlotTable::scan(*grid_.segment, grid_.head, cls, {slot + 1}, csn);
    }
    ASSERT_EQ(at, SlotId::none());
    ASSERT_EQ(SlotTable::scan_back(*grid_.segment, grid_.head, cls, SlotId::none(), csn),
              state.empty() ? SlotId::none() : SlotId{state.rbegin()->first});
  }

  struct Pin {
    std::uint32_t place;
    Csn csn;
    State state;
  };
  Grid grid_;
  std::mt19937_64 random_{11};
  State state_;
  std::map<std::uint64_t, Csn> csns_;
  std::vector<Pin> pins_;
};

TEST_P(Slots, agrees_with_a_plain_model_over_random_changes_and_pins) {
  SlotsModel model(GetParam());
  model.run(5000);
  model.empty_all();
}

}  // namespace
}  // namespace exdb
