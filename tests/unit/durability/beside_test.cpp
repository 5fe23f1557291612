// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A checkpoint beside threads that commit: at which priority it is written, and what is removed in
// which moment.
#include <gtest/gtest.h>

#include "base/low_priority.hpp"
#include "breakable_folder.hpp"
#include "durability/checkpoint.hpp"

namespace exdb {
namespace {

int niceness() { return ::getpriority(PRIO_PROCESS, id_t(::syscall(SYS_gettid))); }

struct Noting final : StateStream {
  std::vector<int> at;
  bool next(std::vector<std::byte>& chunk) override {
    at.push_back(niceness());
    chunk.assign(100, std::byte{7});
    return at.size() <= 3;
  }
};

TEST(Beside, long_work_has_a_low_priority_and_its_caller_keeps_its_own) {  // I1
  const auto before = niceness();
  const auto within = at_low_priority(niceness);
  EXPECT_EQ(within, std::max(before, low_priority_niceness));
  EXPECT_EQ(niceness(), before);
}

TEST(Beside, what_long_work_throws_comes_to_its_caller) {  // I2
  EXPECT_THROW(at_low_priority([]() -> int { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(Beside, a_checkpoint_is_written_at_a_low_priority_and_named_at_that_of_its_caller) {  // C4
  BreakableFolder folder;
  Noting state;
  const auto before = niceness();
  std::optional<int> named_at;
  const auto written =
      write_checkpoint(folder, {1, 2}, {Round{5}, 6}, {}, state, {}, [&](const auto& name_it) {
        named_at = niceness();
        return name_it();
      });
  ASSERT_TRUE(written.ok()) << written.status().text();
  EXPECT_EQ(state.at, std::vector<int>(4, std::max(before, low_priority_niceness)));
  EXPECT_EQ(named_at, before);
}

TEST(Beside, what_a_removed_file_takes_is_given_back_when_its_holder_says_so) {
  BreakableFolder folder;
  for (const Round round : {Round{5}, Round{9}}) {
    Noting state;
    ASSERT_TRUE(write_checkpoint(folder, {1, 2}, {round, 6}, {}, state, {}).ok());
  }
  OpenFiles going;
  ASSERT_TRUE(drop_checkpoints_before(folder, Round{9}, &going).ok());
  EXPECT_EQ(folder.names().size(), 1U);
  ASSERT_EQ(going.size(), 1U);
  EXPECT_GT(going[0]->size().value(), 300U) << "it is there still";
}

}  // namespace
}  // namespace exdb
