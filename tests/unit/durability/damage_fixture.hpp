// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A toy database whose files a test changes.
#pragma once
#include "toy_database.hpp"

namespace exdb {

inline const auto log_name = file_name(FileKind::log, Round{1});

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

}  // namespace exdb
