// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening the copies of a cluster: who catches up with whom and how, and a crash or a failure at every
// step of it, on the machine that gives and on the one that takes.
#include "database/restore_words.hpp"
#include "restore_fixture.hpp"

namespace exdb {
namespace {

enum class Lacks { rounds, files, everything };

/// Each node with a machine of its own. The first has gone on alone to round 9.
class CatchingUp : public RestoreTest, public ::testing::WithParamInterface<Lacks> {
 protected:
  static constexpr std::uint64_t both_have = 4, newest = 9, checkpoint_at = 7;

  void SetUp() override {
    Opened opened = open({&first, &second});
    live(opened, both_have);
    close(opened);
    opened = open({&first});
    live(opened, newest, GetParam() == Lacks::files ? checkpoint_at : 0);
    close(opened);
    if (GetParam() == Lacks::everything) {
      ASSERT_TRUE(second.remove("/grid/node-1").ok());
    }
  }
  struct Machines {
    std::unique_ptr<BreakableDisk> first, second;
    [[nodiscard]] std::vector<BreakableDisk*> both() const { return {first.get(), second.get()}; }
    [[nodiscard]] BreakableDisk& of(int machine) const { return machine == 0 ? *first : *second; }
  };
  [[nodiscard]] Machines machines() const {
    return {first.after_crash(Survives::everything), second.after_crash(Survives::everything)};
  }
  std::uint64_t steps_of(int machine) {
    const auto made = machines();
    auto opened = open(made.both());
    EXPECT_EQ(wrong(opened, made.both(), newest), "");
    return made.of(machine).breaks().steps;
  }
  /// In how many of the ways that a machine comes out of a crash, at each step, something is wrong.
  std::size_t crash_everywhere(int machine) {
    std::size_t found_wrong = 0;
    const auto steps = steps_of(machine);
    for (std::uint64_t at = 1; at <= steps; ++at) {
      const auto made = machines();
      made.of(machine).breaks().crash_at = at;
      auto opened = open(made.both());
      for (const auto& node : opened) {
        EXPECT_FALSE(node.ok()) << at;
        EXPECT_EQ(node.status().text(), opened[0].status().text());
      }
      opened.clear();
      for (const auto how : {Survives::nothing, Survives::everything, Survives::some}) {
        const Machines after{made.first->after_crash(how, unsigned(at)),
                             made.second->after_crash(how, unsigned(at) + 1000)};
        auto again = open(after.both());
        auto what = wrong(again, after.both(), newest);
        if (what.empty() && how == Survives::some) {
          live(again, newest + 2);
          again.clear();
          again = open(after.both());
          what = wrong(again, after.both(), newest + 2);
        }
        for (const auto& path : after.of(1).paths())
          if (what.empty() && path != "/" && path != "/grid" && path != "/grid/node-1")
            what = "'" + path + "' is left";
        if (what.empty()) continue;
        ++found_wrong;
        ADD_FAILURE() << "machine " << machine << ", step " << at << ", way " << int(how) << ": "
                      << what;
      }
    }
    return found_wrong;
  }

  BreakableDisk first, second;
};

/// O1, O2, P1.
TEST_P(CatchingUp, a_crash_at_any_step_fails_on_all_and_the_next_opening_has_it_all) {
  EXPECT_EQ(crash_everywhere(0), 0U);
  EXPECT_EQ(crash_everywhere(1), 0U);
}

/// The test above can fail.
TEST_P(CatchingUp, without_fsync_it_is_found_out) {
  const auto made = machines();
  made.second->breaks().syncs_do_nothing = true;
  auto opened = open(made.both());
  EXPECT_NE(wrong(opened, made.both(), newest), "");
}

/// O1, H1.
TEST_P(CatchingUp, a_step_that_fails_is_told_on_all_and_by_whom) {
  for (const int machine : {0, 1}) {
    const auto steps = steps_of(machine);
    for (std::uint64_t at = 1; at <= steps; ++at) {
      const auto made = machines();
      made.of(machine).breaks().fail_at = at;
      made.of(machine).breaks().fail_code = ErrorCode::disk_full;
      auto opened = open(made.both());
      for (const auto& node : opened) {
        EXPECT_EQ(node.status().code(), ErrorCode::disk_full) << at;
        EXPECT_TRUE(node.status().text().starts_with("node " + std::to_string(machine) + ": "))
            << node.status().text();
      }
      opened.clear();
      made.of(machine).breaks().fail_at = 0;
      opened = open(made.both());
      EXPECT_EQ(wrong(opened, made.both(), newest), "") << "machine " << machine << ", step " << at;
    }
  }
}

/// O3.
TEST_P(CatchingUp, says_how_and_writes_no_more_than_that_takes) {
  const auto made = machines();
  auto opened = open(made.both());
  ASSERT_EQ(wrong(opened, made.both(), newest), "");
  const auto but_how_long = [](std::string text) {
    const auto at = text.find(", in ");
    return text.erase(at, text.find(" ms", at) - at);
  };
  const auto told = but_how_long(opened[0]->told);
  EXPECT_EQ(told, but_how_long(opened[1]->told));
  EXPECT_NE(told.find(GetParam() == Lacks::rounds ? "node 1 caught up by rounds"
                                                  : "node 1 by a copy of it"),
            std::string::npos)
      << told;
  EXPECT_EQ(made.second->folder("/grid/node-1").has(file_name(FileKind::checkpoint, {7})),
            GetParam() == Lacks::files);
}

INSTANTIATE_TEST_SUITE_P(Each, CatchingUp,
                         ::testing::Values(Lacks::rounds, Lacks::files, Lacks::everything),
                         [](const auto& lacks) {
                           return lacks.param == Lacks::rounds  ? "rounds"
                                  : lacks.param == Lacks::files ? "files"
                                                                : "everything";
                         });

/// O3: the rounds after a checkpoint are there for who has just its round.
TEST_F(RestoreTest, who_has_the_round_of_the_checkpoint_is_given_rounds) {
  BreakableDisk first, second;
  auto opened = open({&first, &second});
  live(opened, 4);
  close(opened);
  opened = open({&first});
  const auto at = opened[0]->recovered->log->chain().round.value;
  checkpoint(*opened[0]->recovered, at);
  live(opened, 8);
  close(opened);
  opened = open({&first, &second});
  EXPECT_EQ(wrong(opened, {&first, &second}, 8), "");
  EXPECT_NE(opened[0]->told.find("node 1 caught up by rounds"), std::string::npos);
}

std::map<std::string, BreakableFolder::Content> contents(BreakableDisk& disk) {
  std::map<std::string, BreakableFolder::Content> found;
  for (const auto& path : disk.paths())
    for (const auto& name : disk.folder(path).names())
      found[path + "/" + name] = disk.folder(path).content(name);
  return found;
}

/// O4.
TEST_F(RestoreTest, copies_that_went_different_ways_are_refused_and_left_as_they_are) {
  BreakableDisk first, second, empty;
  auto opened = open({&first, &second});
  live(opened, 4);
  close(opened);
  opened = open({&first});
  live(opened, 9);
  close(opened);
  opened = open({&empty, &second});
  live(opened, 6);
  close(opened);
  const auto before = std::pair(contents(first), contents(second));
  opened = open({&first, &second});
  for (const auto& node : opened) EXPECT_EQ(node.status().code(), ErrorCode::inconsistent);
  EXPECT_EQ(std::pair(contents(first), contents(second)), before);
}

/// O4.
TEST_F(RestoreTest, folders_of_nodes_that_are_not_there_count_and_are_left_as_they_are) {
  BreakableDisk disk;
  auto opened = open({&disk, &disk, &disk});
  live(opened, 4);
  close(opened);
  ASSERT_TRUE(disk.remove("/grid/node-0").ok());
  const auto before = contents(disk);
  opened = open({&disk});
  EXPECT_EQ(wrong(opened, {&disk}, 4), "");
  live(opened, 6);
  close(opened);
  const auto after = contents(disk);
  for (const auto& [name, content] : before) EXPECT_EQ(after.at(name), content) << name;
  opened = open({&disk, &disk, &disk});
  EXPECT_EQ(wrong(opened, {&disk, &disk, &disk}, 6), "");
}

/// P1: a crash came between its renames, and then nobody opened that node.
TEST_F(RestoreTest, a_folder_that_was_being_replaced_counts_also_for_others) {
  BreakableDisk disk;
  auto opened = open({&disk, &disk});
  live(opened, 4);
  close(opened);
  ASSERT_TRUE(disk.rename("/grid/node-1", "/grid/node-1.old").ok());
  ASSERT_TRUE(disk.remove("/grid/node-0").ok());
  opened = open({&disk});
  EXPECT_EQ(wrong(opened, {&disk}, 4), "");
}

/// O2: a process that was killed has left what it wrote in the cache of its system.
TEST_F(RestoreTest, what_the_furthest_had_not_synced_is_safe_before_anybody_goes_on_with_it) {
  BreakableDisk first, second;
  auto opened = open({&first, &second}, {0, false});
  live(opened, 5);
  opened.clear();
  opened = open({&first, &second});
  EXPECT_EQ(wrong(opened, {&first, &second}, 5), "");
}

/// O2: by a process that was killed before it synced what they are in, or by a user.
TEST_F(RestoreTest, a_path_that_others_have_made_is_safe_before_anybody_goes_on_with_it) {
  BreakableDisk disk;
  ASSERT_TRUE(disk.make("/grid").ok());
  auto opened = open({&disk});
  live(opened, 5);
  close(opened);
  const auto after = disk.after_crash(Survives::nothing);
  opened = open({after.get()});
  EXPECT_EQ(wrong(opened, {after.get()}, 5), "");
}

/// O2, of nodes that keep no copy.
TEST_F(RestoreTest, who_keeps_no_copy_has_the_state_in_memory) {
  BreakableDisk first, second;
  for (const std::uint64_t checkpoint_at : {2, 0, 8}) {
    auto opened = open({&first, &second}, {1, true});
    const auto there = opened[0]->newest.round.value;
    EXPECT_EQ(wrong(opened, {&first, &second}, there), "");
    EXPECT_FALSE(opened[1]->recovered);
    EXPECT_EQ(second.paths(), (std::vector<std::string>{"/", "/grid"}));
    live(opened, there + 3, checkpoint_at);
    close(opened);
  }
}

/// W1.
TEST(RestoreWords, all_hear_of_the_first_node_that_has_failed) {
  ThreadGather gather(3);
  std::vector<Status> heard(3);
  std::vector<std::thread> threads;
  for (std::uint32_t node = 0; node < 3; ++node)
    threads.emplace_back([&, node] {
      ThreadGather::Seat seat(gather, node);
      const Status mine =
          node == 0 ? Status() : Status(ErrorCode::disk, "of " + std::to_string(node));
      heard[node] = exdb::exchange(seat, mine, {}).status();
    });
  for (auto& thread : threads) thread.join();
  for (const auto& status : heard) EXPECT_EQ(status.text(), "node 1: of 1");
}

}  // namespace
}  // namespace exdb
