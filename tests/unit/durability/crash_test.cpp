// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A crash, or a failure, at every single step of a life with rounds of one and of several, files that
// are full, checkpoints, closing and opening again; after each the folder is opened as a restart
// would.
#include "every_crash.hpp"
#include "toy_database.hpp"

namespace exdb {
namespace {

/// Files fill after a few rounds.
RoundLog::Options small_files(bool fsync = true) { return {700, fsync}; }

struct Life {
  std::uint64_t acknowledged = 0;  ///< rounds
  std::uint64_t tried = 0;         ///< rounds that were given to the log
  bool in_doubt = false;
  Status ended;
};

class Living {
 public:
  explicit Living(Folder& folder, bool fsync) : folder_(folder), fsync_(fsync) {}

  /// Until it ends or fails.
  Life live() {
    life_.ended = all();
    if (database_.log) life_.in_doubt = database_.log->in_doubt();
    return life_;
  }

 private:
  Status all() {
    for (int era = 0; era < 3; ++era) {
      if (auto status = database_.open(folder_, small_files(fsync_)); !status) return status;
      EXPECT_EQ(database_.rounds().size(), life_.acknowledged);
      for (int step = 0; step < 7; ++step) {
        for (int together = step % 3 == 2 ? 3 : 1; together > 0; --together) {
          ++life_.tried;
          if (auto status = database_.append(); !status) return status;
        }
        if (auto status = database_.sync(); !status) return status;
        life_.acknowledged = life_.tried;
        if (step == 4) {
          if (auto status = database_.checkpoint(); !status) return status;
        }
      }
      // One era ends as a program does that is killed.
      if (era == 1) continue;
      if (auto status = database_.log->close(); !status) return status;
    }
    return {};
  }

  Folder& folder_;
  const bool fsync_;
  ToyDatabase database_;
  Life life_;
};

/// Empty when what is found is right.
std::string wrong(Folder& folder, std::uint64_t least, std::uint64_t most) {
  ToyDatabase database;
  if (auto status = database.open(folder, small_files()); !status) return status.text();
  const auto found = database.rounds().size();
  if (found < least) return "round " + std::to_string(found + 1) + " was acknowledged and is lost";
  if (found > most) return "round " + std::to_string(found) + " was refused and is there";
  for (std::size_t i = 0; i < found; ++i)
    if (database.rounds()[i] != ToyDatabase::payload_of(i + 1))
      return "round " + std::to_string(i + 1) + " is another one";
  // It goes on from there, and that is found too.
  if (auto status = database.append(); !status) return "append: " + status.text();
  if (auto status = database.sync(); !status) return "sync: " + status.text();
  ToyDatabase again;
  if (auto status = again.open(folder, small_files()); !status)
    return "a second time: " + status.text();
  if (again.rounds().size() != found + 1) return "what came after the restart is lost";
  return {};
}

std::uint64_t steps_of_a_life() {
  BreakableFolder folder;
  Living living(folder, true);
  const auto life = living.live();
  EXPECT_TRUE(life.ended.ok()) << life.ended.text();
  EXPECT_EQ(life.acknowledged, 33U);
  return folder.steps;
}

std::size_t crash_everywhere(bool syncs_do_nothing, bool tell) {
  const auto steps = steps_of_a_life();
  EXPECT_GT(steps, 120U);
  return crash_at_every_step(
      steps, 26, syncs_do_nothing, tell, [](Folder& folder) { return Living(folder, true).live(); },
      [](Folder& folder, const Life& life) {
        return wrong(folder, life.acknowledged, life.tried);
      });
}

TEST(Crash, at_every_step_loses_nothing_that_was_acknowledged_and_halves_nothing) {
  EXPECT_EQ(crash_everywhere(false, true), 0U);
}

/// The test above can fail.
TEST(Crash, without_fsync_it_is_found_out) { EXPECT_GT(crash_everywhere(true, false), 50U); }

/// The process dies, and the machine does not.
TEST(Crash, of_the_process_alone_loses_nothing_even_where_commits_do_not_wait_for_the_device) {
  const auto steps = steps_of_a_life();
  for (const bool fsync : {true, false}) {
    for (std::uint64_t at = 1; at <= steps; ++at) {
      BreakableFolder folder;
      folder.crash_at = at;
      Living living(folder, fsync);
      const auto life = living.live();
      folder.restart();
      EXPECT_EQ(wrong(folder, life.acknowledged, life.tried), "") << "step " << at;
    }
  }
}

/// V4. Who only reads what a process has left is shown nothing that the device has not; nor is anything
/// built on what it has not, as on a file that has its name for the system alone.
TEST(Crash, of_the_machine_after_one_of_the_process_takes_nothing_back_that_was_shown_between) {
  const auto steps = steps_of_a_life();
  for (const bool builds : {false, true}) {
    for (std::uint64_t at = 1; at <= steps; ++at) {
      BreakableFolder folder;
      folder.crash_at = at;
      Living living(folder, true);
      (void)living.live();
      folder.restart();
      ToyDatabase shown, found;
      ASSERT_TRUE(shown.open(folder, small_files()).ok());
      if (builds) {
        ASSERT_TRUE(shown.append().ok());
        ASSERT_TRUE(shown.sync().ok());
      }
      const auto after = folder.after_crash(BreakableFolder::Survives::nothing);
      ASSERT_TRUE(found.open(*after, small_files()).ok());
      EXPECT_EQ(found.rounds(), shown.rounds()) << "step " << at;
    }
  }
}

TEST(Crash, of_the_machine_leaves_a_state_that_was_where_commits_do_not_wait_for_the_device) {
  const auto steps = steps_of_a_life();
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.crash_at = at;
    Living living(folder, false);
    const auto life = living.live();
    for (unsigned seed = 0; seed < 12; ++seed) {
      const auto after = folder.after_crash(BreakableFolder::Survives::some, seed);
      EXPECT_EQ(wrong(*after, 0, life.tried), "") << "step " << at << ", seed " << seed;
    }
  }
}

class Failing : public ::testing::TestWithParam<ErrorCode> {};

/// What is refused for certain is never there; what is in doubt may be. Found by the process that is
/// started again on the same machine, which may show what the device does not have, and by one on a
/// machine that was.
TEST_P(Failing, step_by_step_says_so_once_and_the_files_open_again) {
  const auto steps = steps_of_a_life();
  std::size_t failures = 0;
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.fail_at = at;
    folder.fail_code = GetParam();
    Living living(folder, true);
    const auto life = living.live();
    if (life.ended.ok()) continue;
    ++failures;
    EXPECT_EQ(life.ended.code(), GetParam()) << life.ended.text();
    EXPECT_NE(life.ended.text().find("made to fail"), std::string::npos) << life.ended.text();
    const auto most = life.in_doubt ? life.tried : life.acknowledged;
    auto rebooted = folder.after_crash(BreakableFolder::Survives::some, unsigned(at));
    EXPECT_EQ(wrong(*rebooted, life.acknowledged, most), "") << "step " << at;
    folder.restart();
    EXPECT_EQ(wrong(folder, life.acknowledged, most), "") << "step " << at;
    // What was shown there, and built on, is on the device.
    auto later = folder.after_crash(BreakableFolder::Survives::nothing);
    EXPECT_EQ(wrong(*later, life.acknowledged, life.tried + 1), "") << "step " << at;
  }
  EXPECT_GT(failures, steps - 10) << "few steps may fail unseen: removing what was not finished";
}

INSTANTIATE_TEST_SUITE_P(Each, Failing, ::testing::Values(ErrorCode::disk, ErrorCode::disk_full),
                         [](const auto& code) {
                           return code.param == ErrorCode::disk ? "EIO" : "ENOSPC";
                         });

/// L5: commits go on while a checkpoint is written, and may have filled files by then.
TEST(Log, keeps_files_with_rounds_that_the_checkpoint_has_not) {
  BreakableFolder folder;
  ToyDatabase database;
  ASSERT_TRUE(database.open(folder, small_files()).ok());
  RoundHistory::Chain at;
  for (int round = 1; round <= 20; ++round) {
    ASSERT_TRUE(database.append().ok());
    ASSERT_TRUE(database.sync().ok());
    if (round == 9) at = database.log->chain();
  }
  const auto files = database.log->segments();
  ASSERT_TRUE(database.log->drop_before(at.round).ok());
  EXPECT_LT(database.log->segments(), files);
  std::uint64_t next = 10;
  const auto read = read_log(folder, toy_identity, at, {}, [&next](const CompletedRound& round) {
    EXPECT_EQ(round.round.value, next++);
    return Status();
  });
  EXPECT_TRUE(read.ok()) << read.status().text();
  EXPECT_EQ(next, 21U);
}

TEST(Failing, is_for_good) {
  BreakableFolder folder;
  ToyDatabase database;
  ASSERT_TRUE(database.open(folder, small_files()).ok());
  ASSERT_TRUE(database.append().ok());
  ASSERT_TRUE(database.sync().ok());
  folder.fail_at = folder.steps + 2;  // write, fsync
  ASSERT_TRUE(database.append().ok());
  const auto failed = database.sync();
  EXPECT_EQ(failed.text(), "fsync: made to fail");
  const auto steps = folder.steps;
  EXPECT_EQ(database.sync().text(), failed.text());
  EXPECT_EQ(database.append().text(), failed.text());
  EXPECT_EQ(database.log->close().text(), failed.text());
  EXPECT_EQ(folder.steps, steps) << "an fsync that failed is not tried again";
  EXPECT_TRUE(database.log->in_doubt());
}

}  // namespace
}  // namespace exdb
