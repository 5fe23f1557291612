// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_memory.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/hash.hpp"

namespace exdb {
namespace {

ViewMemory some_memory() {
  ViewMemory memory;
  memory.cluster_id = 0x1234567890abcdefULL;
  memory.self = MemberId{2};
  memory.incarnation = {(std::uint64_t{77} << Incarnation::bits_of_lives) + 3};
  memory.voter = true;
  memory.promised = {9, MemberId{1}, 5};
  memory.accepted = {8, MemberId{0}, 4};
  memory.history_view = {8, MemberId{0}, 4};
  memory.installed = {7, MemberId{2}, 3};
  memory.final_view = {6, MemberId{1}, 2};
  memory.unconfirmed = {{3, MemberId{1}, 1}, {4, MemberId{2}, 2}};
  memory.lineage.majority = {8, MemberId{0}, 4};
  memory.lineage.since = Round{11};
  memory.lineage.founded = {1, MemberId{0}, 1};
  return memory;
}

TEST(ViewMemory, it_is_read_as_it_was_written) {
  for (const auto& memory : {some_memory(), ViewMemory{}}) {
    auto read = decode_view_memory(encode_view_memory(memory));
    ASSERT_TRUE(read.ok()) << read.status().text();
    EXPECT_EQ(*read, memory);
  }
}

/// Folders of former versions are there: the bytes are not to change without a new version.
TEST(ViewMemory, the_bytes_are_those_of_format_1) {
  const auto bytes = encode_view_memory(some_memory());
  EXPECT_EQ(bytes.size(), 293U);
  EXPECT_EQ(hash_bytes(bytes), 10700002348476189017U);
}

TEST(ViewMemory, bytes_that_are_none_are_refused) {
  const auto bytes = encode_view_memory(some_memory());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(decode_view_memory(Bytes(bytes).first(size)).status().code(),
              size >= 4 && size < 6 ? ErrorCode::disk_version : ErrorCode::disk_damaged)
        << size;
  auto longer = bytes;
  longer.push_back({});
  EXPECT_EQ(decode_view_memory(longer).status().code(), ErrorCode::disk_damaged);
  std::mt19937_64 random(7);
  for (int run = 0; run < 20'000; ++run) {
    auto broken = bytes;
    for (auto flips = 1 + random() % 4; flips > 0; --flips)
      broken[random() % broken.size()] ^= std::byte(1 + random() % 255);
    auto read = decode_view_memory(broken);
    if (read.ok()) {
      EXPECT_EQ(encode_view_memory(*read), broken);
    }
  }
}

TEST(ViewMemory, a_newer_format_is_named) {
  auto bytes = encode_view_memory(some_memory());
  bytes[4] = std::byte(9);
  const auto status = decode_view_memory(bytes).status();
  EXPECT_EQ(status.code(), ErrorCode::disk_version);
  EXPECT_NE(status.text().find("format 9"), std::string::npos) << status.text();
}

TEST(ViewMemory, the_folder_of_another_node_or_cluster_is_refused) {
  const auto memory = some_memory();
  EXPECT_TRUE(check_view_memory(memory, memory.self, memory.cluster_id).ok());
  const auto node = check_view_memory(memory, MemberId{1}, memory.cluster_id);
  EXPECT_EQ(node.code(), ErrorCode::cluster_incompatible);
  EXPECT_NE(node.text().find("folder of node 2"), std::string::npos) << node.text();
  EXPECT_EQ(check_view_memory(memory, memory.self, 1).code(), ErrorCode::cluster_incompatible);
}

TEST(ViewMemory, each_life_is_higher_and_of_one_memory) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto first = first_life(now);
  const auto same_memory = [](Incarnation one, Incarnation other) {
    return one.value >> Incarnation::bits_of_lives == other.value >> Incarnation::bits_of_lives;
  };
  EXPECT_GT(first_life(now + std::chrono::microseconds(40)), first);
  EXPECT_FALSE(same_memory(first_life(now + std::chrono::microseconds(40)), first));
  ViewMemory memory;
  memory.incarnation = first;
  const auto next = next_life(memory);
  EXPECT_GT(next, first);
  EXPECT_TRUE(same_memory(next, first));
  EXPECT_LT(next, first_life(now + std::chrono::microseconds(40)));
}

}  // namespace
}  // namespace exdb
