// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Files of format 2, as they were written when it was made: a later exdb reads them, and this one
// writes the same bytes. EXDB_WRITE_GOLDEN=1 writes them again, for a format with a new number.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "toy_member.hpp"

namespace exdb {
namespace {

const std::string golden_folder = EXDB_GOLDEN_FOLDER;

/// All kinds of records, a checkpoint, a state that came, rounds that are not final, closed.
ToyState live(Folder& folder) {
  ToyMember member;
  const auto end = [&] { EXPECT_TRUE(member.wait(member.history->newest()).ok()); };
  EXPECT_TRUE(member.open(folder).ok());
  member.remember("the first life");
  end();
  for (const auto* payload : {"a", "b", "c"}) {
    EXPECT_TRUE(member.append(payload).ok());
    end();
  }
  member.apply(2);
  EXPECT_TRUE(member.checkpoint().ok());
  EXPECT_TRUE(member.take({"a", "b", "x", "y"}).ok());
  member.remember("a state came");
  end();
  for (const auto* payload : {"d", "e", "f"}) {
    EXPECT_TRUE(member.append(payload).ok());
    end();
  }
  member.apply(1);
  EXPECT_TRUE(member.back_to(5).ok());
  EXPECT_TRUE(member.append("g").ok());
  EXPECT_TRUE(member.append("h").ok());
  member.remember("another view");
  end();
  EXPECT_TRUE(member.history->close().ok());
  return member.state;
}

std::string golden(const std::string& name) {
  std::ifstream in(golden_folder + "/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(StepsGolden, the_files_of_format_2_are_written_as_ever) {
  BreakableFolder folder;
  (void)live(folder);
  const auto names = folder.names();
  EXPECT_EQ(names.size(), 4U) << "base, checkpoint, two of the log";
  for (const auto& name : names) {
    const std::string now(as_text(folder.content(name)));
    if (std::getenv("EXDB_WRITE_GOLDEN") != nullptr) {
      std::filesystem::create_directories(golden_folder);
      std::ofstream(golden_folder + "/" + name, std::ios::binary) << now;
    }
    EXPECT_TRUE(golden(name) == now) << name;
  }
}

TEST(StepsGolden, the_files_of_format_2_are_read) {
  BreakableFolder folder, written;
  const auto state = live(written);
  for (const auto& name : written.names()) {
    const auto text = golden(name);
    const auto bytes = as_bytes(text);
    folder.put(name, {bytes.begin(), bytes.end()});
  }
  ToyMember member;
  const auto status = member.open(folder);
  ASSERT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(member.state, state);
  EXPECT_EQ(member.applied(), (std::vector<std::string>{"a", "b", "x", "y", "d"}));
  EXPECT_EQ(member.state.memory, "another view");
  EXPECT_EQ(member.recovery.from.round, Round{4});
  EXPECT_TRUE(member.recovery.log.end.closed);
}

}  // namespace
}  // namespace exdb
