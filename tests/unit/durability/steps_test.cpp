// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The history of a node where nodes come and go, and what is read of its log.
#include "toy_member.hpp"

namespace exdb {
namespace {

struct Steps : testing::Test {
  BreakableFolder folder;
  ToyMember member;

  void SetUp() override { ASSERT_TRUE(member.open(folder).ok()); }
  void end_step() { ASSERT_TRUE(member.wait(member.history->newest()).ok()); }
  void append(const std::string& payload) { ASSERT_TRUE(member.append(payload).ok()); }
  std::unique_ptr<BreakableFolder> after_crash() {
    return folder.after_crash(BreakableFolder::Survives::everything);
  }
};

/// H1.
TEST_F(Steps, what_is_given_between_two_ends_of_steps_is_found_whole_or_not_at_all) {
  member.remember("first");
  append("a");
  append("b");
  end_step();
  const auto whole = member.state;
  ASSERT_TRUE(member.back_to(1).ok());
  append("c");
  member.remember("second");
  auto found = after_crash();
  ToyMember before;
  ASSERT_TRUE(before.open(*found).ok());
  EXPECT_EQ(before.state, whole);
  end_step();
  // All but the last record of the step are there: it is as if none of them were.
  const auto log = file_name(FileKind::log, Round{1});
  auto torn = after_crash();
  auto bytes = torn->content(log);
  const auto last = [&] {
    std::uint64_t offset = head_bytes, at = 0;
    for (auto read = decode_record(bytes, offset, toy_views.database);
         read.found == ReadRecord::Found::record;
         read = decode_record(bytes, offset, toy_views.database)) {
      at = offset;
      offset += read.bytes;
    }
    return at;
  }();
  std::fill(bytes.begin() + std::ptrdiff_t(last), bytes.end(), std::byte{0});
  torn->put(log, std::move(bytes));
  ToyMember half;
  ASSERT_TRUE(half.open(*torn).ok());
  EXPECT_EQ(half.state, whole);
  EXPECT_TRUE(half.recovery.log.torn.has_value());
}

/// H5: all nodes were down, and one of them lacks a few rounds.
TEST_F(Steps, rounds_since_the_checkpoint_are_there_for_others_after_a_restart) {
  const auto apply_all = [&] {
    member.apply(member.state.rounds.size() - member.applied().size());
  };
  for (int i = 0; i < 3; ++i) append("before the checkpoint");
  end_step();
  apply_all();
  ASSERT_TRUE(member.checkpoint().ok());
  for (int i = 0; i < 3; ++i) append("after");
  end_step();
  apply_all();
  append("not final");
  end_step();
  ASSERT_TRUE(member.history->close().ok());
  ToyMember again;
  ASSERT_TRUE(again.open(folder).ok());
  EXPECT_EQ(again.applied().size(), 6U);
  std::vector<std::string> given;
  const auto status = again.history->read_from(Round{4}, [&](const CompletedRound& round) {
    given.emplace_back(as_text(round.batches.at(0).payload));
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(given, (std::vector<std::string>{"after", "after", "after", "not final"}));
  EXPECT_TRUE(again.history->chain_at(Round{3}).ok());
  EXPECT_EQ(again.history->read_from(Round{3}, [](const auto&) { return Status(); }).code(),
            ErrorCode::not_found);
  // No more than a history keeps: 300 bytes here.
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(again.append(std::string(100, 'x')).ok());
  ASSERT_TRUE(again.wait(again.history->newest()).ok());
  again.apply(again.state.rounds.size() - again.applied().size());
  ASSERT_TRUE(again.history->close().ok());
  ToyMember third;
  ASSERT_TRUE(third.open(folder).ok());
  EXPECT_TRUE(third.history->chain_at(Round{12}).ok());
  EXPECT_FALSE(third.history->chain_at(Round{11}).ok());
}

/// H5: and no more of them than a history keeps.
TEST(RecentRounds, are_the_newest_of_a_recovery) {
  ToyMember sink;
  RecentRounds recent(sink, 300);
  ASSERT_TRUE(recent.begin().ok());
  for (std::uint64_t round = 1; round <= 10; ++round)
    ASSERT_TRUE(recent.round(ToyMember::round_of(round, std::string(100, 'x'))).ok());
  ReadLog log;
  const auto begin = recent.take(log);
  ASSERT_EQ(begin.before.size(), 3U);
  EXPECT_EQ(begin.before.front().round, Round{8});
  EXPECT_EQ(begin.from.round, Round{7});
}

/// R4: what is not known to be final is not applied, and not lost.
TEST_F(Steps, rounds_that_were_not_final_are_held_and_those_that_were_are_applied) {
  member.remember("it");
  for (const auto* payload : {"a", "b", "c"}) {
    append(payload);
    end_step();
  }
  member.apply(2);
  append("d");
  end_step();
  auto found = after_crash();
  ToyMember again;
  ASSERT_TRUE(again.open(*found).ok());
  EXPECT_EQ(again.applied(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(again.state.rounds, (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(again.recovery.log.held.size(), 2U);
  EXPECT_EQ(as_text(again.history->held(Round{4}).batches[0].payload), "d");
  // What is final goes with the word that the log was closed.
  member.apply(2);
  ASSERT_TRUE(member.history->close().ok());
  ToyMember closed;
  ASSERT_TRUE(closed.open(folder).ok());
  EXPECT_EQ(closed.applied().size(), 4U);
  EXPECT_TRUE(closed.recovery.log.end.closed);
}

/// L7: the newest memory is found when the file it was first written to is gone.
TEST_F(Steps, what_is_remembered_outlives_the_file_it_was_written_to) {
  member.remember("it");
  for (int i = 0; i < 40; ++i) {
    append("round " + std::to_string(i) + std::string(60, '.'));
    end_step();
    member.apply(1);
  }
  ASSERT_TRUE(member.checkpoint().ok());
  EXPECT_FALSE(folder.has(file_name(FileKind::log, Round{1})));
  ToyMember again;
  ASSERT_TRUE(again.open(folder).ok());
  EXPECT_EQ(again.state, member.state);
}

/// A1: what came from elsewhere and did not come to a step counts for nothing.
TEST_F(Steps, a_state_that_arrived_and_was_not_taken_is_removed) {
  member.remember("it");
  append("a");
  end_step();
  const auto before = member.state;
  ASSERT_TRUE(member.take({"x", "y", "z"}).ok());
  ASSERT_TRUE(folder.has(arrived_name(Round{3})));
  auto found = after_crash();
  ToyMember again;
  ASSERT_TRUE(again.open(*found).ok());
  EXPECT_EQ(again.state, before);
  EXPECT_FALSE(found->has(arrived_name(Round{3})));
  member.remember("taken");
  end_step();
  EXPECT_FALSE(folder.has(arrived_name(Round{3})));
  EXPECT_TRUE(folder.has(file_name(FileKind::checkpoint, Round{3})));
  ToyMember taken;
  ASSERT_TRUE(taken.open(folder).ok());
  EXPECT_EQ(taken.state, member.state);
  EXPECT_EQ(taken.state.rounds.size(), 3U);
}

TEST_F(Steps, a_folder_of_another_kind_of_database_is_refused_by_name) {
  std::string text;
  const auto as_another = open_base(folder, {1, toy_views.dictionary}, "a schema", text);
  EXPECT_EQ(as_another.status().code(), ErrorCode::unsupported);
  EXPECT_NE(as_another.status().text().find("come and go"), std::string::npos);
  BreakableFolder plain;
  ASSERT_TRUE(open_base(plain, {1, 2}, "a schema", text).ok());
  const auto as_views = open_base(plain, toy_views, "a schema", text);
  EXPECT_EQ(as_views.status().code(), ErrorCode::unsupported);
  EXPECT_NE(as_views.status().text().find("start together"), std::string::npos);
}

/// S3.
TEST_F(Steps, after_a_failure_nothing_more_is_stored) {
  append("a");
  end_step();
  folder.fail_at = folder.steps + 2;  // the write, and then the sync
  append("b");
  const auto stored = member.history->stored();
  const auto ticket = member.history->newest();
  EXPECT_EQ(member.wait(ticket).code(), ErrorCode::disk);
  EXPECT_EQ(member.history->stored(), stored);
  EXPECT_FALSE(member.append("c").ok());
  member.history->newest();
  EXPECT_EQ(member.history->stored(), stored);
}

}  // namespace
}  // namespace exdb
