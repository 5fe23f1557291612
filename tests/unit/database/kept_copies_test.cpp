// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/kept_copies.hpp"

#include <gtest/gtest.h>

#include "gated_folder.hpp"

namespace exdb {
namespace {

std::vector<std::uint32_t> keepers(std::uint32_t copies, const std::vector<std::uint64_t>& places,
                                   const std::vector<std::uint32_t>& folders = {},
                                   std::vector<bool> may = {}) {
  if (may.empty()) may.assign(places.size(), true);
  std::vector<bool> has(places.size());
  for (const auto node : folders) has[node] = true;
  const auto keeps = choose_keepers(may, copies, places, has);
  std::vector<std::uint32_t> nodes;
  for (std::uint32_t node = 0; node < keeps.size(); ++node)
    if (keeps[node]) nodes.push_back(node);
  return nodes;
}

using Nodes = std::vector<std::uint32_t>;

TEST(KeptCopies, C3WithoutANumberAllThatMayKeepOne) {
  EXPECT_EQ(keepers(0, {1, 1, 1}), (Nodes{0, 1, 2}));
  EXPECT_EQ(keepers(0, {1, 1, 1}, {}, {true, false, true}), (Nodes{0, 2}));
}

TEST(KeptCopies, C3WhoHasAFolderKeepsItBeforeOthers) {
  EXPECT_EQ(keepers(1, {1, 1, 1}), (Nodes{0}));
  EXPECT_EQ(keepers(1, {1, 1, 1}, {2}), (Nodes{2}));
  EXPECT_EQ(keepers(2, {1, 1, 1}, {2}), (Nodes{0, 2}));
}

TEST(KeptCopies, C3EachFileSystemBeforeASecondOnAny) {
  EXPECT_EQ(keepers(2, {1, 1, 2, 2}), (Nodes{0, 2}));
  EXPECT_EQ(keepers(2, {1, 1, 2, 2}, {0, 1}), (Nodes{0, 2}));
  EXPECT_EQ(keepers(3, {1, 1, 2, 2}, {3}), (Nodes{0, 1, 3}));
  EXPECT_EQ(keepers(1, {1, 1, 2, 2}, {3}), (Nodes{3}));
}

CompletedRound round_of(std::uint64_t number, std::size_t bytes) {
  CompletedRound round;
  round.round = {number};
  round.batches.push_back({MemberId{0}, {}, std::vector<std::byte>(bytes), number});
  return round;
}

/// A member that keeps no copy.
struct Elsewhere {
  MemoryRoundHistory history;
  KeptCopies finality{{MemberId{1}, MemberId{2}}, nullptr, Round{}, "test"};

  void add(std::uint64_t number, std::size_t bytes) {
    ASSERT_TRUE(history.append(round_of(number, bytes)).ok());
  }
  std::uint64_t newest() { return finality.newest_final(history).value; }
};

TEST(KeptCopies, C1ARoundIsFinalWhenAllThatKeepACopyHaveIt) {
  Elsewhere node;
  node.add(1, 8);
  EXPECT_EQ(node.newest(), 0U);
  node.finality.told(MemberId{1}, Round{1});
  EXPECT_EQ(node.newest(), 0U);
  node.finality.told(MemberId{0}, Round{1});  // keeps none
  EXPECT_EQ(node.newest(), 0U);
  node.finality.told(MemberId{2}, Round{1});
  EXPECT_EQ(node.newest(), 1U);
  node.add(2, 8);
  node.finality.told(MemberId{1}, Round{2});
  node.finality.told(MemberId{2}, Round{1});  // late
  EXPECT_EQ(node.newest(), 1U);
}

TEST(KeptCopies, C2EmptyRoundsWaitForThoseBeforeThem) {
  Elsewhere node;
  node.add(1, 0);
  EXPECT_EQ(node.newest(), 1U);
  node.add(2, 8);
  node.add(3, 0);
  EXPECT_EQ(node.newest(), 1U);
  node.finality.told(MemberId{1}, Round{2});
  node.finality.told(MemberId{2}, Round{2});
  EXPECT_EQ(node.newest(), 3U);
}

TEST(KeptCopies, C1WhoHasLeftIsNotWaitedFor) {
  Elsewhere node;
  node.add(1, 8);
  node.finality.told(MemberId{1}, Round{1});
  node.finality.gone(MemberId{2});
  EXPECT_EQ(node.newest(), 1U);
  EXPECT_TRUE(node.finality.failure().ok());
}

/// A member that keeps one, as another does.
struct Here {
  GatedFolder folder;
  std::shared_ptr<DurableHistory> history = std::make_shared<DurableHistory>(
      std::make_unique<RoundLog>(folder, DatabaseIdentity{7, 8}, RoundLog::Options{1 << 16, true},
                                 LogEnd{}),
      [] { return Marks{}; }, true, std::nullopt, std::chrono::nanoseconds(0));
  KeptCopies finality{{MemberId{1}}, history, Round{}, "test"};

  void add(std::uint64_t number, std::size_t bytes) {
    ASSERT_TRUE(history->append(round_of(number, bytes)).ok());
  }
  std::uint64_t newest() { return finality.newest_final(*history).value; }
  void wait_until_written(std::uint64_t number) {
    while (history->written() < Round{number} && history->failure().ok()) std::this_thread::yield();
  }
};

TEST(KeptCopies, C1WhoKeepsACopyWaitsForItsOwnDiskToo) {
  Here node;
  node.folder.gate.set(false);
  node.add(1, 8);
  node.finality.told(MemberId{1}, Round{1});
  node.folder.gate.wait_for_somebody();
  EXPECT_EQ(node.newest(), 0U);
  EXPECT_EQ(node.finality.to_tell(), std::nullopt) << "it is not on the disk";
  node.folder.gate.set(true);
  node.wait_until_written(1);
  EXPECT_EQ(node.newest(), 1U);
  EXPECT_EQ(node.finality.to_tell(), Round{1});
  EXPECT_EQ(node.finality.to_tell(), std::nullopt) << "once";
  node.add(2, 8);
  node.wait_until_written(2);
  EXPECT_EQ(node.newest(), 1U) << "the other has not";
  // An empty one is told to nobody.
  EXPECT_EQ(node.finality.to_tell(), Round{2});
  node.add(3, 0);
  node.finality.told(MemberId{1}, Round{2});
  EXPECT_EQ(node.newest(), 3U);
  EXPECT_EQ(node.finality.to_tell(), std::nullopt);
}

TEST(KeptCopies, AfterAFailureOfItsOwnDiskNothingMoreIsFinal) {
  Here node;
  node.folder.inner.fail_at = 1;
  node.add(1, 8);
  node.finality.told(MemberId{1}, Round{1});
  node.wait_until_written(1);
  EXPECT_EQ(node.newest(), 0U);
  EXPECT_EQ(node.finality.failure().code(), ErrorCode::disk);
}

TEST(KeptCopies, C4WithoutACopyNothingIsFinal) {
  Elsewhere node;
  node.finality.gone(MemberId{1});
  node.finality.gone(MemberId{2});
  node.add(1, 0);
  EXPECT_EQ(node.newest(), 1U);
  EXPECT_TRUE(node.finality.failure().ok());
  node.add(2, 8);
  EXPECT_EQ(node.newest(), 1U);
  EXPECT_EQ(node.finality.failure().code(), ErrorCode::disk);
}

}  // namespace
}  // namespace exdb
