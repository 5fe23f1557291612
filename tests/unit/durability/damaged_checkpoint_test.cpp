// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Checkpoints that are not as they were written: which are refused, and which are passed over.
#include "damage_fixture.hpp"

namespace exdb {
namespace {

class DamagedCheckpoint : public Damage {
 protected:
  std::string name = file_name(FileKind::checkpoint, Round{9});
  void SetUp() override {
    ToyDatabase database;
    ASSERT_TRUE(database.open(folder, {700, true}).ok());
    for (int round = 1; round <= 12; ++round) {
      ASSERT_TRUE(database.append().ok());
      ASSERT_TRUE(database.sync().ok());
      if (round == 9) {
        ASSERT_TRUE(database.checkpoint().ok());
      }
    }
    ASSERT_TRUE(database.log->close().ok());
    ASSERT_TRUE(folder.has(name));
    ASSERT_FALSE(folder.has(log_name)) << "the log before the checkpoint is gone";
  }
};

TEST_F(DamagedCheckpoint, is_found_at_every_byte) {
  ASSERT_TRUE(open().ok());
  const auto content = folder.content(name);
  for (std::size_t byte = 0; byte < content.size(); ++byte) {
    folder.flip(name, byte);
    const auto status = open();
    ASSERT_EQ(status.code(),
              byte >= 8 && byte < 12 ? ErrorCode::disk_version : ErrorCode::disk_damaged)
        << byte;
    ASSERT_NE(status.text().find(name), std::string::npos) << status.text();
    folder.put(name, content);
  }
}

TEST_F(DamagedCheckpoint, is_found_when_it_is_cut_anywhere_or_goes_on) {
  const auto content = folder.content(name);
  for (std::size_t bytes = 0; bytes < content.size(); ++bytes) {
    folder.put(name, {content.begin(), content.begin() + std::ptrdiff_t(bytes)});
    ASSERT_EQ(open().code(), ErrorCode::disk_damaged) << bytes;
  }
  auto longer = content;
  longer.resize(longer.size() + 1);
  folder.put(name, longer);
  EXPECT_NE(open().text().find("there are bytes behind its end"), std::string::npos);
}

TEST_F(DamagedCheckpoint, without_its_log_is_not_enough) {
  for (const auto& each : folder.names()) {
    if (round_of_name(FileKind::log, each)) {
      ASSERT_TRUE(folder.remove(each).ok());
    }
  }
  EXPECT_NE(open().text().find("the log is missing"), std::string::npos);
}

/// A crash between the new one's name and the end of the old one leaves both.
TEST_F(DamagedCheckpoint, is_passed_over_for_an_older_one_from_which_the_log_goes_on) {
  BreakableFolder other;
  ToyDatabase database;
  ASSERT_TRUE(database.open(other, {}).ok());
  std::string first;
  BreakableFolder::Content kept, log;
  for (int round = 1; round <= 12; ++round) {
    ASSERT_TRUE(database.append().ok());
    ASSERT_TRUE(database.sync().ok());
    if (round == 4 || round == 9) {
      ASSERT_TRUE(database.checkpoint().ok());
    }
    if (round == 4) kept = other.content(file_name(FileKind::checkpoint, Round{4}));
  }
  other.put(file_name(FileKind::checkpoint, Round{4}), kept);
  other.flip(name, 100);
  ToyDatabase again;
  ASSERT_TRUE(again.open(other, {}).ok());
  EXPECT_EQ(again.rounds().size(), 12U);
  EXPECT_EQ(again.recovery.from.round, Round{4});
  ASSERT_EQ(again.recovery.passed_over.size(), 1U);
  EXPECT_NE(again.recovery.passed_over[0].find(name), std::string::npos);
}

/// V2: nothing is left of the part that could be read.
TEST_F(DamagedCheckpoint, is_passed_over_for_the_whole_log) {
  BreakableFolder other;
  ToyDatabase database, again;
  ASSERT_TRUE(database.open(other, {}).ok());
  for (int round = 1; round <= 12; ++round) {
    ASSERT_TRUE(database.append().ok());
    ASSERT_TRUE(database.sync().ok());
    if (round == 9) {
      ASSERT_TRUE(database.checkpoint().ok());
    }
  }
  other.flip(name, other.content(name).size() * 2 / 3);
  ASSERT_TRUE(again.open(other, {}).ok());
  EXPECT_EQ(again.rounds(), database.rounds());
  EXPECT_EQ(again.recovery.from.round, Round{});
  EXPECT_EQ(again.recovery.passed_over.size(), 1U);
  EXPECT_TRUE(other.has(name)) << "V3";
}

/// V1: what is dropped goes by names.
TEST_F(DamagedCheckpoint, under_the_name_of_another_round_is_refused) {
  folder.put(file_name(FileKind::checkpoint, Round{12}), folder.content(name));
  ASSERT_TRUE(folder.remove(name).ok());
  const auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find("its name is not that of its round"), std::string::npos)
      << status.text();
}

TEST_F(DamagedCheckpoint, of_another_history_is_refused) {
  // The same rounds but for one.
  BreakableFolder other;
  ToyDatabase database;
  ASSERT_TRUE(database.open(other, {}).ok());
  for (int round = 1; round <= 9; ++round)
    ASSERT_TRUE(
        database.log->append(ToyDatabase::round_of(std::uint64_t(round), round == 5 ? "x" : "y"))
            .ok());
  ASSERT_TRUE(database.log->sync().ok());
  struct Nothing final : StateStream {
    bool next(std::vector<std::byte>&) override { return false; }
  } nothing;
  auto at = database.log->chain();
  ++at.hash;
  ASSERT_TRUE(write_checkpoint(other, toy_identity, at, {}, nothing, {}).ok());
  class Any final : public RecoverySink {
    Status begin() override { return {}; }
    Status chunk(Bytes) override { return {}; }
    Status complete(RoundHistory::Chain) override { return {}; }
    Status round(const CompletedRound&) override { return {}; }
  } any;
  const auto status = recover(other, toy_identity, any).status();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find("round 9 is not the one of which there is a checkpoint"),
            std::string::npos)
      << status.text();
}

/// A checkpoint whose bytes do not come back is given no name.
TEST_F(Damage, a_checkpoint_that_reads_otherwise_than_it_was_written_is_not_taken) {
  class Lying final : public Folder {
   public:
    explicit Lying(Folder& below) : below_(below) {}
    Result<std::unique_ptr<File>> create(const std::string& name) override {
      auto file = below_.create(name);
      if (!file) return file.status();
      return std::unique_ptr<File>(std::make_unique<LyingFile>(std::move(*file)));
    }
    Result<std::unique_ptr<File>> open(const std::string& name) override {
      return below_.open(name);
    }
    Status rename(const std::string& from, const std::string& to) override {
      return below_.rename(from, to);
    }
    Status remove(const std::string& name) override { return below_.remove(name); }
    Status sync() override { return below_.sync(); }
    Result<std::vector<std::string>> list() override { return below_.list(); }
    std::string path_of(const std::string& name) const override { return below_.path_of(name); }

   private:
    class LyingFile final : public File {
     public:
      explicit LyingFile(std::unique_ptr<File> below) : below_(std::move(below)) {}
      Status write(std::uint64_t offset, Bytes bytes) override {
        return below_->write(offset, bytes);
      }
      Status sync() override { return below_->sync(); }
      Status preallocate(std::uint64_t bytes) override { return below_->preallocate(bytes); }
      Status truncate(std::uint64_t bytes) override { return below_->truncate(bytes); }
      Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
        auto got = below_->read(offset, into);
        if (got && *got > 40) into[40] ^= std::byte{1};
        return got;
      }
      Result<std::uint64_t> size() override { return below_->size(); }
      void forget_cached() override { below_->forget_cached(); }

     private:
      std::unique_ptr<File> below_;
    };
    Folder& below_;
  } lying(folder);
  live(6, false);
  ToyDatabase database;
  ASSERT_TRUE(database.open(lying, {}).ok());
  EXPECT_EQ(database.checkpoint().code(), ErrorCode::disk_damaged);
  for (const auto& name : folder.names())
    EXPECT_TRUE(name == log_name || name == base_name) << name;
  ToyDatabase again;
  ASSERT_TRUE(open(again).ok());
  EXPECT_EQ(again.rounds().size(), 6U);
}

}  // namespace
}  // namespace exdb
