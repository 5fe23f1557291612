// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/slot_export.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "workload.hpp"

namespace exdb {
namespace {

using namespace storage_test;

std::unique_ptr<Storage> make_storage() { return Storage::create(test_dictionary(), {}).value(); }

/// Every slot's newest csn, by class, as far as slots were used.
using Csns = std::vector<std::vector<Csn>>;
constexpr std::uint64_t slots_looked_at = 64;  // Workload uses no more

Csns csns_of(const Storage& storage) {
  Csns csns;
  for (const auto& cls : test_dictionary()->classes()) {
    auto& out = csns.emplace_back();
    for (SlotId slot{0}; slot.value < slots_looked_at; ++slot.value)
      out.push_back(storage.newest_csn(cls.id, slot));
  }
  return csns;
}

struct Piece {  // of a stream: an ExportedSlot with its bytes
  ExportedSlot at;
  Row row;
};

Piece piece_of(const ExportedSlot& slot) {
  Piece piece{slot, {}};
  if (slot.row) piece.row.assign(slot.row->begin(), slot.row->end());
  return piece;
}

std::vector<Piece> all_of(SlotExport& from) {
  std::vector<Piece> pieces;
  while (const auto slot = from.next()) pieces.push_back(piece_of(*slot));
  return pieces;
}

std::unique_ptr<Storage> filled_with(std::span<const Piece> pieces, Csn csn) {
  auto storage = make_storage();
  for (const auto& [at, row] : pieces) {
    if (at.row)
      storage->install(at.cls, at.slot, at.csn, row);
    else
      storage->install_emptied(at.cls, at.slot, at.csn);
  }
  storage->finish_install(csn);
  return storage;
}

/// `storage` after `changes` random changes, with the model that follows it.
struct Grown {
  std::unique_ptr<Storage> storage = make_storage();
  Model model{test_dictionary()};
  Workload work;
  Csn csn;

  explicit Grown(std::uint64_t seed, int changes) : work(seed, model) {
    for (int i = 0; i < changes; ++i) change({});
    storage->publish();
  }
  /// One more change, done to `second` as well.
  void change(Storage* second) {
    csn = csn.next();
    const auto operation = work.next(csn);
    apply(*storage, operation);
    if (second != nullptr) apply(*second, operation);
    if (csn.value % 5 != 0) return;
    storage->publish();
    if (second != nullptr) second->publish();
  }
};

void expect_equal_for_ever(Grown& grown, Storage& copy) {
  ASSERT_EQ(copy.digest(), grown.storage->digest());
  ASSERT_EQ(csns_of(copy), csns_of(*grown.storage));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_NO_FATAL_FAILURE(grown.change(&copy));  // asserts that slots are those of the model
    ASSERT_EQ(copy.digest(), grown.storage->digest());
  }
  copy.publish();
  copy.check();
  EXPECT_EQ(csns_of(copy), csns_of(*grown.storage));
  expect_same(copy.pin().value(), grown.model, grown.model);
}

TEST(SlotExport, a_storage_filled_from_a_stream_is_equal_and_stays_so) {
  for (std::uint64_t seed = 31; seed < 35; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Grown grown(seed, 2000);
    auto from = grown.storage->begin_export().value();
    EXPECT_EQ(from.csn(), grown.csn);
    const auto copy = filled_with(all_of(from), from.csn());
    EXPECT_EQ(copy->published(), grown.csn);
    EXPECT_EQ(copy->applied(), grown.csn);
    copy->check();
    ASSERT_NO_FATAL_FAILURE(expect_same(copy->pin().value(), grown.model, grown.model));
    ASSERT_NO_FATAL_FAILURE(expect_equal_for_ever(grown, *copy));
  }
}

TEST(SlotExport, slots_may_come_in_any_order) {
  Grown grown(41, 2000);
  auto from = grown.storage->begin_export().value();
  auto pieces = all_of(from);
  std::ranges::shuffle(pieces, std::mt19937_64(5));
  const auto copy = filled_with(pieces, from.csn());
  copy->check();
  ASSERT_NO_FATAL_FAILURE(expect_equal_for_ever(grown, *copy));
}

// The writer empties slots and uses them again between any two steps of the walk.
TEST(SlotExport, the_export_is_of_its_csn_while_the_writer_goes_on) {
  for (std::uint64_t seed = 51; seed < 57; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Grown grown(seed, 500);
    const auto csns = csns_of(*grown.storage);
    const auto digest = grown.storage->digest();
    const auto model = grown.model;
    auto from = grown.storage->begin_export().value();
    for (std::uint64_t i = 0; i < seed % 3 * 100; ++i) grown.change(nullptr);
    std::vector<Piece> pieces;
    std::size_t emptied = 0;
    while (const auto slot = from.next()) {
      pieces.push_back(piece_of(*slot));
      emptied += !slot->row;
      for (int i = 0; i < 8; ++i) grown.change(nullptr);
    }
    EXPECT_GT(emptied, 2u);
    const auto copy = filled_with(pieces, from.csn());
    EXPECT_EQ(csns_of(*copy), csns);
    EXPECT_EQ(copy->digest(), digest);
    copy->check();
    ASSERT_NO_FATAL_FAILURE(expect_same(copy->pin().value(), model, grown.model));
  }
}

TEST(SlotExport, without_the_csns_of_emptied_slots_the_copy_is_seen_to_differ) {
  Grown grown(61, 500);
  const auto csns = csns_of(*grown.storage);
  auto from = grown.storage->begin_export().value();
  for (int i = 0; i < 300; ++i) grown.change(nullptr);
  auto pieces = all_of(from);
  const auto without = [&](std::uint64_t slots_from) {
    auto some = pieces;
    std::erase_if(some, [&](const Piece& piece) {
      return !piece.at.row && piece.at.slot.value >= slots_from;
    });
    return csns_of(*filled_with(some, from.csn()));
  };
  EXPECT_EQ(without(slots_looked_at), csns);
  EXPECT_NE(without(0), csns);
}

TEST(SlotExport, a_thread_may_export_beside_the_writer) {
  Grown grown(71, 500);
  for (int times = 0; times < 20; ++times) {
    grown.storage->publish();
    const auto csns = csns_of(*grown.storage);
    const auto digest = grown.storage->digest();
    auto from = grown.storage->begin_export().value();
    std::vector<Piece> pieces;
    std::thread exporter([&] { pieces = all_of(from); });
    for (int i = 0; i < 300; ++i) grown.change(nullptr);
    exporter.join();
    const auto copy = filled_with(pieces, from.csn());
    ASSERT_EQ(csns_of(*copy), csns);
    ASSERT_EQ(copy->digest(), digest);
  }
}

TEST(SlotExport, rows_of_megabytes_and_far_slots_are_carried_and_a_new_storage_is_nothing) {
  const auto items = test_dictionary()->find_class("Item")->id;
  const auto source = make_storage();
  auto none = source->begin_export().value();
  EXPECT_FALSE(none.next());
  EXPECT_EQ(filled_with({}, none.csn())->digest(), source->digest());

  RowBuilder row(test_dictionary()->class_of(items));
  for (std::int64_t id = 0; id < 10'000; ++id) {
    row.reset(test_dictionary()->class_of(items));
    row.set("id", id);
    row.set("name", std::to_string(id));
    row.set("data", Value(ByteString(id == 9'999 ? 3'000'000 : 0, std::byte(7))));
    source->insert(items, row.finish(), Csn{1 + std::uint64_t(id)});
  }
  source->publish();
  for (std::uint64_t slot = 1; slot < 9'998; ++slot)
    source->remove(items, SlotId{slot}, Csn{10'000 + slot});
  source->publish();
  auto from = source->begin_export().value();
  auto pieces = all_of(from);
  ASSERT_EQ(pieces.size(), 10'000u);
  std::ranges::reverse(pieces);
  const auto copy = filled_with(pieces, from.csn());
  copy->check();
  EXPECT_EQ(copy->digest(), source->digest());
  EXPECT_EQ(copy->rows(items), 3u);
  EXPECT_EQ(copy->newest_csn(items, SlotId{9'997}), Csn{19'997});
  row.reset(test_dictionary()->class_of(items));
  EXPECT_EQ(copy->insert(items, row.finish(), Csn{30'000}), SlotId{1});
}

TEST(SlotExport, what_breaks_the_contract_ends_the_process) {
  const auto items = test_dictionary()->find_class("Item")->id;
  RowBuilder builder(test_dictionary()->class_of(items));
  const auto finished = builder.finish();
  const Row row(finished.begin(), finished.end());
  const auto storage = make_storage();
  storage->install(items, SlotId{3}, Csn{5}, row);
  EXPECT_DEATH(storage->install(items, SlotId{3}, Csn{5}, row), "installed once");
  EXPECT_DEATH(storage->install_emptied(items, SlotId{3}, Csn{5}), "installed once");
  EXPECT_DEATH(storage->insert(items, row, Csn{6}), "finished first");
  EXPECT_DEATH(storage->finish_install(Csn{4}), "was applied");
  storage->finish_install(Csn{5});
  EXPECT_DEATH(storage->install(items, SlotId{4}, Csn{5}, row), "nothing was applied");
  EXPECT_EQ(storage->insert(items, row, Csn{6}), SlotId{0});
  EXPECT_DEATH((void)storage->begin_export(), "between two rounds");
}

}  // namespace
}  // namespace exdb
