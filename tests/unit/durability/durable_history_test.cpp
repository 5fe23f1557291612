// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_history.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "durability/log_reader.hpp"
#include "gated_folder.hpp"

namespace exdb {
namespace {

constexpr DatabaseIdentity identity{7, 8};

struct HistoryOnDisk : testing::Test {
  GatedFolder folder;
  std::mutex mutex;
  std::condition_variable changed;
  int told = 0;
  std::unique_ptr<DurableHistory> history = made(true);

  std::unique_ptr<DurableHistory> made(bool waits) {
    auto history_made = std::make_unique<DurableHistory>(
        std::make_unique<RoundLog>(folder, identity, RoundLog::Options{1 << 16, waits}, LogEnd{}),
        [] {
          return Marks{5, 6};
        },
        waits, std::chrono::nanoseconds(0));
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

}  // namespace
}  // namespace exdb
