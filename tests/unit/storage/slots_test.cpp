// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// SlotTable against a plain model (a map, and a copy of it for each pinned snapshot), and under
// readers in threads and in another process that check that no snapshot ever changes. All with
// slots without an inline cell, with one for rows of a size that few rows of the tests have (so
// that rows of one slot lie in both forms), and with one for the size that most have.
#include "storage/slots.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/hash.hpp"

namespace exdb {
namespace {

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
class SlotsStress : public Slots {};
class SlotsInterleaved : public Slots {};
class SlotsProcesses : public Slots {};
const auto forms = testing::Values(0, 16, 40);  // bytes of a row that fits the inline cell
std::string name_of_form(const testing::TestParamInfo<std::size_t>& form) {
  return form.param == 0 ? "stable" : "inline_" + std::to_string(form.param);
}
INSTANTIATE_TEST_SUITE_P(Forms, Slots, forms, name_of_form);
INSTANTIATE_TEST_SUITE_P(Forms, SlotsStress, forms, name_of_form);
INSTANTIATE_TEST_SUITE_P(Forms, SlotsInterleaved, forms, name_of_form);
INSTANTIATE_TEST_SUITE_P(Forms, SlotsProcesses, forms, name_of_form);

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

// --- readers beside a writer at full speed ---

// What a csn does to which slot is a function of the csn alone, so a reader knows every snapshot
// without being told.
constexpr std::uint64_t stress_slots = 6;

struct Change {
  std::uint64_t slot;
  bool removes;
  std::uint64_t words;  ///< of the row
};

Change change_of(std::uint64_t csn, bool big_rows) {
  const auto dice = hash_word(csn);
  const bool big = big_rows && dice % 31 == 0;
  constexpr std::uint64_t words[] = {2, 3, 5, 5, 5, 5};
  return {dice % stress_slots, (dice >> 8) % 5 == 0, big ? 700 : words[(dice >> 16) % 6]};
}

/// The row that csn writes: the slot, then the csn mixed into every word.
void fill_row(std::uint64_t csn, const Change& change, std::vector<std::uint64_t>& row) {
  row.assign(change.words, 0);
  for (std::uint64_t i = 0; i < change.words; ++i) row[i] = hash_word(csn * 1000 + i) ^ change.slot;
}

class Writer {
 public:
  Writer(Grid& grid, bool big_rows) : grid_(grid), big_rows_(big_rows) {}

  void round() {
    for (auto left = 1 + hash_word(grid_.csn.value) % 4; left > 0; --left) {
      grid_.csn = grid_.csn.next();
      const auto change = change_of(grid_.csn.value, big_rows_);
      const bool there = grid_.slots.newest_row({change.slot}).has_value();
      if (change.removes) {
        if (there) grid_.remove({change.slot});
        continue;
      }
      fill_row(grid_.csn.value, change, row_);
      if (grid_.csn.value % 7 == 0)
        grid_.install({change.slot}, std::as_bytes(std::span(row_)).first(8));
      grid_.install({change.slot}, std::as_bytes(std::span(row_)));
    }
    grid_.publish();
  }

 private:
  Grid& grid_;
  bool big_rows_;
  std::vector<std::uint64_t> row_;
};

/// Checks snapshot `csn` against what the csns up to it did; false when it differs.
template <class Walk = VersionWalk>
bool snapshot_is_right(const Segment& segment, std::uint64_t csn, bool big_rows) {
  const auto* head = segment.at<SlotTableHead>(head_at);
  std::uint64_t known = 0;  // a bit a slot that was checked
  std::vector<std::uint64_t> wanted;
  for (auto at = csn; at > 0 && known + 1 < std::uint64_t{1} << stress_slots; --at) {
    const auto change = change_of(at, big_rows);
    if ((known >> change.slot & 1) != 0) continue;
    known |= std::uint64_t{1} << change.slot;
    const auto row = SlotTable::find<Walk>(segment, head, cls, {change.slot}, {csn});
    if (row.has_value() == change.removes) return false;
    if (change.removes) continue;
    fill_row(at, change, wanted);
    const auto bytes = std::as_bytes(std::span(wanted));
    if (row->size() != bytes.size() || std::memcmp(row->data(), bytes.data(), bytes.size()) != 0)
      return false;
  }
  return true;
}

struct Stress {
  std::size_t row_bytes;
  bool big_rows = true;
  bool pins_with_care = true;
  int rounds = 40000;
};

/// True when every snapshot that a reader pinned stayed right for as long as it was pinned.
template <class Walk = VersionWalk>
bool snapshots_stay_right(const Stress& stress) {
  Grid grid(stress.row_bytes);
  std::atomic<bool> stop{false}, wrong{false};
  std::atomic<std::uint64_t> checked{0};
  const auto pin = [&](std::uint32_t place) {
    if (stress.pins_with_care) return grid.readers.pin(place);
    const auto csn = grid.published.load();
    std::this_thread::yield();
    grid.segment->at<ReaderPlace>(table_at + ReaderTable::bytes_for(0))[place].pinned.store(csn +
                                                                                            1);
    return Csn{csn};
  };
  std::vector<std::thread> readers;
  for (int number = 0; number < 3; ++number) {
    readers.emplace_back([&, number] {
      const auto place = grid.readers.claim().value();
      while (!stop.load()) {
        const auto csn = pin(place);
        for (int again = 0; again < 1 + 40 * number && !wrong.load(); ++again) {
          if (!snapshot_is_right<Walk>(*grid.segment, csn.value, stress.big_rows))
            wrong.store(true);
        }
        grid.readers.unpin(place);
        checked.fetch_add(1);
      }
      grid.readers.release(place);
    });
  }
  Writer writer(grid, stress.big_rows);
  for (int round = 0; (round < stress.rounds || checked.load() < 100) && !wrong.load(); ++round)
    writer.round();
  stop.store(true);
  for (auto& reader : readers) reader.join();
  if (wrong.load()) return false;
  grid.publish(1000000);
  EXPECT_EQ(grid.reclaimer.size(), 0u);
  EXPECT_EQ(grid.slots.check(), grid.slots.rows()) << "no version is left but the newest";
  return true;
}

// --- every interleaving of one walk with the writer, without threads ---

/// Lets the writer run in the pauses of a walk, now and then.
struct Interrupted : VersionWalk {
  static void pause() {
    if (dice() % 4 != 0) return;
    for (auto rounds = 1 + dice() % 6; rounds > 0; --rounds) writer->round();
  }
  static inline Writer* writer = nullptr;
  static inline std::mt19937_64 dice;
};
struct WithoutFree : Interrupted {
  static constexpr bool checks_free = false;
};
struct WithoutLife : Interrupted {
  static constexpr bool checks_life = false;
};
struct WithoutOwner : Interrupted {
  static constexpr bool checks_owner = false;
};
struct Unchecked : VersionWalk {
  /// Else the moments in which it goes wrong are too short to be met for certain.
  static void pause() {
    thread_local unsigned pauses = 0;
    if (++pauses % 64 == 0) std::this_thread::yield();
  }
  static constexpr bool checks_free = false;
  static constexpr bool checks_life = false;
  static constexpr bool checks_owner = false;
};

template <class Walk>
bool interrupted_walks_are_right(std::size_t row_bytes, int pins) {
  Grid grid(row_bytes);
  Writer writer(grid, false);
  Interrupted::writer = &writer;
  Interrupted::dice.seed(1);
  const auto place = grid.readers.claim().value();
  bool right = true;
  for (int i = 0; i < pins && right; ++i) {
    writer.round();
    const auto csn = grid.readers.pin(place);
    for (int again = 0; again < 4 && right; ++again) {
      right = snapshot_is_right<Walk>(*grid.segment, csn.value, false);
    }
    grid.readers.unpin(place);
  }
  return right;
}

TEST_P(SlotsInterleaved, a_walk_is_right_wherever_the_writer_comes_between) {
  EXPECT_TRUE(interrupted_walks_are_right<Interrupted>(GetParam(), 1000));
}

TEST_P(SlotsInterleaved, a_walk_needs_to_see_that_a_cell_is_free) {
  EXPECT_FALSE(interrupted_walks_are_right<WithoutFree>(GetParam(), 10000));
}

TEST_P(SlotsInterleaved, a_walk_needs_to_see_that_a_cell_has_changed) {
  EXPECT_FALSE(interrupted_walks_are_right<WithoutLife>(GetParam(), 100000));
}

TEST_P(SlotsInterleaved, a_walk_needs_to_see_whose_a_cell_is) {
  EXPECT_FALSE(interrupted_walks_are_right<WithoutOwner>(GetParam(), 10000));
}

#ifdef __SANITIZE_THREAD__
constexpr bool thread_sanitized = true;
#else
constexpr bool thread_sanitized = false;
#endif

TEST_P(SlotsStress, a_pinned_snapshot_never_changes) {
  EXPECT_TRUE(snapshots_stay_right({.row_bytes = GetParam()}));
}

TEST_P(SlotsStress, without_validation_of_cells_a_snapshot_would_change) {
  if (thread_sanitized) GTEST_SKIP() << "the race is meant";
  EXPECT_FALSE(snapshots_stay_right<Unchecked>(
      {.row_bytes = GetParam(), .big_rows = false, .rounds = 1000000}));
}

TEST_P(SlotsStress, without_the_second_look_at_published_a_snapshot_would_change) {
  if (thread_sanitized) GTEST_SKIP() << "the race is meant";
  EXPECT_FALSE(snapshots_stay_right(
      {.row_bytes = GetParam(), .big_rows = false, .pins_with_care = false, .rounds = 1000000}));
}

// --- another process ---

/// Attaches, pins, tells its csn in `pinned` (+ 1), and checks its snapshot until it is killed.
[[noreturn]] void read_until_killed(int fd, Offset pinned_at, Offset checks_at) {
  alarm(30);
  auto segment = Segment::attach(fd).value();
  auto& checks = *segment->at<std::atomic<std::uint64_t>>(checks_at);
  ReaderTable readers(segment->at<void>(table_at), places,
                      segment->at<std::atomic<std::uint64_t>>(published_at));
  const auto csn = readers.pin(readers.claim().value());
  segment->at<std::atomic<std::uint64_t>>(pinned_at)->store(csn.value + 1);
  while (snapshot_is_right(*segment, csn.value, true)) checks.fetch_add(1);
  _exit(1);
}

TEST_P(SlotsProcesses, a_killed_reader_keeps_its_snapshot_until_it_is_reaped) {
  constexpr Offset pinned_at = 1024, checks_at = 1088;
  Grid grid(GetParam(), true);
  Writer writer(grid, true);
  for (int i = 0; i < 1000; ++i) writer.round();
  const auto pid = fork();
  if (pid == 0) read_until_killed(grid.segment->fd(), pinned_at, checks_at);

  auto& pinned = *grid.segment->at<std::atomic<std::uint64_t>>(pinned_at);
  auto& checks = *grid.segment->at<std::atomic<std::uint64_t>>(checks_at);
  for (int tries = 0; pinned.load() == 0; ++tries) {
    ASSERT_LT(tries, 1000000) << "the reader has not come";
    writer.round();
  }
  for (int i = 0; i < 20000 || checks.load() < 100; ++i) {
    ASSERT_LT(i, 10000000);
    writer.round();
  }
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), 0) << "the reader has seen its snapshot change";
  EXPECT_EQ(grid.readers.reap(), 0u);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);

  grid.publish(1000000);
  EXPECT_GT(grid.reclaimer.size(), 0u) << "nobody has taken the pin back yet";
  EXPECT_TRUE(snapshot_is_right(*grid.segment, pinned.load() - 1, true));
  EXPECT_EQ(grid.readers.reap(), 1u);
  grid.publish(1000000);
  EXPECT_EQ(grid.reclaimer.size(), 0u);
  EXPECT_EQ(grid.slots.check(), grid.slots.rows());
}

}  // namespace
}  // namespace exdb
