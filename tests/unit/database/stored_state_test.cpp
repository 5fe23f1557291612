// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A state of another node on its way to a replica and to the folder.
#include "database/stored_state.hpp"

#include "gated_folder.hpp"
#include "restore_fixture.hpp"

namespace exdb {
namespace {

constexpr DatabaseIdentity identity{7, 8, disk_format_views};

/// Takes anything, and counts.
struct CountingSink final : StateSink {
  int begun = 0, chunks = 0, finished = 0, dropped = 0;
  bool is_ready = true;
  Status refuses;
  void begin(bool /*parted*/) override { ++begun; }
  Status add(Bytes /*chunk*/) override {
    ++chunks;
    return refuses;
  }
  Status finish(RoundHistory::Chain /*upto*/) override {
    ++finished;
    return {};
  }
  Result<bool> ready() override { return is_ready; }
  void drop() override { ++dropped; }
};

class StoredStateTest : public ::testing::Test {
 protected:
  using Chunks = std::vector<std::vector<std::byte>>;

  /// The state after round 5, in several chunks.
  static const Chunks& chunks() {
    static const Chunks made = [] {
      RoundsOfTest rounds;
      auto& replica = rounds.at(5);
      auto writer = SnapshotWriter::begin(replica, rounds.chain(5), {2, 1000}).value();
      Chunks all;
      for (std::vector<std::byte> chunk; writer.next(chunk);) all.push_back(chunk);
      return all;
    }();
    return made;
  }
  static RoundHistory::Chain upto() {
    RoundsOfTest rounds;
    rounds.at(5);
    return rounds.chain(5);
  }
  /// Gives all of it, and waits until it is ready, or what fails.
  Result<bool> take(StateSink& to) const {
    to.begin(false);
    for (const auto& chunk : chunks())
      if (auto status = to.add(chunk); !status) return status;
    if (auto status = to.finish(at_); !status) return status;
    while (true) {
      auto ready = to.ready();
      if (!ready || *ready) return ready;
      std::this_thread::yield();
    }
  }
  /// The state that has arrived in a folder, if there is one, is whole.
  bool has_arrived(Folder& folder) const {
    auto read =
        read_checkpoint(folder, arrived_name(at_.round), identity, [](Bytes) { return Status(); });
    return read.ok() && read->head.at == at_;
  }

  const RoundHistory::Chain at_ = upto();
  CountingSink sink_;
};

/// X1: whatever step the machine goes down at, and whatever a device makes of it.
TEST_F(StoredStateTest, is_ready_only_when_the_device_has_it_whole) {
  ASSERT_GE(chunks().size(), 3U);
  bool done = false;
  for (std::uint64_t at = 1; !done; ++at) {
    BreakableFolder folder;
    folder.put("checkpoint-before", {std::byte{1}});
    folder.crash_at = at;
    CountingSink sink;
    StoredState stored(sink, folder, identity, [] { return Marks{}; });
    const auto ready = take(stored);
    done = ready.ok();
    for (unsigned way = 0; way < 4; ++way) {
      const auto how =
          way == 0 ? BreakableFolder::Survives::nothing : BreakableFolder::Survives::some;
      const auto after = folder.after_crash(how, unsigned(at) * 4 + way);
      if (done) {
        EXPECT_TRUE(has_arrived(*after)) << at;
      }
      // What has the name is whole, and what was there is left.
      if (after->has(arrived_name(at_.round))) {
        EXPECT_TRUE(has_arrived(*after)) << at;
      }
      EXPECT_TRUE(after->has("checkpoint-before"));
    }
  }
}

/// X1: of both, the file and the replica.
TEST_F(StoredStateTest, is_not_ready_before_its_replica_is) {
  BreakableFolder folder;
  StoredState stored(sink_, folder, identity, [] { return Marks{}; });
  sink_.is_ready = false;
  stored.begin(false);
  for (const auto& chunk : chunks()) ASSERT_TRUE(stored.add(chunk).ok());
  EXPECT_FALSE(stored.ready().value());
  ASSERT_TRUE(stored.finish(at_).ok());
  while (!has_arrived(folder)) std::this_thread::yield();
  EXPECT_FALSE(happens_unasked([&] { return stored.ready().value(); }));
  sink_.is_ready = true;
  while (!stored.ready().value()) std::this_thread::yield();
  EXPECT_EQ(sink_.chunks, int(chunks().size()));
}

/// Until the last step is on the device.
TEST_F(StoredStateTest, is_not_ready_before_its_file_is) {
  GatedFolder folder;
  StoredState stored(sink_, folder, identity, [] { return Marks{}; });
  folder.gate.set(false);
  stored.begin(false);
  for (const auto& chunk : chunks()) ASSERT_TRUE(stored.add(chunk).ok());
  ASSERT_TRUE(stored.finish(at_).ok());
  folder.gate.wait_for_somebody();
  EXPECT_FALSE(happens_unasked([&] { return stored.ready().value(); }));
  folder.gate.set(true);
  while (!stored.ready().value()) std::this_thread::yield();
  EXPECT_TRUE(has_arrived(*folder.inner.after_crash(BreakableFolder::Survives::nothing)));
}

TEST_F(StoredStateTest, says_what_fails_and_takes_the_next_one) {
  std::uint64_t steps = 0;
  {
    BreakableFolder folder;
    StoredState stored(sink_, folder, identity, [] { return Marks{}; });
    ASSERT_TRUE(take(stored).ok());
    steps = folder.steps;
  }
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.fail_at = at;
    folder.fail_code = ErrorCode::disk_full;
    StoredState stored(sink_, folder, identity, [] { return Marks{}; });
    EXPECT_EQ(take(stored).status().code(), ErrorCode::disk_full) << at;
    EXPECT_EQ(stored.ready().status().code(), ErrorCode::disk_full);
    stored.drop();
    const auto again = take(stored);
    EXPECT_TRUE(again.ok()) << at << ": " << again.status().text();
    EXPECT_EQ(folder.names(), std::vector<std::string>{arrived_name(at_.round)});
  }
}

TEST_F(StoredStateTest, what_the_replica_refuses_comes_into_no_file) {
  BreakableFolder folder;
  StoredState stored(sink_, folder, identity, [] { return Marks{}; });
  sink_.refuses = {ErrorCode::cluster_protocol, "another schema"};
  stored.begin(false);
  EXPECT_EQ(stored.add(chunks()[0]).code(), ErrorCode::cluster_protocol);
  EXPECT_EQ(folder.steps, 0U);
}

/// X2: who gives waits in add().
TEST_F(StoredStateTest, what_waits_to_be_written_is_bounded) {
  GatedFolder folder;
  folder.creations.set(false);
  StoredState stored(sink_, folder, identity, [] { return Marks{}; });
  stored.begin(false);
  std::atomic<int> added{0};
  std::thread giver([&] {
    EXPECT_TRUE(stored.add(chunks()[0]).ok());
    const std::vector<std::byte> large(std::size_t{33} << 20);
    for (; added < 2; ++added) EXPECT_TRUE(stored.add(large).ok());
  });
  folder.creations.wait_for_somebody();
  EXPECT_FALSE(happens_unasked([&] { return added == 2; }));
  EXPECT_EQ(sink_.dropped, 0);
  folder.discards = true;
  folder.creations.set(true);
  giver.join();
}

/// When the state in use is another again, the folder is the member's alone.
TEST_F(StoredStateTest, leaves_the_folder_alone_when_it_is_not_wanted_any_more) {
  for (const bool finished : {false, true}) {
    GatedFolder folder;
    folder.gate.set(false);
    StoredState stored(sink_, folder, identity, [] { return Marks{}; });
    stored.begin(false);
    for (const auto& chunk : chunks()) ASSERT_TRUE(stored.add(chunk).ok());
    if (finished) {
      ASSERT_TRUE(stored.finish(at_).ok());
      folder.gate.wait_for_somebody();
    }
    std::thread opener([&] {
      (void)happens_unasked([] { return false; });
      folder.gate.set(true);
    });
    stored.drop();
    const auto steps = folder.inner.steps;
    opener.join();
    EXPECT_FALSE(happens_unasked([&] { return folder.inner.steps != steps; }));
    EXPECT_FALSE(stored.ready().value());
  }
}

}  // namespace
}  // namespace exdb
