// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Files that are not as they were written: what is cut, what is refused, and what the refusal names.
#include "toy_database.hpp"

namespace exdb {
namespace {

const auto log_name = file_name(FileKind::log, Round{1});

class Damage : public ::testing::Test {
 protected:
  BreakableFolder folder;
  /// `rounds` more, an fsync each.
  void live(int rounds, bool close, RoundLog::Options options = {4096, true}) {
    ToyDatabase database;
    ASSERT_TRUE(database.open(folder, options).ok());
    for (; rounds > 0; --rounds) {
      ASSERT_TRUE(database.append().ok());
      ASSERT_TRUE(database.sync().ok());
    }
    if (close) {
      ASSERT_TRUE(database.log->close().ok());
    }
  }
  Status open(ToyDatabase& database) { return database.open(folder, {}); }
  Status open() {
    ToyDatabase database;
    return open(database);
  }
  void edit(const std::string& name, const std::function<void(BreakableFolder::Content&)>& change) {
    auto content = folder.content(name);
    change(content);
    folder.put(name, std::move(content));
  }
  /// Offset behind the records.
  std::uint64_t end_of_log() {
    ToyDatabase database;
    EXPECT_TRUE(open(database).ok());
    return database.recovery.log.end.offset;
  }
  static std::string at(const std::string& name, std::uint64_t offset) {
    return "'/disk/" + name + "' is damaged at offset " + std::to_string(offset);
  }
  /// Where the record of a round begins.
  std::uint64_t offset_of(int round) {
    std::uint64_t offset = head_bytes;
    const auto& content = folder.content(log_name);
    for (; round > 1; --round) {
      const auto read = decode_record(content, offset, toy_identity.database);
      EXPECT_EQ(read.found, ReadRecord::Found::record) << read.why;
      offset += read.bytes;
    }
    return offset;
  }
};

TEST_F(Damage, of_every_byte_of_a_closed_log_is_found_and_named) {
  live(4, true);
  const auto content = folder.content(log_name);
  const auto closed = offset_of(5);
  for (std::size_t byte = 0; byte < content.size(); ++byte) {
    folder.flip(log_name, byte);
    ToyDatabase database;
    const auto status = open(database);
    // Of the word that it is closed nothing depends: it is as if the process had been killed.
    if (byte >= closed) {
      ASSERT_TRUE(status.ok()) << byte << ": " << status.text();
      ASSERT_EQ(database.rounds().size(), 4U);
      ASSERT_TRUE(database.recovery.log.torn.has_value());
    } else if (byte >= 8 && byte < 12) {
      ASSERT_EQ(status.code(), ErrorCode::disk_version);
    } else {
      ASSERT_EQ(status.code(), ErrorCode::disk_damaged) << byte;
      std::uint64_t record = 0;
      for (int round = 1; round <= 4; ++round) {
        folder.put(log_name, content);
        if (byte >= offset_of(round)) record = offset_of(round);
      }
      if (record != 0) {
        ASSERT_NE(status.text().find(at(log_name, record)), std::string::npos) << status.text();
      }
    }
    folder.put(log_name, content);
  }
}

TEST_F(Damage, in_the_midst_of_a_log_that_was_not_closed_is_no_torn_end) {
  live(6, false);
  const auto third = offset_of(3);
  folder.flip(log_name, third + record_head_bytes + 4);
  const auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find(at(log_name, third)), std::string::npos) << status.text();
  EXPECT_NE(status.text().find("records behind it are whole"), std::string::npos) << status.text();
}

TEST_F(Damage, zeros_in_place_of_a_round_are_no_end) {
  live(6, false);
  const auto third = offset_of(3), fourth = offset_of(4);
  edit(log_name, [&](auto& content) {
    std::fill(content.begin() + std::ptrdiff_t(third), content.begin() + std::ptrdiff_t(fourth),
              std::byte{0});
  });
  const auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find(at(log_name, third)), std::string::npos) << status.text();
}

/// R2: the next file proves that all of this one was safe.
TEST_F(Damage, at_the_end_of_a_file_that_is_not_the_last_is_no_torn_end) {
  live(20, false, {700, true});
  const auto second = round_of_name(FileKind::log, folder.names()[2]).value();
  ASSERT_EQ(folder.names()[2], file_name(FileKind::log, second));
  const auto last = offset_of(int(second.value) - 1);
  folder.flip(log_name, last + record_head_bytes);
  const auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find(at(log_name, last)), std::string::npos) << status.text();
}

/// R3: whole by itself, and of another history.
TEST_F(Damage, a_round_that_does_not_go_on_from_the_one_before_is_refused) {
  live(3, false);
  LogRecord fork;
  fork.offset = fork.synced = end_of_log();
  const auto round = ToyDatabase::round_of(4, "another");
  fork.chain = {Round{4}, chained(1234, round)};
  std::vector<std::byte> bytes;
  encode_record(fork, round, toy_identity.database, bytes);
  edit(log_name, [&](BreakableFolder::Content& content) {
    std::copy(bytes.begin(), bytes.end(), content.begin() + std::ptrdiff_t(fork.offset));
  });
  const auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find(at(log_name, fork.offset) + ": round 4 does not go on from round 3"),
            std::string::npos)
      << status.text();
}

TEST_F(Damage, a_torn_end_is_cut_wherever_it_is_torn_and_told) {
  live(3, false);
  const auto whole = folder.content(log_name);
  const auto third = offset_of(3), end = end_of_log();
  for (auto cut = third + 1; cut < end; ++cut) {
    edit(log_name, [&](auto& content) {
      content = whole;
      std::fill(content.begin() + std::ptrdiff_t(cut), content.end(), std::byte{0});
    });
    // A head that is there but for zeros at its end, or zeros behind a payload, is no less whole.
    if (std::equal(whole.begin(), whole.end(), folder.content(log_name).begin())) continue;
    ToyDatabase database;
    ASSERT_TRUE(open(database).ok());
    ASSERT_EQ(database.rounds().size(), 2U) << cut;
    const auto& torn = database.recovery.log.torn;
    ASSERT_TRUE(torn.has_value()) << cut;
    EXPECT_EQ(torn->path, "/disk/" + log_name);
    EXPECT_EQ(torn->offset, third);
    EXPECT_LE(torn->bytes, cut - third);
  }
}

TEST_F(Damage, what_was_cut_does_not_come_back_behind_what_is_written_in_its_place) {
  live(3, false);
  const auto third = offset_of(3);
  // A group of two of which the first is torn and the second is whole.
  ToyDatabase database;
  ASSERT_TRUE(open(database).ok());
  ASSERT_TRUE(database.append().ok());
  ASSERT_TRUE(database.append().ok());
  ASSERT_TRUE(database.sync().ok());
  (void)third;
  folder.flip(log_name, offset_of(4) + record_head_bytes + 1);
  ToyDatabase again;
  ASSERT_TRUE(open(again).ok());
  EXPECT_EQ(again.rounds().size(), 3U);
  ASSERT_TRUE(again.recovery.log.torn.has_value());
  ASSERT_TRUE(again.append().ok());
  ASSERT_TRUE(again.sync().ok());
  ToyDatabase last;
  ASSERT_TRUE(open(last).ok());
  EXPECT_EQ(last.rounds().size(), 4U) << "the fifth was not acknowledged, and was cut";
}

TEST_F(Damage, a_file_of_the_log_that_is_missing_is_found) {
  live(12, true, {700, true});
  auto names = folder.names();
  std::erase_if(names, [](const auto& name) { return !round_of_name(FileKind::log, name); });
  ASSERT_GE(names.size(), 3U);
  const auto middle = names[1], after = names[2];
  const auto content = folder.content(middle);
  ASSERT_TRUE(folder.remove(middle).ok());
  auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find(at(after, 0)), std::string::npos) << status.text();
  folder.put(middle, content);
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(folder.remove(names[0]).ok());
  status = open();
  EXPECT_NE(status.text().find(at(middle, 0)), std::string::npos) << status.text();
}

TEST_F(Damage, rows_that_hold_a_log_are_not_taken_for_one) {
  live(2, false);
  const auto content = folder.content(log_name);
  const auto end = end_of_log();
  const std::string stolen(reinterpret_cast<const char*>(content.data()) + head_bytes,
                           end - head_bytes);
  LogRecord record;
  record.offset = record.synced = end;
  record.chain.round = Round{3};
  std::vector<std::byte> bytes;
  encode_record(record, ToyDatabase::round_of(3, stolen + stolen), toy_identity.database, bytes);
  bytes[record_head_bytes + 3] ^= std::byte{1};  // torn, so all of it is searched
  edit(log_name,
       [&](auto& to) { std::copy(bytes.begin(), bytes.end(), to.begin() + std::ptrdiff_t(end)); });
  ToyDatabase database;
  ASSERT_TRUE(open(database).ok());
  EXPECT_EQ(database.rounds().size(), 2U);
}

TEST_F(Damage, a_newer_format_is_refused_with_both_versions) {
  live(2, true);
  {
    ToyDatabase database;
    ASSERT_TRUE(open(database).ok());
    ASSERT_TRUE(database.checkpoint().ok());
  }
  for (const auto& name : folder.names()) {
    const auto content = folder.content(name);
    edit(name, [](auto& to) { to[8] = std::byte{7}; });
    const auto status = open();
    EXPECT_EQ(status.code(), ErrorCode::disk_version) << name;
    EXPECT_NE(status.text().find("'/disk/" + name + "' has format 7, and this exdb reads up to 2"),
              std::string::npos)
        << status.text();
    folder.put(name, content);
  }
  EXPECT_TRUE(open().ok());
}

TEST_F(Damage, files_of_another_database_are_refused) {
  live(2, true);
  const auto content = folder.content(log_name);
  const auto checkpoint = file_name(FileKind::checkpoint, Round{2});
  edit(log_name, [&](auto& to) {
    to.clear();
    auto other = toy_identity;
    ++other.database;
    encode_head({FileKind::log, other, {}, {}, 0}, to);
  });
  EXPECT_NE(open().text().find("is of another database"), std::string::npos);
  folder.put(log_name, content);
  ASSERT_TRUE(folder.remove(base_name).ok());
  const auto status = open();
  EXPECT_EQ(status.code(), ErrorCode::disk_damaged);
  EXPECT_NE(status.text().find("it is missing"), std::string::npos) << status.text();
}

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
