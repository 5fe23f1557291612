// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica_state.hpp"

#include <thread>

#include "replica_fixture.hpp"

namespace exdb {
namespace {

class ReplicaStateTest : public ReplicaFixture {
 protected:
  using Lines = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  int rows_of(const Snapshot& shown) const {
    int count = 0;
    for (auto slot = shown.scan(shared.id, SlotId{0}); slot != SlotId::none();
         slot = shown.scan(shared.id, SlotId{slot.value + 1}))
      ++count;
    return count;
  }
  /// What is told while a state of so many rows goes from one replica to another; before, one that
  /// is whole may be dropped.
  Lines told_of(int count, bool drop_one = false) {
    const auto giver = make(true), taker = make(true);
    std::vector<WriteOp> ops;
    for (int id = 0; id < count; ++id) ops.push_back(insert(shared, id));
    ItemOutcome outcome;
    EXPECT_TRUE(round(*giver, 1, record(std::move(ops)), outcome).ok());
    EXPECT_EQ(outcome.code, ErrorCode::ok);
    StorageOptions options;
    ReplicaState from(*giver, schema, options, {}, {}), to(*taker, schema, options, {}, {100});
    Lines lines;
    to.tell_progress([&](auto here, auto of) { lines.emplace_back(here, of); });
    const auto take_all = [&] {
      to.begin(false);
      auto stream = from.open({Round{1}, 11}).value();
      for (std::vector<std::byte> chunk; stream->next(chunk);) EXPECT_TRUE(to.add(chunk).ok());
      EXPECT_TRUE(to.finish({Round{1}, 11}).ok());
    };
    if (drop_one) {
      take_all();
      to.drop();
      EXPECT_NE(taker->digest(), giver->digest());
    }
    take_all();
    while (!to.ready().value()) std::this_thread::yield();
    EXPECT_EQ(taker->digest(), giver->digest());
    return lines;
  }
};

/// I2. What was being built goes, and the next state is taken as if nothing had been.
TEST_F(ReplicaStateTest, drops_a_state_whose_indexes_are_being_built) {
  (void)told_of(20'000, true);
}

TEST_F(ReplicaStateTest, tells_each_tenth_of_a_state_that_comes) {
  const auto lines = told_of(20'000);
  ASSERT_GE(lines.size(), 5U);
  ASSERT_LE(lines.size(), 10U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].second, 20'000U);
    if (i == 0) continue;
    EXPECT_GT(lines[i].first / 2000, lines[i - 1].first / 2000);
  }
  EXPECT_EQ(lines.back().first, 20'000U);
}

/// R7, I1: the state of another history may be older, and takes the place of what is here; what was
/// pinned before shows what it showed.
TEST_F(ReplicaStateTest, only_the_state_of_another_history_may_be_older) {
  const auto giver = make(true), taker = make(true);
  const auto fill = [&](Replica& replica, int first, std::uint64_t rounds) {
    ItemOutcome outcome;
    for (std::uint64_t number = 1; number <= rounds; ++number) {
      auto made = record({insert(shared, first + int(number))});
      made.snapshot = replica.published();
      ASSERT_TRUE(round(replica, number, made, outcome).ok());
      ASSERT_EQ(outcome.code, ErrorCode::ok);
    }
  };
  fill(*giver, 0, 2);
  fill(*taker, 100, 5);
  ReplicaState from(*giver, schema, {}, {}, {}), to(*taker, schema, {}, {}, {});
  const auto take = [&](bool parted) {
    to.begin(parted);
    auto stream = from.open({Round{2}, 11}).value();
    for (std::vector<std::byte> chunk; stream->next(chunk);) EXPECT_TRUE(to.add(chunk).ok());
    EXPECT_TRUE(to.finish({Round{2}, 11}).ok());
    for (;;) {
      auto ready = to.ready();
      if (!ready || *ready) return ready.status();
      std::this_thread::yield();
    }
  };
  const auto before = taker->pin().value();
  const auto open = taker->register_open();
  EXPECT_EQ(take(false).code(), ErrorCode::inconsistent);
  EXPECT_TRUE(taker->current(*before));
  EXPECT_EQ(taker->history(), 0U);

  EXPECT_TRUE(take(true).ok());
  EXPECT_EQ(taker->digest(), giver->digest());
  EXPECT_EQ(taker->published(), Csn{2});
  EXPECT_EQ(taker->history(), 1U);
  EXPECT_FALSE(taker->current(*before));
  EXPECT_EQ(before->replicated.csn(), Csn{5});
  EXPECT_EQ(rows_of(before->replicated), 5);
  EXPECT_EQ(rows_of(taker->pin().value()->replicated), 2);
  EXPECT_EQ(taker->pin().value()->history, 1U);
  EXPECT_EQ(taker->outcome({NodeId{}, 5}), std::nullopt) << "it is not in this history";
  // Who is open since the former one holds nothing back, and no horizon is above what is published.
  EXPECT_EQ(taker->oldest_snapshot(), Csn{2});
  taker->release_open(open);

  // At the same csn it is another state all the same.
  fill(*taker, 200, 3);
  EXPECT_EQ(taker->published(), before->replicated.csn());
  EXPECT_FALSE(taker->current(*before));
  TransactionRecord reads, made = record({insert(local, 1)});
  reads.snapshot = before->replicated.csn();
  reads.serializable = true;
  ASSERT_TRUE(taker->local()->take_turn(100ms));
  EXPECT_EQ(taker->local()->commit(made, reads, drive_lock).code, ErrorCode::conflict);
}

/// M4 of named_snapshots.hpp: with what they show where that is still here.
TEST_F(ReplicaStateTest, names_go_with_the_state) {
  const auto giver = make(true), taker = make(true);
  const auto said = [&](std::initializer_list<Replica*> where, std::uint64_t number,
                        const char* name, bool drops = false) {
    auto made =
        record(name == nullptr ? std::vector{insert(shared, int(number))} : std::vector<WriteOp>{});
    if (name != nullptr) made.snapshot_name = name;
    made.drops_name = drops;
    for (auto* replica : where) {
      ItemOutcome outcome;
      ASSERT_TRUE(round(*replica, number, made, outcome).ok());
      ASSERT_EQ(outcome.code, ErrorCode::ok);
    }
  };
  said({giver.get(), taker.get()}, 1, nullptr);
  said({giver.get(), taker.get()}, 2, "kept");
  said({giver.get(), taker.get()}, 3, "again");
  said({giver.get(), taker.get()}, 4, "gone");
  for (const auto* name : {"kept", "again", "gone"})
    taker->names().written(name, taker->names().find(name)->round);
  said({giver.get()}, 5, nullptr);
  said({giver.get()}, 6, "again", true);
  said({giver.get()}, 7, "gone", true);
  said({giver.get()}, 8, "again");
  said({giver.get()}, 9, "new");
  ReplicaState from(*giver, schema, {}, {}, {}), to(*taker, schema, {}, {}, {});
  to.begin(false);
  auto stream = from.open({Round{9}, 11}).value();
  for (std::vector<std::byte> chunk; stream->next(chunk);) ASSERT_TRUE(to.add(chunk).ok());
  ASSERT_TRUE(to.finish({Round{9}, 11}).ok());
  while (!to.ready().value()) std::this_thread::yield();

  const auto here = taker->names().all(), there = giver->names().all();
  ASSERT_EQ(here.size(), there.size());
  for (std::size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].name, there[i].name);
    EXPECT_EQ(here[i].csn, there[i].csn);
    EXPECT_EQ(here[i].round, there[i].round);
    EXPECT_EQ(here[i].digest, there[i].digest);
    const bool kept = here[i].name == "kept";
    EXPECT_EQ(here[i].pinned != nullptr, kept);
    EXPECT_EQ(here[i].on_disk, kept);
    EXPECT_EQ(here[i].why_not.code(), kept ? ErrorCode::ok : ErrorCode::unsupported);
  }
  EXPECT_EQ(rows_of(taker->names().find("kept")->pinned->replicated), 1);
  // M3: of those that are another state, or none, by now.
  EXPECT_EQ(taker->names().files_to_remove(), (std::vector<std::string>{"again", "gone"}));
}

/// What a recovery finds beside a state that knows its names.
TEST_F(ReplicaStateTest, files_count_only_for_names_that_the_state_knows) {
  const auto file = [](const char* name, std::uint64_t round) {
    NamedSnapshot found;
    found.name = name;
    found.csn = Csn{round};
    found.round = Round{round};
    return found;
  };
  NamedSnapshots names;
  names.know({{"mine", Csn{3}, Round{3}, 1}, {"other", Csn{5}, Round{5}, 1}});
  names.merge({file("mine", 3), file("other", 4), file("gone", 2)});
  EXPECT_TRUE(names.find("mine")->why_not.ok());
  EXPECT_TRUE(names.find("mine")->on_disk);
  EXPECT_EQ(names.find("other")->why_not.code(), ErrorCode::unsupported);
  EXPECT_EQ(names.find("other")->csn, Csn{5});
  EXPECT_FALSE(names.find("gone").has_value());
  EXPECT_EQ(names.files_to_remove(), (std::vector<std::string>{"gone", "other"}));

  NamedSnapshots of_before;  // the state knows none: of format 3
  of_before.merge({file("mine", 3)});
  EXPECT_TRUE(of_before.find("mine")->on_disk);
}

TEST_F(ReplicaStateTest, tells_nothing_of_a_small_one) {
  EXPECT_TRUE(told_of(int(ReplicaState::progress_rows_min) - 1).empty());
}

}  // namespace
}  // namespace exdb
