// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/agreed_words.hpp"

#include <gtest/gtest.h>

#include "cluster/state_transfer.hpp"
#include "database/checkpoint_progress.hpp"

namespace exdb {
namespace {

TEST(AgreedWords, W1OneCheckpointForAllWhoHaveSeenNothingNewer) {
  AgreedWords words;
  std::vector<std::uint64_t> begun;
  words.on_checkpoint([&begun](Round round) { begun.push_back(round.value); });
  words.said(AgreedWords::checkpoint(), Csn{10}, Csn{11}, Round{5});
  words.said(AgreedWords::checkpoint(), Csn{10}, Csn{12}, Round{6});
  words.said(AgreedWords::checkpoint(), Csn{11}, Csn{13}, Round{7});
  EXPECT_EQ(begun, (std::vector<std::uint64_t>{5}));
  words.said(AgreedWords::checkpoint(), Csn{13}, Csn{14}, Round{8});
  EXPECT_EQ(begun, (std::vector<std::uint64_t>{5, 8}));
  EXPECT_EQ(words.newest_checkpoint().csn, Csn{14});
}

/// Nobody would ever say that it is written, and who asked for it waits.
TEST(AgreedWords, W1TheFirstOneCountsAlsoWhereNothingIsCommitted) {
  AgreedWords words;
  std::vector<std::uint64_t> begun;
  words.on_checkpoint([&begun](Round round) { begun.push_back(round.value); });
  words.said(AgreedWords::checkpoint(), Csn{0}, Csn{1}, Round{1});
  words.said(AgreedWords::checkpoint(), Csn{0}, Csn{2}, Round{2});
  EXPECT_EQ(begun, (std::vector<std::uint64_t>{1}));
}

TEST(AgreedWords, WhatWasSaidComesToFollowersAsItIs) {
  AgreedWords words, there;
  words.said(AgreedWords::preempt(), Csn{1}, Csn{2}, Round{1});
  words.said(AgreedWords::checkpoint(), Csn{2}, Csn{3}, Round{2});
  const Status full(ErrorCode::disk_full, "no room on '/a b': " + std::string(300, 'x'));
  words.said(AgreedWords::written(NodeId{3}, Round{2}, full), Csn{3}, Csn{4}, Round{4});
  words.said(AgreedWords::written(NodeId{0}, Round{2}, {}), Csn{3}, Csn{5}, Round{4});
  ASSERT_TRUE(there.decode(words.encode()).ok());
  EXPECT_EQ(there.preempt_said(), Csn{2});
  EXPECT_EQ(there.newest_checkpoint().round, Round{2});
  const auto written = there.written_checkpoints();
  ASSERT_EQ(written.size(), 2U);
  EXPECT_TRUE(written.at(NodeId{0}).status.ok());
  EXPECT_EQ(written.at(NodeId{3}).status.code(), ErrorCode::disk_full);
  EXPECT_EQ(written.at(NodeId{3}).status.text().substr(0, 18), "no room on '/a b':");
  there.forget();
  EXPECT_EQ(there.preempt_said(), Csn{});
  const std::vector<std::byte> broken(5);
  EXPECT_FALSE(there.decode(broken).ok());
}

class ThreeChunks final : public StateStream {
 public:
  bool next(std::vector<std::byte>& chunk) override {
    chunk.resize(1'500'000);
    return left_-- > 0;
  }

 private:
  int left_ = 3;
};

TEST(CheckpointProgress, SaysHowMuchIsWrittenWhenItsTimeHasCome) {
  for (const bool at_once : {true, false}) {
    ThreeChunks chunks;
    std::atomic<std::uint64_t> bytes{0};
    std::vector<std::string> lines;
    CheckpointProgress told(chunks, "grid", bytes,
                            at_once ? std::chrono::nanoseconds(0) : std::chrono::hours(1),
                            [&lines](const std::string& line) { lines.push_back(line); });
    std::vector<std::byte> chunk;
    while (told.next(chunk)) {
    }
    EXPECT_EQ(bytes, 4'500'000U);
    ASSERT_EQ(lines.size(), at_once ? 3U : 0U);
    if (at_once) {
      EXPECT_EQ(lines[2], "exdb: checkpoint of database 'grid': 4 MB of rows written");
    }
  }
}

}  // namespace
}  // namespace exdb
