// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/storage.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "storage/writer.hpp"
#include "workload.hpp"

namespace exdb {
namespace {

using namespace storage_test;

std::unique_ptr<Storage> make_storage(const StorageOptions& options = {}) {
  return Storage::create(test_dictionary(), options).value();
}

Row item(std::int64_t id, std::string_view name, std::size_t data_bytes = 0) {
  RowBuilder row(*test_dictionary()->find_class("Item"));
  row.set("id", id);
  row.set("name", name);
  row.set("data", Value(ByteString(data_bytes, std::byte(id))));
  const auto bytes = row.finish();
  return {bytes.begin(), bytes.end()};
}

const ClassId items = test_dictionary()->find_class("Item")->id;
const IndexId by_id = index_named(*test_dictionary(), "Item", "by_id");
const IndexId by_name = index_named(*test_dictionary(), "Item", "by_name");

KeyBytes id_key(std::int64_t id) { return key_of(*test_dictionary(), by_id, item(id, "")); }

TEST(Storage, a_row_is_seen_once_its_csn_is_published) {
  const auto storage = make_storage();
  const auto before = storage->pin().value();
  const auto slot = storage->insert(items, item(1, "one"), Csn{1});
  EXPECT_EQ(slot, SlotId{0});
  EXPECT_EQ(storage->newest_owner(by_id, id_key(1)), slot);
  EXPECT_EQ(storage->pin().value().find(by_id, id_key(1)), SlotId::none());
  storage->publish();
  EXPECT_EQ(storage->published(), Csn{1});
  EXPECT_EQ(storage->pin().value().find(by_id, id_key(1)), slot);
  EXPECT_EQ(before.find(by_id, id_key(1)), SlotId::none());
  EXPECT_FALSE(before.row(items, slot));
}

TEST(Storage, csns_stay_dense_over_commits_that_wrote_nothing_here) {
  const auto storage = make_storage();
  storage->publish(Csn{7});
  EXPECT_EQ(storage->applied(), Csn{7});
  EXPECT_EQ(storage->pin().value().csn(), Csn{7});
}

TEST(Storage, pinned_snapshots_stay_as_they_were_through_many_rounds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto storage = make_storage();
    Model newest(test_dictionary());
    Workload work(seed, newest);
    struct Pinned {
      Snapshot snapshot;
      Model model;
    };
    std::deque<Pinned> pinned;
    Csn csn;
    for (int round = 0; round < 300; ++round) {
      for (auto commits = work.below(6); commits > 0; --commits) {
        csn = csn.next();
        for (auto changes = 1 + work.below(3); changes > 0; --changes)
          ASSERT_NO_FATAL_FAILURE(apply(*storage, work.next(csn)));
      }
      storage->publish(csn);
      if (work.below(4) == 0) pinned.push_back({storage->pin().value(), newest});
      if (pinned.size() > 5 || (work.below(10) == 0 && !pinned.empty())) {
        const auto at = static_cast<std::ptrdiff_t>(work.below(pinned.size()));
        ASSERT_NO_FATAL_FAILURE(
            expect_same(pinned[std::size_t(at)].snapshot, pinned[std::size_t(at)].model, newest));
        pinned.erase(pinned.begin() + at);
      }
      if (round % 20 == 0) {
        storage->check();
        for (const auto& [snapshot, model] : pinned)
          ASSERT_NO_FATAL_FAILURE(expect_same(snapshot, model, newest)) << "round " << round;
      }
    }
    pinned.clear();
    for (int i = 0; i < 50; ++i) storage->publish(csn);
    EXPECT_EQ(storage->statistics().garbage, 0u);
    storage->check();
  }
}

TEST(Storage, the_newest_state_answers_as_the_model) {
  const auto storage = make_storage();
  Model newest(test_dictionary());
  Workload work(11, newest);
  for (std::uint64_t csn = 1; csn <= 600; ++csn) {
    ASSERT_NO_FATAL_FAILURE(apply(*storage, work.next(Csn{csn})));
    if (csn % 50 == 0) {
      for (const auto& index : test_dictionary()->indexes()) {
        if (index.kind == IndexKind::list) continue;
        for (const auto& [key, slots] : newest.entries(index.id)) {
          std::vector<SlotId> found;
          storage->newest_owners(index.id, key, found);
          ASSERT_EQ(found.size(), slots.size());
          for (const auto slot : found) ASSERT_TRUE(slots.contains(slot.value));
          if (index.unique) {
            ASSERT_EQ(storage->newest_owner(index.id, key), found.front());
          }
        }
      }
      for (const auto& cls : test_dictionary()->classes())
        ASSERT_EQ(storage->rows(cls.id), newest.rows(cls.id).size());
    }
    if (csn % 7 == 0) storage->publish();
  }
}

TEST(Storage, equal_calls_give_equal_slots_and_digests_whatever_is_pinned_or_published) {
  const auto one = make_storage(), two = make_storage();
  Model newest(test_dictionary());
  Workload work(5, newest);
  std::vector<Snapshot> pins;
  for (std::uint64_t csn = 1; csn <= 2000; ++csn) {
    const auto operation = work.next(Csn{csn});
    ASSERT_NO_FATAL_FAILURE(apply(*one, operation));
    ASSERT_NO_FATAL_FAILURE(apply(*two, operation));
    if (csn % 3 == 0) one->publish();
    if (csn % 64 == 0) two->publish();
    if (csn % 100 == 0) pins.push_back(two->pin().value());
    ASSERT_EQ(one->digest(), two->digest());
  }
  two->publish();
  const auto snapshot = two->pin().value();
  expect_same(snapshot, newest, newest);
}

TEST(Storage, the_digest_does_not_depend_on_the_way_to_the_state) {
  const auto one = make_storage(), two = make_storage();
  one->insert(items, item(1, "a"), Csn{1});
  one->insert(items, item(2, "b"), Csn{2});
  two->insert(items, item(9, "x"), Csn{1});
  two->insert(items, item(2, "b"), Csn{1});
  EXPECT_NE(one->digest(), two->digest());
  two->update(items, SlotId{0}, item(1, "a"), Csn{2});
  EXPECT_EQ(one->digest(), two->digest());
  two->remove(items, SlotId{0}, Csn{3});
  two->remove(items, SlotId{1}, Csn{3});
  EXPECT_EQ(two->digest(), make_storage()->digest());
}

TEST(Storage, index_changes_are_told_once_each_and_only_when_a_key_changes) {
  struct Sink : IndexChanges {
    std::vector<std::string> told;
    void key_changed(IndexId index, Bytes key, bool added, Csn csn) override {
      const auto& definition = test_dictionary()->index_of(index);
      told.push_back((added ? "+" : "-") + definition.name + describe_key(definition, key) + "@" +
                     std::to_string(csn.value));
    }
  } sink;
  const auto storage = make_storage();
  const auto of = [&](std::string_view name) {
    return static_cast<std::size_t>(std::ranges::count_if(
        sink.told, [&](const std::string& text) { return text.substr(0, name.size()) == name; }));
  };
  storage->insert(items, item(1, "one"), Csn{1});
  EXPECT_TRUE(sink.told.empty());
  storage->set_index_changes(&sink);
  storage->insert(items, item(2, "two"), Csn{2});
  EXPECT_EQ(sink.told.size(), 5u) << "every index but the list";
  storage->update(items, SlotId{1}, item(2, "two", 50), Csn{3});
  EXPECT_EQ(sink.told.size(), 5u);
  storage->update(items, SlotId{1}, item(2, "three"), Csn{4});
  EXPECT_EQ(sink.told.size(), 7u);
  EXPECT_EQ(of("-by_name"), 1u);
  EXPECT_EQ(of("+by_name"), 2u);
  storage->remove(items, SlotId{1}, Csn{5});
  EXPECT_EQ(sink.told.size(), 12u);
  EXPECT_EQ(of("-by_id"), 1u);
}

TEST(Storage, a_key_may_go_and_come_back_to_its_slot_under_a_pin) {
  const auto storage = make_storage();
  storage->insert(items, item(1, "one"), Csn{1});
  storage->publish();
  const auto first = storage->pin().value();
  for (std::uint64_t csn = 2; csn < 200; ++csn) {
    storage->update(items, SlotId{0}, item(csn % 2 == 0 ? 2 : 1, "one"), Csn{csn});
    if (csn % 3 == 0) storage->publish();
    const auto now = storage->pin().value();
    EXPECT_EQ(first.find(by_id, id_key(1)), SlotId{0});
    EXPECT_EQ(first.find(by_id, id_key(2)), SlotId::none());
    EXPECT_NE(now.find(by_id, id_key(1)) == SlotId::none(),
              now.find(by_id, id_key(2)) == SlotId::none());
    storage->check();
  }
  storage->publish();
  EXPECT_LE(storage->statistics().garbage, 12u) << "a pin keeps what it sees, not what came since";
}

TEST(Storage, a_key_moves_from_slot_to_slot_within_a_commit) {
  const auto storage = make_storage();
  storage->insert(items, item(1, "one"), Csn{1});
  storage->insert(items, item(2, "two"), Csn{1});
  storage->publish();
  const auto before = storage->pin().value();
  storage->update(items, SlotId{0}, item(3, "three"), Csn{2});
  storage->update(items, SlotId{1}, item(1, "one"), Csn{2});
  storage->update(items, SlotId{0}, item(2, "two"), Csn{2});
  storage->publish();
  const auto after = storage->pin().value();
  EXPECT_EQ(before.find(by_id, id_key(1)), SlotId{0});
  EXPECT_EQ(after.find(by_id, id_key(1)), SlotId{1});
  EXPECT_EQ(after.find(by_id, id_key(2)), SlotId{0});
  EXPECT_EQ(after.find(by_id, id_key(3)), SlotId::none());
  storage->check();
}

// Ids as an autoid gives them: look-ups begin where the row lies if rows came in that order.
TEST(Storage, keys_in_the_order_of_slots_are_found_and_no_others_wherever_they_go_later) {
  const auto storage = make_storage();
  Model newest(test_dictionary());
  std::mt19937_64 random(3);
  Csn csn;
  const auto change = [&](Operation::Kind kind, SlotId slot, std::int64_t id) {
    csn = csn.next();
    const auto row = kind == Operation::Kind::remove ? Row() : item(id, std::to_string(id));
    if (kind != Operation::Kind::remove && !newest.fits(items, slot, row)) return;
    const Operation operation{kind, items, slot, row, csn};
    newest.apply(operation);
    ASSERT_NO_FATAL_FAILURE(apply(*storage, operation));
  };
  for (std::uint64_t slot = 0; slot < 300; ++slot)
    change(Operation::Kind::insert, SlotId{slot}, std::int64_t(slot) + 1000);
  storage->publish();
  struct Pinned {
    Snapshot snapshot;
    Model model;
  };
  std::vector<Pinned> pinned;
  for (int round = 0; round < 30; ++round) {
    pinned.push_back({storage->pin().value(), newest});
    for (int i = 0; i < 12; ++i) {
      const auto& rows = newest.rows(items);
      const auto slot =
          SlotId{std::next(rows.begin(), std::ptrdiff_t(random() % rows.size()))->first};
      const auto id = std::int64_t(random() % 400) + 1000;
      if (const auto dice = random() % 4; dice == 0)
        change(Operation::Kind::remove, slot, 0);
      else if (dice == 1)
        change(Operation::Kind::insert, newest.lowest_free(items), id);
      else
        change(Operation::Kind::update, slot, id);
    }
    storage->publish();
    for (const auto& [snapshot, model] : pinned)
      ASSERT_NO_FATAL_FAILURE(expect_same_index(snapshot, model, by_id, newest.entries(by_id)));
  }
  for (const auto& [key, slots] : newest.entries(by_id))
    ASSERT_EQ(storage->newest_owner(by_id, key), SlotId{*slots.begin()});
  storage->check();
}

TEST(SlotGuesser, guesses_while_seven_of_eight_rows_lie_so_and_gives_up_below_six) {
  SlotGuess guess{};
  SlotGuesser guesser;
  const auto on = [&] { return guess.on.load() != 0; };
  guesser.enter(7, SlotId{0}, 0, guess);  // a row out of order
  std::uint64_t rows = 1;
  for (; rows < 20; ++rows) guesser.enter(500 + rows, SlotId{rows}, rows, guess);
  EXPECT_TRUE(on());
  EXPECT_EQ(guess.offset.load(), 500u);
  for (std::uint64_t slot = 1; slot < 4; ++slot)
    guesser.leave(500 + slot, SlotId{slot}, rows, guess);
  EXPECT_TRUE(on()) << "15 of 20";
  for (std::uint64_t slot = 4; slot < 6; ++slot)
    guesser.leave(500 + slot, SlotId{slot}, rows, guess);
  EXPECT_FALSE(on()) << "13 of 20";
  guesser.enter(504, SlotId{4}, rows, guess);
  guesser.enter(505, SlotId{5}, rows, guess);
  guesser.enter(503, SlotId{3}, rows, guess);
  EXPECT_FALSE(on()) << "16 of 20";
  guesser.enter(502, SlotId{2}, rows, guess);
  guesser.enter(501, SlotId{1}, rows, guess);
  EXPECT_TRUE(on()) << "18 of 20";
}

TEST(SlotGuesser, keys_in_no_order_are_not_guessed) {
  SlotGuess guess{};
  SlotGuesser guesser;
  std::mt19937_64 random(1);
  for (std::uint64_t slot = 0; slot < 1000; ++slot)
    guesser.enter(random() % 1000, SlotId{slot}, slot, guess);
  EXPECT_EQ(guess.on.load(), 0u);
}

TEST(Storage, values_of_megabytes_are_kept_and_given_back) {
  StorageOptions options;
  options.segment.unit_bytes = std::size_t{8} << 20;
  const auto storage = make_storage(options);
  constexpr std::size_t big = std::size_t{4} << 20;
  storage->insert(items, item(1, "one", big), Csn{1});
  storage->publish();
  auto first = storage->pin().value();
  for (std::uint64_t csn = 2; csn < 20; ++csn) {
    storage->update(items, SlotId{0}, item(1, "one", big + csn), Csn{csn});
    storage->publish();
  }
  const auto old = first.row(items, SlotId{0});
  ASSERT_TRUE(old);
  EXPECT_TRUE(std::ranges::equal(*old, item(1, "one", big)));
  EXPECT_LT(storage->statistics().bytes_used, 5 * big) << "versions in between are gone";
  first = {};
  storage->remove(items, SlotId{0}, Csn{20});
  storage->publish();
  storage->publish();
  EXPECT_LT(storage->statistics().bytes_used, big);
}

TEST(Storage, grows_over_many_units) {
  StorageOptions options;
  options.segment.unit_bytes = std::size_t{1} << 20;
  const auto storage = make_storage(options);
  constexpr std::int64_t rows = 20'000;
  for (std::int64_t id = 0; id < rows; ++id) {
    storage->insert(items, item(id, "name " + std::to_string(id), 100), Csn{std::uint64_t(id) + 1});
    if (id % 256 == 0) storage->publish();
  }
  storage->publish();
  EXPECT_GT(storage->statistics().bytes_reserved, 5 * options.segment.unit_bytes);
  EXPECT_EQ(storage->statistics().rows, std::uint64_t(rows));
  const auto snapshot = storage->pin().value();
  for (std::int64_t id = 0; id < rows; ++id)
    ASSERT_EQ(snapshot.find(by_id, id_key(id)), SlotId{std::uint64_t(id)});
  storage->check();
}

TEST(Storage, many_rows_with_one_key_are_no_burden) {
  const auto storage = make_storage();
  constexpr std::int64_t rows = 20'000;
  const auto by_group = index_named(*test_dictionary(), "Item", "by_group");
  for (std::int64_t id = 0; id < rows; ++id)
    storage->insert(items, item(id, std::to_string(id)), Csn{1});
  storage->publish();
  std::vector<SlotId> found;
  storage->newest_owners(by_group, key_of(*test_dictionary(), by_group, item(1, "")), found);
  EXPECT_EQ(found.size(), std::size_t(rows));
  EXPECT_TRUE(std::ranges::is_sorted(found));
  for (std::int64_t id = 0; id < rows; ++id)
    storage->remove(items, SlotId{std::uint64_t(id)}, Csn{2});
  storage->publish();
  EXPECT_EQ(storage->rows(items), 0u);
}

TEST(Storage, a_full_segment_is_an_error_and_readers_go_on) {
  StorageOptions options;
  options.segment.unit_bytes = std::size_t{1} << 20;
  options.segment.reserve_bytes = std::size_t{4} << 20;
  const auto storage = make_storage(options);
  std::uint64_t csn = 0;
  try {
    for (;;) {
      storage->insert(items, item(std::int64_t(csn), std::to_string(csn), 1000), Csn{csn + 1});
      storage->publish();
      ++csn;
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::no_memory);
  }
  EXPECT_GT(csn, 500u);
  const auto snapshot = storage->pin().value();
  EXPECT_EQ(snapshot.csn(), Csn{csn});
  for (std::uint64_t id = 0; id < csn; ++id)
    ASSERT_EQ(snapshot.find(by_id, id_key(std::int64_t(id))), SlotId{id});
}

TEST(Storage, a_segment_too_small_to_begin_with_is_a_status) {
  StorageOptions options;
  options.segment.unit_bytes = std::size_t{64} << 10;
  options.segment.reserve_bytes = std::size_t{64} << 10;
  const auto storage = Storage::create(test_dictionary(), options);
  EXPECT_EQ(storage.status().code(), ErrorCode::no_memory);
}

TEST(Storage, snapshots_of_one_csn_take_one_place_and_distinct_csns_one_each) {
  StorageOptions options;
  options.readers_max = 3;
  const auto storage = make_storage(options);
  std::vector<Snapshot> views;
  for (std::uint64_t csn = 0; csn < 3; ++csn) {
    storage->publish(Csn{csn});
    for (int i = 0; i < 100'000; ++i) views.push_back(storage->pin().value());
  }
  EXPECT_TRUE(std::ranges::all_of(views, [at = 0](const Snapshot& view) mutable {
    return view.csn().value == std::uint64_t(at++ / 100'000);
  }));
  storage->publish(Csn{3});
  const auto refused = storage->pin().status();
  EXPECT_EQ(refused.code(), ErrorCode::no_memory);
  EXPECT_NE(refused.text().find("all 3 places"), std::string::npos) << refused.text();
  EXPECT_NE(refused.text().find("db_max_connections"), std::string::npos);
  views.pop_back();
  EXPECT_FALSE(storage->pin().ok()) << "99,999 others keep the place";
  views.resize(200'000);
  EXPECT_EQ(storage->pin().value().csn(), Csn{3});
}

TEST(Storage, threads_that_keep_snapshots_take_a_place_a_csn_and_one_a_thread) {
  constexpr std::uint64_t csns = 40;
  constexpr int threads = 4;
  StorageOptions options;
  options.readers_max = csns + threads;
  const auto storage = make_storage(options);
  std::array<std::vector<Snapshot>, threads> kept;
  for (std::uint64_t csn = 1; csn <= csns; ++csn) {
    storage->publish(Csn{csn});
    std::vector<std::thread> pinning;
    for (auto& mine : kept)
      pinning.emplace_back([&] {
        for (int i = 0; i < 10; ++i) mine.push_back(storage->pin().value());
      });
    for (auto& thread : pinning) thread.join();
  }
  for (const auto& mine : kept) EXPECT_EQ(mine.size(), csns * 10);
}

TEST(Storage, a_snapshot_of_a_shared_place_holds_after_those_before_it_are_gone) {
  const auto storage = make_storage();
  storage->insert(items, item(1, "one"), Csn{1});
  storage->publish();
  auto first = storage->pin().value();
  const auto second = storage->pin().value();
  first = {};
  storage->remove(items, SlotId{0}, Csn{2});
  storage->publish();
  storage->publish();
  EXPECT_EQ(second.csn(), Csn{1});
  EXPECT_EQ(second.find(by_id, id_key(1)), SlotId{0});
  EXPECT_TRUE(std::ranges::equal(*second.row(items, SlotId{0}), item(1, "one")));
}

TEST(Storage, a_snapshot_may_outlive_its_storage) {
  auto storage = make_storage();
  storage->insert(items, item(1, "one"), Csn{1});
  storage->publish();
  const auto snapshot = storage->pin().value();
  storage.reset();
  EXPECT_EQ(snapshot.find(by_id, id_key(1)), SlotId{0});
}

TEST(Storage, classes_that_live_elsewhere_are_empty_here) {
  StorageOptions options;
  options.holds = [](const ClassDef& cls) { return cls.name != "Item"; };
  const auto storage = make_storage(options);
  const auto snapshot = storage->pin().value();
  EXPECT_EQ(snapshot.find(by_id, id_key(1)), SlotId::none());
  EXPECT_EQ(snapshot.find(by_name, key_of(*test_dictionary(), by_name, item(1, "x"))),
            SlotId::none());
  EXPECT_EQ(snapshot.scan(items, SlotId{0}), SlotId::none());
}

TEST(Storage, changes_that_break_the_contract_end_the_process) {
  const auto storage = make_storage();
  storage->insert(items, item(1, "one"), Csn{5});
  EXPECT_DEATH(storage->insert(items, item(2, "two"), Csn{4}), "in order");
  EXPECT_DEATH(storage->update(items, SlotId{7}, item(2, "two"), Csn{5}), "row that is there");
  EXPECT_DEATH(storage->publish(Csn{4}), "published whole");
  storage->publish();
  EXPECT_DEATH(storage->remove(items, SlotId{0}, Csn{5}), "before they are published");
}

}  // namespace
}  // namespace exdb
