// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_history.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "cluster/commit_window.hpp"
#include "durability/log_reader.hpp"
#include "gated_folder.hpp"
#include "told_clock.hpp"

namespace exdb {
namespace {

constexpr DatabaseIdentity identity{7, 8};

struct HistoryOnDisk : testing::Test {
  GatedFolder folder;
  std::mutex mutex;
  std::condition_variable changed;
  int told = 0;
  std::unique_ptr<DurableHistory> history = made(true);

  std::unique_ptr<DurableHistory> made(
      bool waits, std::optional<MemberId> answered = {},
      ToldClock::TimePoint (*now)() noexcept = std::chrono::steady_clock::now) {
    auto history_made = std::make_unique<DurableHistory>(
        std::make_unique<RoundLog>(folder, identity, RoundLog::Options{1 << 16, waits}, LogEnd{}),
        [] {
          return Marks{5, 6};
        },
        waits, answered, std::chrono::nanoseconds(0), now);
    history_made->on_change([this] {
      const std::lock_guard lock(mutex);
      ++told;
      changed.notify_all();
    });
    return history_made;
  }
  void append(std::size_t bytes) {
    CompletedRound round;
    round.round = history->chain().round.next();
    round.batches.resize(1);
    round.batches[0].payload.resize(bytes);
    ASSERT_TRUE(history->append(std::move(round)).ok());
  }
  Round final() { return history->newest_final(*history); }
  /// As a driver: looks again whenever it is told to.
  void wait_until_final(Round round) {
    std::unique_lock lock(mutex);
    while (final() < round && history->failure().ok()) {
      const int seen = told;
      changed.wait(lock, [&] { return told != seen || final() >= round; });
    }
  }
  std::vector<std::uint64_t> on_device() {
    std::vector<std::uint64_t> rounds;
    auto found = folder.inner.after_crash(BreakableFolder::Survives::nothing);
    auto read = read_log(*found, identity, {}, {}, [&](const CompletedRound& round) {
      rounds.push_back(round.round.value);
      return Status();
    });
    EXPECT_TRUE(read.ok()) << read.status().text();
    return rounds;
  }
};

/// N1.
TEST_F(HistoryOnDisk, a_round_is_final_when_the_device_has_it_and_those_that_came_meanwhile_share) {
  append(10);
  wait_until_final(Round{1});
  EXPECT_EQ(on_device().size(), 1u);
  folder.gate.set(false);
  append(10);
  folder.gate.wait_for_somebody();
  for (int i = 0; i < 5; ++i) append(10);
  EXPECT_EQ(final(), Round{1});
  const auto before = history->groups();
  folder.gate.set(true);
  wait_until_final(Round{7});
  EXPECT_EQ(history->groups(), before + 2);
  EXPECT_EQ(on_device(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7}));
}

/// N1, N2: pings of a cluster that is idle cost no fsync, and are in the log all the same.
TEST_F(HistoryOnDisk, an_empty_round_waits_for_those_before_it_and_for_no_sync_of_its_own) {
  append(10);
  wait_until_final(Round{1});
  const auto before = history->groups();
  append(0);
  append(0);
  EXPECT_EQ(final(), Round{3});
  history->release(Round{3});
  EXPECT_EQ(history->groups(), before);
  EXPECT_EQ(history->state().chain, history->chain());
  folder.gate.set(false);
  append(10);
  append(0);
  EXPECT_EQ(final(), Round{3});
  folder.gate.set(true);
  wait_until_final(Round{5});
  history->release(Round{5});
  EXPECT_TRUE(history->in_turn([](RoundLog& log) { return log.settle(); }).ok());
  EXPECT_EQ(on_device(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
}

/// N3.
TEST_F(HistoryOnDisk, after_a_sync_that_failed_nothing_more_is_final) {
  append(10);
  wait_until_final(Round{1});
  folder.inner.fail_at = folder.inner.steps + 2;  // the write, and then the sync
  append(10);
  wait_until_final(Round{2});
  EXPECT_EQ(final(), Round{1});
  EXPECT_EQ(history->failure().code(), ErrorCode::disk);
  CompletedRound round;
  round.round = Round{3};
  EXPECT_FALSE(history->append(std::move(round)).ok());
  EXPECT_EQ(final(), Round{1});
  EXPECT_FALSE(history->close().ok());
}

/// N4: who drives waits in append(), and with it the exchange.
TEST_F(HistoryOnDisk, what_waits_for_the_device_is_bounded) {
  folder.discards = true;
  const auto large = std::make_shared<std::vector<std::byte>>(std::size_t{33} << 20);
  std::atomic<int> appended{0};
  folder.gate.set(false);
  std::thread driver([&] {
    for (int i = 0; i < 2; ++i) {
      CompletedRound round;
      round.round = history->chain().round.next();
      round.batches.resize(1);
      round.batches[0].frame = large;
      EXPECT_TRUE(history->append(std::move(round)).ok());
      ++appended;
    }
  });
  folder.gate.wait_for_somebody();
  EXPECT_FALSE(happens_unasked([&] { return appended == 2; }));
  folder.gate.set(true);
  driver.join();
  wait_until_final(Round{2});
}

/// N2: a checkpoint waits for what it is of, and what the log refers to is there.
TEST_F(HistoryOnDisk, a_round_that_was_applied_is_kept_until_it_is_written) {
  append(10);
  wait_until_final(Round{1});
  folder.gate.set(false);
  append(10);
  folder.gate.wait_for_somebody();
  append(10);
  history->release(Round{2});  // as with another Finality
  EXPECT_EQ(history->held(Round{2}).round, Round{2});
  folder.gate.set(true);
  wait_until_final(Round{3});
  history->release(Round{3});
  EXPECT_EQ(on_device().size(), 3u);
}

TEST_F(HistoryOnDisk, without_waiting_for_the_device_who_drives_writes) {
  history = made(false);
  append(10);
  EXPECT_EQ(final(), Round{1});
  append(10);
  append(10);
  EXPECT_EQ(final(), Round{3});
  EXPECT_TRUE(history->close().ok());
  EXPECT_EQ(on_device().size(), 3u);
}

struct HistoryOnSlowDisk : HistoryOnDisk {
  ~HistoryOnSlowDisk() override { folder.gate.set(true); }

  /// A round with so many transactions of two members.
  void append_of(int first, int second) {
    CompletedRound round;
    round.round = history->chain().round.next();
    for (const int count : {first, second}) {
      auto& batch = round.batches.emplace_back();
      batch.member = MemberId{std::uint32_t(round.batches.size() - 1)};
      ByteWriter out(batch.payload);
      for (int i = 0; i < count; ++i)
        encode_item({RoundItem::Kind::transaction, batch.member, NodeId{}, 1, {}}, out);
    }
    ASSERT_TRUE(history->append(std::move(round)).ok());
  }
  bool begins() {
    return happens_unasked([this] { return folder.gate.at_it() != 0; }, 20);
  }
  void sync() {
    folder.gate.wait_for_somebody();
    ToldClock::pass(std::chrono::milliseconds(8));
    folder.gate.set(true);
    wait_until_final(history->chain().round);
    folder.gate.set(false);
  }
  /// The third group is of a device that is known to be slow, and has one transaction of each.
  void begin(std::optional<MemberId> answered) {
    history = made(true, answered, ToldClock::now);
    folder.gate.set(false);
    for (int group = 0; group < 3; ++group) {
      append_of(1, 1);
      sync();
    }
  }
};

/// G5 of GroupWriter.
TEST_F(HistoryOnSlowDisk, waits_for_the_transactions_of_its_own_member_to_come_back) {
  begin(MemberId{0});
  append_of(0, 1);
  EXPECT_FALSE(begins());
  append_of(1, 0);
  sync();
  EXPECT_EQ(history->groups(), 4U);
  append_of(1, 0);
  sync();
}

/// As where each copy is waited for.
TEST_F(HistoryOnSlowDisk, waits_for_the_transactions_of_all_members_when_all_wait_for_it) {
  begin(std::nullopt);
  append_of(1, 0);
  EXPECT_FALSE(begins());
  append_of(0, 1);
  sync();
  EXPECT_EQ(history->groups(), 4U);
}

}  // namespace
}  // namespace exdb
