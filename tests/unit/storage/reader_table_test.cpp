// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/reader_table.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace exdb {
namespace {

constexpr Offset table_offset = 4096;
constexpr std::uint32_t places = 8;

class ReaderTableTest : public testing::Test {
 protected:
  std::unique_ptr<Segment> segment =
      Segment::create({.shared = true, .unit_bytes = 1 << 20, .reserve_bytes = 1 << 24}).value();
  std::atomic<std::uint64_t>* published = segment->at<std::atomic<std::uint64_t>>(1024);
  ReaderTable table{segment->at<void>(table_offset), places, published};

  std::vector<std::uint64_t> pins() {
    std::vector<Csn> found;
    table.scan(found);
    std::vector<std::uint64_t> values;
    for (const auto csn : found) values.push_back(csn.value);
    return values;
  }

  ReaderPlace& place(std::uint32_t at) {
    return segment->at<ReaderPlace>(table_offset + ReaderTable::bytes_for(0))[at];
  }
};

using Values = std::vector<std::uint64_t>;

TEST_F(ReaderTableTest, scan_gives_every_pin_once_ascending) {
  EXPECT_EQ(pins(), Values());
  Values claimed;
  for (const std::uint64_t csn : {7, 9, 9, 12}) {
    published->store(csn);
    claimed.push_back(table.claim().value());
    EXPECT_EQ(table.pin(claimed.back()).value, csn);
  }
  EXPECT_EQ(pins(), Values({7, 9, 12}));
  table.unpin(claimed[1]);
  EXPECT_EQ(pins(), Values({7, 9, 12}));
  table.unpin(claimed[2]);
  EXPECT_EQ(pins(), Values({7, 12}));
  table.release(claimed[0]);
  EXPECT_EQ(pins(), Values({12}));
}

TEST_F(ReaderTableTest, the_empty_database_can_be_pinned) {
  const auto at = table.claim().value();
  EXPECT_EQ(table.pin(at).value, 0u);
  EXPECT_EQ(pins(), Values({0}));
}

TEST_F(ReaderTableTest, gives_the_lowest_free_place_and_says_when_there_is_none) {
  for (std::uint32_t i = 0; i < places; ++i) EXPECT_EQ(table.claim().value(), i);
  const auto refused = table.claim();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), ErrorCode::no_memory);
  EXPECT_NE(refused.status().text().find("db_max_connections"), std::string::npos);
  EXPECT_NE(refused.status().text().find("8"), std::string::npos);
  table.release(5);
  table.release(2);
  EXPECT_EQ(table.claim().value(), 2u);
  EXPECT_EQ(table.claim().value(), 5u);
}

TEST_F(ReaderTableTest, reap_leaves_the_living_alone) {
  const auto at = table.claim().value();
  table.pin(at);
  EXPECT_EQ(table.reap(), 0u);
  EXPECT_EQ(pins(), Values({0}));
}

TEST_F(ReaderTableTest, reap_knows_a_recycled_process_id_by_its_start) {
  const auto at = table.claim().value();
  table.pin(at);
  const auto owner = place(at).owner.load();
  place(at).owner.store(owner ^ 1);  // as this process's id, started at another time
  EXPECT_EQ(table.reap(), 1u);
  EXPECT_EQ(pins(), Values());
  EXPECT_EQ(place(at).owner.load(), 0u);
}

/// A child that claims and pins twice, then waits to be killed.
pid_t child_that_pins(ReaderTable& table, std::atomic<std::uint64_t>& ready) {
  const auto pid = fork();
  if (pid != 0) return pid;
  alarm(30);
  for (int i = 0; i < 2; ++i) table.pin(table.claim().value());
  ready.store(1);
  for (;;) pause();
}

void wait_until_set(const std::atomic<std::uint64_t>& word) {
  for (int tries = 0; word.load() == 0; ++tries) {
    ASSERT_LT(tries, 100000) << "the other process does not answer";
    usleep(100);
  }
}

TEST_F(ReaderTableTest, reap_takes_back_the_places_of_a_killed_process) {
  published->store(5);
  const auto mine = table.claim().value();
  table.pin(mine);
  published->store(6);
  auto& ready = *segment->at<std::atomic<std::uint64_t>>(2048);
  const auto pid = child_that_pins(table, ready);
  wait_until_set(ready);
  EXPECT_EQ(pins(), Values({5, 6}));
  EXPECT_EQ(table.reap(), 0u);
  kill(pid, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(table.reap(), 2u) << "a zombie has no readers";
  EXPECT_EQ(pins(), Values({5}));
  int status = 0;
  waitpid(pid, &status, 0);

  ready.store(0);
  const auto second = child_that_pins(table, ready);
  wait_until_set(ready);
  kill(second, SIGKILL);
  waitpid(second, &status, 0);
  EXPECT_EQ(table.reap(), 2u);
  EXPECT_EQ(pins(), Values({5}));
  EXPECT_EQ(table.claim().value(), 1u);
}

TEST_F(ReaderTableTest, threads_that_claim_at_once_get_places_of_their_own) {
  std::vector<std::thread> threads;
  std::atomic<int> holders[places]{};
  std::atomic<int> clashes{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        const auto at = table.claim().value();
        if (holders[at].fetch_add(1) != 0) clashes.fetch_add(1);
        holders[at].fetch_sub(1);
        table.release(at);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(clashes.load(), 0);
}

/// The protocol of I1 at full speed: a csn may be reused (here: counted dead) when it is below
/// published and no scan finds it. A reader that holds it must then never have been told that its
/// pin stands.
template <class Pin>
bool some_pin_is_missed(ReaderTable& table, std::atomic<std::uint64_t>& published, Pin pin,
                        int publishes) {
  std::atomic<std::uint64_t> dead_below{0};
  std::atomic<bool> stop{false}, missed{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      const auto at = table.claim().value();
      while (!stop.load()) {
        const auto csn = pin(at);
        for (int i = 0; i < 3; ++i) {
          if (dead_below.load() > csn.value) missed.store(true);
        }
        table.unpin(at);
      }
      table.release(at);
    });
  }
  std::vector<Csn> pins;
  for (int i = 0; i < publishes && !missed.load(); ++i) {
    const auto now = published.fetch_add(1) + 1;
    table.scan(pins);
    dead_below.store(pins.empty() ? now : std::min(now, pins.front().value));
    if (i % 1024 == 0) std::this_thread::yield();
  }
  stop.store(true);
  for (auto& reader : readers) reader.join();
  return missed.load();
}

TEST_F(ReaderTableTest, no_scan_misses_a_pin_that_stands) {
  EXPECT_FALSE(some_pin_is_missed(
      table, *published, [&](std::uint32_t at) { return table.pin(at); }, 300000));
}

TEST_F(ReaderTableTest, without_reading_published_again_a_pin_would_be_missed) {
  const auto careless = [&](std::uint32_t at) {
    const auto csn = published->load();
    place(at).pinned.store(csn + 1);
    return Csn{csn};
  };
  EXPECT_TRUE(some_pin_is_missed(table, *published, careless, 2000000));
}

}  // namespace
}  // namespace exdb
