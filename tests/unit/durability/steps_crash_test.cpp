// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A crash, or a failure, at every single step of lives of a node where nodes come and go: rounds that
// are taken back and put in the place of others, memories, files that are full, checkpoints, states
// that come from another node. What a restart finds is what was there after one of the steps that the
// member had ended, and not before the last one that it could speak of.
#include "every_crash.hpp"
#include "toy_member.hpp"

namespace exdb {
namespace {

using Survives = BreakableFolder::Survives;

struct Life {
  std::vector<ToyState> steps = {{}};  ///< what was there after each
  std::vector<std::string> applied;    ///< what was given out
  std::size_t stored = 0;              ///< the last of them that others may have heard of
  Status ended;
};

class Living {
 public:
  Living(Folder& folder, bool fsync) : folder_(folder), fsync_(fsync) {}

  Life live() {
    life_.ended = all();
    return std::move(life_);
  }

 private:
  static std::string text(std::size_t number, char kind) {
    return std::string(1, kind) + std::to_string(number) + std::string(number * 37 % 190, kind);
  }

  /// Ends a step. `wait`: for the device, and then what is final is given out.
  Status end(ToyMember& member, bool wait, std::size_t apply = 0) {
    life_.steps.push_back(member.state);
    const auto ticket = member.history->newest();
    if (!wait) return member.history->failure();
    if (auto status = member.wait(ticket); !status) return status;
    life_.stored = life_.steps.size() - 1;
    member.apply(apply);
    life_.applied = member.applied();
    return {};
  }

  Status all() {
    for (int era = 0; era < 3; ++era) {
      ToyMember member;
      if (auto status = member.open(folder_, fsync_); !status) return status;
      EXPECT_EQ(member.state, life_.steps.back());
      if (auto status = live(member, era); !status) return status;
      // One era ends as a program does that is killed.
      if (era == 1) continue;
      if (auto status = member.history->close(); !status) return status;
    }
    return {};
  }

  Status live(ToyMember& member, int era) {
    const auto number = [&] { return member.state.rounds.size() + 1; };
    const auto rounds = [&](int count, char kind) {
      Status status;
      for (; count > 0 && status.ok(); --count) status = member.append(text(number(), kind));
      return status;
    };
    member.remember("life " + std::to_string(era));
    if (auto status = end(member, true); !status) return status;
    for (int i = 0; i < 3; ++i) {
      // Rounds as they come, of which the last one or two are not final.
      if (auto status = rounds(1, 'a'); !status) return status;
      if (auto status = end(member, false); !status) return status;
      if (auto status = rounds(3, 'b'); !status) return status;
      const auto open = member.state.rounds.size() - member.applied().size();
      if (auto status = end(member, true, open - std::size_t(1 + i % 2)); !status) return status;
      if (i == 1) {
        if (auto status = member.checkpoint(); !status) return status;
      }
      // Another view: what is not final goes, other rounds come, and it is remembered.
      const auto kept = member.applied().size();
      if (auto status = rounds(2, 'x'); !status) return status;
      if (auto status = member.back_to(kept); !status) return status;
      if (auto status = rounds(2 + i, 'c'); !status) return status;
      member.remember("view " + std::to_string(i) + " of " + std::to_string(era));
      if (auto status = end(member, i != 0); !status) return status;
      if (i == 2 && era != 0) {
        auto elsewhere = member.applied();
        for (int more = 0; more < 9; ++more) elsewhere.push_back(text(elsewhere.size() + 1, 'e'));
        if (auto status = member.take(elsewhere); !status) return status;
        if (auto status = rounds(2, 'f'); !status) return status;
        member.remember("came in " + std::to_string(era));
        if (auto status = end(member, true, 1); !status) return status;
      }
    }
    return end(member, true, member.state.rounds.size() - member.applied().size());
  }

  Folder& folder_;
  const bool fsync_;
  Life life_;
};

/// Empty when what is found is right.
std::string wrong(Folder& folder, const Life& life, std::size_t least) {
  ToyMember member;
  if (auto status = member.open(folder); !status) return status.text();
  const auto from = life.steps.begin() + std::ptrdiff_t(least);
  if (std::find(from, life.steps.end(), member.state) == life.steps.end()) {
    std::string text = "it is not what was there after one of the steps " + std::to_string(least) +
                       ".." + std::to_string(life.steps.size() - 1) + ": '" + member.state.memory +
                       "',";
    for (const auto& round : member.state.rounds) text += " " + round.substr(0, 3);
    return text;
  }
  for (std::size_t i = 0; i < std::min(life.applied.size(), member.state.rounds.size()); ++i)
    if (life.applied[i] != member.state.rounds[i])
      return "round " + std::to_string(i + 1) + " was given out, and is another one";
  if (least != 0 && life.applied.size() > member.state.rounds.size())
    return "a round that was given out is not there";
  // It goes on from there, and that is found too.
  if (auto status = member.append("more"); !status) return "append: " + status.text();
  member.remember("more");
  if (auto status = member.wait(member.history->newest()); !status) return "step: " + status.text();
  ToyMember again;
  if (auto status = again.open(folder); !status) return "a second time: " + status.text();
  if (again.state != member.state) return "what came after the restart is lost";
  return {};
}

std::uint64_t steps_of_a_life() {
  BreakableFolder folder;
  Living living(folder, true);
  const auto life = living.live();
  EXPECT_TRUE(life.ended.ok()) << life.ended.text();
  EXPECT_EQ(life.stored + 1, life.steps.size());
  return folder.steps;
}

std::size_t crash_everywhere(bool syncs_do_nothing, bool tell) {
  const auto steps = steps_of_a_life();
  EXPECT_GT(steps, 200U);
  return crash_at_every_step(
      steps, 6, syncs_do_nothing, tell, [](Folder& folder) { return Living(folder, true).live(); },
      [](Folder& folder, const Life& life) { return wrong(folder, life, life.stored); });
}

TEST(StepsCrash, at_every_step_a_restart_finds_what_was_there_after_one_that_was_ended) {
  EXPECT_EQ(crash_everywhere(false, true), 0U);
}

/// The test above can fail.
TEST(StepsCrash, without_fsync_it_is_found_out) { EXPECT_GT(crash_everywhere(true, false), 50U); }

TEST(StepsCrash, of_the_process_alone_loses_nothing_even_where_nobody_waits_for_the_device) {
  const auto steps = steps_of_a_life();
  for (const bool fsync : {true, false}) {
    for (std::uint64_t at = 1; at <= steps; ++at) {
      BreakableFolder folder;
      folder.crash_at = at;
      Living living(folder, fsync);
      const auto life = living.live();
      folder.restart();
      EXPECT_EQ(wrong(folder, life, life.stored), "") << "step " << at;
    }
  }
}

class StepsFailing : public ::testing::TestWithParam<ErrorCode> {};

TEST_P(StepsFailing, one_by_one_end_the_node_and_the_files_open_again) {
  const auto steps = steps_of_a_life();
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.fail_at = at;
    folder.fail_code = GetParam();
    Living living(folder, true);
    const auto life = living.live();
    if (life.ended.ok()) continue;
    EXPECT_EQ(life.ended.code(), GetParam()) << life.ended.text();
    auto rebooted = folder.after_crash(Survives::some, unsigned(at));
    EXPECT_EQ(wrong(*rebooted, life, life.stored), "") << "step " << at;
    folder.restart();
    EXPECT_EQ(wrong(folder, life, life.stored), "") << "step " << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, StepsFailing,
                         ::testing::Values(ErrorCode::disk, ErrorCode::disk_full),
                         [](const auto& code) {
                           return code.param == ErrorCode::disk ? "EIO" : "ENOSPC";
                         });

}  // namespace
}  // namespace exdb
