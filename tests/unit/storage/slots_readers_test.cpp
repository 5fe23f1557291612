// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// SlotTable under readers, in threads and in another process, that check that no snapshot ever changes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <thread>

#include "base/hash.hpp"
#include "slots_grid.hpp"

namespace exdb {
namespace {

class SlotsStress : public Slots {};
class SlotsInterleaved : public Slots {};
class SlotsProcesses : public Slots {};
INSTANTIATE_TEST_SUITE_P(Forms, SlotsStress, slot_forms, name_of_form);
INSTANTIATE_TEST_SUITE_P(Forms, SlotsInterleaved, slot_forms, name_of_form);
INSTANTIATE_TEST_SUITE_P(Forms, SlotsProcesses, slot_forms, name_of_form);

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
