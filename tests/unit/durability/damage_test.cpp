// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Files that are not as they were written: what is cut, what is refused, and what the refusal names.
#include "damage_fixture.hpp"

namespace exdb {
namespace {

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

/// V3 of recovery.hpp.
TEST_F(Damage, of_a_folder_that_is_opened_nothing_goes_but_what_was_never_finished) {
  live(6, true);
  const auto half = unfinished(file_name(FileKind::checkpoint, Round{6}));
  const auto begun = unfinished(file_name(FileKind::log, Round{7}));
  const BreakableFolder::Content some(100, std::byte{7});
  for (const auto& name : {half, begun, unfinished("notes"), std::string("checkpoint-x")})
    folder.put(name, some);
  std::map<std::string, BreakableFolder::Content> wanted, found;
  for (const auto& name : folder.names())
    if (name != half && name != begun) wanted[name] = folder.content(name);
  ASSERT_TRUE(open().ok());
  for (const auto& name : folder.names()) found[name] = folder.content(name);
  EXPECT_EQ(found, wanted);
}

}  // namespace
}  // namespace exdb
