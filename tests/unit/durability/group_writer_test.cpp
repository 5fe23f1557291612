// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// G4: what is wanted is written, whoever writes when it comes and however fast the device is by then.
// G5: who was answered comes back and shares the next sync.
#include "database/group_writer.hpp"

#include <gtest/gtest.h>

#include "gated_folder.hpp"
#include "told_clock.hpp"

namespace exdb {
namespace {

struct WriterOfGroups : testing::Test {
  using Writer = GroupWriter<std::uint64_t>;

  GatedFolder folder;
  std::unique_ptr<Writer> made(std::chrono::nanoseconds at_once,
                               Writer::Clock::time_point (*now)() noexcept = Writer::Clock::now) {
    return std::make_unique<Writer>(
        std::make_unique<RoundLog>(folder, DatabaseIdentity{7, 8}, RoundLog::Options{1 << 16, true},
                                   LogEnd{}),
        [](RoundLog& log, const std::vector<std::uint64_t>& group) {
          for (const auto number : group) {
            CompletedRound round;
            round.round = Round{number};
            round.batches.resize(1);
            round.batches[0].payload.resize(10);
            if (auto status = log.append(std::move(round)); !status) return status;
            log.release(Round{number});
          }
          return Status();
        },
        true, at_once, now);
  }
  std::unique_ptr<Writer> writer = made(std::chrono::hours(1));

  /// As who drives, which does not come back.
  void commit(std::size_t answers = 0) {
    ASSERT_TRUE(writer->add(writer->added() + 1, 10, true, answers).ok());
    ASSERT_TRUE(writer->write_at_once());
  }
  void wait_until_written(Writer::Ticket ticket) {
    std::mutex mutex;
    std::condition_variable changed;
    writer->on_change([&] {
      const std::lock_guard lock(mutex);
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return writer->written() >= ticket; });
    lock.unlock();
    writer->on_change({});
  }
};

/// Until the first sync nobody knows that the device is fast.
TEST_F(WriterOfGroups, writes_what_came_while_a_device_was_found_to_be_fast) {
  folder.gate.set(false);
  commit();
  folder.gate.wait_for_somebody();
  commit();
  folder.gate.set(true);
  wait_until_written(2);
}

TEST_F(WriterOfGroups, writes_what_came_while_somebody_had_a_turn) {
  commit();
  wait_until_written(1);
  ASSERT_TRUE(writer
                  ->in_turn([this](RoundLog&) {
                    commit();
                    return Status();
                  })
                  .ok());
  wait_until_written(2);
}

/// By its clock a sync takes eight steps, unless said.
struct WriterOnSlowDevice : WriterOfGroups {
  static constexpr std::chrono::nanoseconds step = std::chrono::milliseconds(1);
  static constexpr auto quarter = 2 * step, least = std::chrono::nanoseconds(1);

  Writer::Ticket begun = 0;

  WriterOnSlowDevice() { writer = made(std::chrono::nanoseconds(0), ToldClock::now); }
  ~WriterOnSlowDevice() override { folder.gate.set(true); }

  /// A look, as what follows tells it for certain: on a busy machine each turn takes as long as others want.
  bool begins() {
    return happens_unasked([this] { return folder.gate.at_it() != 0; }, 20);
  }
  void wait_until_begun() {
    folder.gate.wait_for_somebody();
    begun = writer->added();
  }
  void end_sync(int steps = 8) {
    ToldClock::pass(steps * step);
    folder.gate.let_one_pass();
    wait_until_written(begun);
  }
  void sync_of(std::size_t answers) {
    commit(answers);
    wait_until_begun();
    end_sync();
  }
  /// Three groups, the last with so many answers: from then on the device is known to be slow.
  void begin(std::size_t answers) {
    folder.gate.set(false);
    commit();
    wait_until_begun();
    ToldClock::pass(8 * step);
    folder.gate.set(true);  // for the file, and for its first round
    wait_until_written(1);
    folder.gate.set(false);
    // What is not asked for has no answers.
    EXPECT_FALSE(writer->gathers());
    sync_of(0);
    sync_of(answers);
  }
};

/// G5.
TEST_F(WriterOnSlowDevice, waits_for_those_who_were_answered) {
  begin(3);
  EXPECT_TRUE(writer->gathers());
  commit(1);
  EXPECT_FALSE(begins());
  commit(1);
  EXPECT_FALSE(begins());
  sync_of(1);
  EXPECT_EQ(writer->written(), 6U);
  EXPECT_EQ(writer->groups(), 4U);
}

/// Else two halves would take turns, each with a sync of its own.
TEST_F(WriterOnSlowDevice, waits_until_they_are_with_those_who_came_meanwhile) {
  begin(1);
  commit(2);
  wait_until_begun();
  commit(2);
  end_sync();
  EXPECT_FALSE(begins());
  sync_of(2);
  EXPECT_EQ(writer->written(), 6U);
  EXPECT_EQ(writer->groups(), 5U);
}

TEST_F(WriterOnSlowDevice, waits_a_quarter_of_a_sync_at_the_longest) {
  begin(2);
  commit(1);
  EXPECT_FALSE(begins());
  ToldClock::pass(quarter);
  wait_until_begun();
}

TEST_F(WriterOnSlowDevice, waits_for_a_quarter_of_a_sync) {
  begin(2);
  ToldClock::pass(quarter - least);
  commit(1);
  EXPECT_FALSE(begins());
  sync_of(1);
  EXPECT_EQ(writer->groups(), 4U);
}

/// They would have been here by now.
TEST_F(WriterOnSlowDevice, waits_for_nobody_who_was_answered_longer_ago) {
  begin(2);
  ToldClock::pass(quarter);
  commit(1);
  wait_until_begun();
}

TEST_F(WriterOnSlowDevice, measures_by_the_shorter_of_two_syncs) {
  begin(1);
  commit(2);
  wait_until_begun();
  end_sync(800);
  commit(1);
  EXPECT_FALSE(begins());
  ToldClock::pass(quarter);
  wait_until_begun();
}

TEST_F(WriterOnSlowDevice, does_not_delay_who_is_alone) {
  begin(1);
  for (int group = 0; group < 3; ++group) sync_of(1);
  EXPECT_EQ(writer->groups(), 6U);
}

/// As steps, which come only when those before are on the device.
TEST_F(WriterOnSlowDevice, waits_for_nothing_that_answers_nobody) {
  begin(0);
  commit(0);
  wait_until_begun();
  commit(0);
  end_sync();
  wait_until_begun();
}

TEST_F(WriterOnSlowDevice, waits_for_nobody_where_those_before_have_twice_taken_longer) {
  begin(2);
  commit(1);
  for (int time = 0; time < 2; ++time) {
    EXPECT_FALSE(begins());
    ToldClock::pass(quarter);
    wait_until_begun();
    commit(1);
    end_sync();
  }
  wait_until_begun();  // without the one who was answered
  commit(1);
  end_sync();
  EXPECT_FALSE(begins());
}

TEST_F(WriterOnSlowDevice, waits_for_nobody_where_those_before_have_twice_not_come) {
  begin(8);
  commit(2);
  for (const std::size_t some : {2, 1}) {
    EXPECT_FALSE(begins());
    ToldClock::pass(quarter);
    wait_until_begun();
    commit(some);
    end_sync();
  }
  wait_until_begun();
}

/// They cannot be back before it has been woken.
TEST_F(WriterOnSlowDevice, does_not_wait_where_a_sync_takes_not_much_longer_than_waking) {
  writer = made(quarter / 4, ToldClock::now);
  begin(2);
  EXPECT_FALSE(writer->gathers());
  commit(1);
  wait_until_begun();
}

/// G3: add() waits for the thread, so nobody would come.
TEST_F(WriterOnSlowDevice, does_not_wait_when_no_more_can_come) {
  begin(2);
  folder.gate.set(true);
  EXPECT_TRUE(writer->add(4, std::size_t{65} << 20, true, 1).ok());
}

TEST_F(WriterOnSlowDevice, is_closed_while_it_waits) {
  begin(2);
  commit(1);
  EXPECT_FALSE(begins());
  folder.gate.set(true);
  EXPECT_TRUE(writer->close().ok());
  EXPECT_EQ(writer->written(), 4U);
}

TEST_F(WriterOnSlowDevice, gives_a_turn_while_it_waits) {
  begin(2);
  commit(1);
  EXPECT_FALSE(begins());
  folder.gate.set(true);
  EXPECT_TRUE(writer->in_turn([](RoundLog&) { return Status(); }).ok());
  EXPECT_EQ(writer->written(), 4U);
  commit(1);
  wait_until_written(5);
}

}  // namespace
}  // namespace exdb
