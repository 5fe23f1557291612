// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_history.hpp"

#include <gtest/gtest.h>

#include "breakable_folder.hpp"
#include "durability/log_reader.hpp"

namespace exdb {
namespace {

constexpr DatabaseIdentity identity{7, 8};

/// Lets a sync of a file go on only when it is told to.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = true;
  int waiting = 0;

  void pass() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
    --waiting;
  }
  void set(bool to) {
    const std::lock_guard lock(mutex);
    open = to;
    changed.notify_all();
  }
  void wait_for_somebody() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return waiting != 0; });
  }
};

class GatedFile final : public File {
 public:
  GatedFile(std::unique_ptr<File> file, Gate& gate) : file_(std::move(file)), gate_(gate) {}
  Status write(std::uint64_t offset, Bytes bytes) override { return file_->write(offset, bytes); }
  Status sync() override {
    gate_.pass();
    return file_->sync();
  }
  Status preallocate(std::uint64_t bytes) override { return file_->preallocate(bytes); }
  Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
    return file_->read(offset, into);
  }
  Result<std::uint64_t> size() override { return file_->size(); }
  void forget_cached() override { file_->forget_cached(); }

 private:
  const std::unique_ptr<File> file_;
  Gate& gate_;
};

class GatedFolder final : public Folder {
 public:
  BreakableFolder inner;
  Gate gate;
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    return gated(inner.create(name));
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    return gated(inner.open(name));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return inner.rename(from, to);
  }
  Status remove(const std::string& name) override { return inner.remove(name); }
  Status sync() override { return inner.sync(); }
  Result<std::vector<std::string>> list() override { return inner.list(); }
  [[nodiscard]] std::string path_of(const std::string& name) const override {
    return inner.path_of(name);
  }

 private:
  Result<std::unique_ptr<File>> gated(Result<std::unique_ptr<File>> file) {
    if (!file) return file;
    return std::unique_ptr<File>(std::make_unique<GatedFile>(std::move(*file), gate));
  }
};

struct HistoryOnDisk : testing::Test {
  GatedFolder folder;
  std::mutex mutex;
  std::condition_variable changed;
  int told = 0;
  std::unique_ptr<DurableHistory> history = made(true);

  std::unique_ptr<DurableHistory> made(bool waits) {
    auto history_made = std::make_unique<DurableHistory>(
        std::make_unique<RoundLog>(folder, identity, RoundLog::Options{1 << 16, waits}, LogEnd{}),
        [] {
          return Marks{5, 6};
        },
        waits, std::chrono::nanoseconds(0));
    history_made->on_change([this] {
      const std::lock_guard lock(mutex);
      ++told;
      changed.notify_all();
    });
    return history_made;
  }
  void append(std::size_t bytes) {
    CompletedRound round;
    round.round = history->chain().round.next();
    round.batches.resize(1);
    round.batches[0].payload.resize(bytes);
    ASSERT_TRUE(history->append(std::move(round)).ok());
  }
  Round final() { return history->newest_final(*history); }
  /// As a driver: looks again whenever it is told to.
  void wait_until_final(Round round) {
    std::unique_lock lock(mutex);
    while (final() < round && history->failure().ok()) {
      const int seen = told;
      changed.wait(lock, [&] { return told != seen || final() >= round; });
    }
  }
  std::vector<std::uint64_t> on_device() {
    std::vector<std::uint64_t> rounds;
    auto found = folder.inner.after_crash(BreakableFolder::Survives::nothing);
    auto read = read_log(*found, identity, {}, {}, [&](const CompletedRound& round) {
      rounds.push_back(round.round.value);
      return Status();
    });
    EXPECT_TRUE(read.ok()) << read.status().text();
    return rounds;
  }
};

/// N1.
TEST_F(HistoryOnDisk, a_round_is_final_when_the_device_has_it_and_those_that_came_meanwhile_share) {
  append(10);
  wait_until_final(Round{1});
  EXPECT_EQ(on_device().size(), 1u);
  folder.gate.set(false);
  append(10);
  folder.gate.wait_for_somebody();
  for (int i = 0; i < 5; ++i) append(10);
  EXPECT_EQ(final(), Round{1});
  const auto before = history->groups();
  folder.gate.set(true);
  wait_until_final(Round{7});
  EXPECT_EQ(history->groups(), before + 2);
  EXPECT_EQ(on_device(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7}));
}

/// N1, N2: pings of a cluster that is idle cost no fsync, and are in the log all the same.
TEST_F(HistoryOnDisk, an_empty_round_waits_for_those_before_it_and_for_no_sync_of_its_own) {
  append(10);
  wait_until_final(Round{1});
  const auto before = history->groups();
  append(0);
  append(0);
  EXPECT_EQ(final(), Round{3});
  history->release(Round{3});
  EXPECT_EQ(history->groups(), before);
  EXPECT_EQ(history->state().chain, history->chain());
  folder.gate.set(false);
  append(10);
  append(0);
  EXPECT_EQ(final(), Round{3});
  folder.gate.set(true);
  wait_until_final(Round{5});
  history->release(Round{5});
  EXPECT_TRUE(history->in_turn([](RoundLog& log) { return log.settle(); }).ok());
  EXPECT_EQ(on_device(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
}

/// N3.
TEST_F(HistoryOnDisk, after_a_sync_that_failed_nothing_more_is_final) {
  append(10);
  wait_until_final(Round{1});
  folder.inner.fail_at = folder.inner.steps + 2;  // the write, and then the sync
  append(10);
  wait_until_final(Round{2});
  EXPECT_EQ(final(), Round{1});
  EXPECT_EQ(history->failure().code(), ErrorCode::disk);
  CompletedRound round;
  round.round = Round{3};
  EXPECT_FALSE(history->append(std::move(round)).ok());
  EXPECT_EQ(final(), Round{1});
  EXPECT_FALSE(history->close().ok());
}

TEST_F(HistoryOnDisk, without_waiting_for_the_device_who_drives_writes) {
  history = made(false);
  append(10);
  EXPECT_EQ(final(), Round{1});
  append(10);
  append(10);
  EXPECT_EQ(final(), Round{3});
  EXPECT_TRUE(history->close().ok());
  EXPECT_EQ(on_device().size(), 3u);
}

}  // namespace
}  // namespace exdb
