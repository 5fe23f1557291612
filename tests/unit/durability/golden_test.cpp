// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Files of format 1, as they were written when it was made: a later exdb reads them, and this one
// writes the same bytes. EXDB_WRITE_GOLDEN=1 writes them again, for a format with a new number.
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "toy_database.hpp"

namespace exdb {
namespace {

const std::string golden_folder = EXDB_GOLDEN_FOLDER;

/// Seven rounds, the checkpoint of the fourth, closed.
void live(Folder& folder) {
  ToyDatabase database;
  ASSERT_TRUE(database.open(folder, {700, true}).ok());
  for (int round = 1; round <= 7; ++round) {
    ASSERT_TRUE(database.append().ok());
    ASSERT_TRUE(database.sync().ok());
    if (round == 4) {
      ASSERT_TRUE(database.checkpoint().ok());
    }
  }
  ASSERT_TRUE(database.log->close().ok());
}

std::string golden(const std::string& name) {
  std::ifstream in(golden_folder + "/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Golden, the_files_of_format_1_are_written_as_ever) {
  BreakableFolder folder;
  live(folder);
  const auto names = folder.names();
  EXPECT_EQ(names.size(), 4U) << "base, checkpoint, two of the log";
  for (const auto& name : names) {
    const std::string now(as_text(folder.content(name)));
    if (std::getenv("EXDB_WRITE_GOLDEN") != nullptr)
      std::ofstream(golden_folder + "/" + name, std::ios::binary) << now;
    EXPECT_TRUE(golden(name) == now) << name;
  }
}

TEST(Golden, the_files_of_format_1_are_read) {
  BreakableFolder folder;
  BreakableFolder written;
  live(written);
  for (const auto& name : written.names()) {
    const auto text = golden(name);
    const auto bytes = as_bytes(text);
    folder.put(name, {bytes.begin(), bytes.end()});
  }
  ToyDatabase database;
  const auto status = database.open(folder, {});
  ASSERT_TRUE(status.ok()) << status.text();
  ASSERT_EQ(database.rounds().size(), 7U);
  for (std::size_t i = 0; i < 7; ++i)
    EXPECT_EQ(database.rounds()[i], ToyDatabase::payload_of(i + 1));
  EXPECT_EQ(database.recovery.from.round, Round{4});
  EXPECT_EQ(database.recovery.log.end.marks.sequence, 14U);
  EXPECT_TRUE(database.recovery.log.end.closed);
}

}  // namespace
}  // namespace exdb
