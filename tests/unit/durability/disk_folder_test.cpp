// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/disk_folder.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "toy_database.hpp"

namespace exdb {
namespace {

class DiskFolderTest : public ::testing::Test {
 protected:
  std::string parent = (std::filesystem::temp_directory_path() / "exdb-folder-XXXXXX").string();
  std::string path;
  void SetUp() override {
    ASSERT_NE(::mkdtemp(parent.data()), nullptr);
    path = parent + "/grid.exdb";
  }
  void TearDown() override { std::filesystem::remove_all(parent); }
  static unsigned mode_of(const std::string& of) {
    struct stat about {};
    EXPECT_EQ(::lstat(of.c_str(), &about), 0) << of;
    return about.st_mode & 07777U;
  }
};

TEST_F(DiskFolderTest, is_made_for_its_owner_alone_and_so_are_its_files) {
  const auto mask = ::umask(0);
  auto folder = DiskFolder::hold(path);
  ASSERT_TRUE(folder.ok()) << folder.status().text();
  ToyDatabase database;
  ASSERT_TRUE(database.open(**folder, {}).ok());
  ASSERT_TRUE(database.append().ok());
  ASSERT_TRUE(database.sync().ok());
  ASSERT_TRUE(database.checkpoint().ok());
  ::umask(mask);
  EXPECT_EQ(mode_of(path), 0700U);
  const auto names = (*folder)->list().value();
  EXPECT_EQ(names.size(), 4U) << "base, checkpoint, lock, log";
  for (const auto& name : names) EXPECT_EQ(mode_of(path + "/" + name), 0600U) << name;
}

TEST_F(DiskFolderTest, keeps_what_was_written_from_one_life_to_the_next) {
  for (std::size_t life = 0; life < 4; ++life) {
    auto folder = DiskFolder::hold(path + "/");
    ASSERT_TRUE(folder.ok()) << folder.status().text();
    ToyDatabase database;
    const auto status = database.open(**folder, {2000, true});
    ASSERT_TRUE(status.ok()) << status.text();
    ASSERT_EQ(database.rounds().size(), life * 30);
    for (int round = 0; round < 30; ++round) {
      ASSERT_TRUE(database.append().ok());
      ASSERT_TRUE(database.sync().ok());
    }
    if (life == 1) {
      ASSERT_TRUE(database.checkpoint().ok());
    }
    if (life != 2) {
      ASSERT_TRUE(database.log->close().ok());
    }
  }
}

TEST_F(DiskFolderTest, is_held_once) {
  auto first = DiskFolder::hold(path);
  ASSERT_TRUE(first.ok());
  const auto second = DiskFolder::hold(path).status();
  EXPECT_EQ(second.code(), ErrorCode::disk_in_use);
  EXPECT_NE(second.text().find("by process " + std::to_string(::getpid())), std::string::npos)
      << second.text();
  first->reset();
  EXPECT_TRUE(DiskFolder::hold(path).ok());
}

TEST_F(DiskFolderTest, is_free_when_its_holder_lets_go_though_a_child_lives_on) {
  auto first = DiskFolder::hold(path);
  ASSERT_TRUE(first.ok());
  int until[2];
  ASSERT_EQ(::pipe(until), 0);
  const auto child = ::fork();
  if (child == 0) {
    ::close(until[1]);
    char byte;
    (void)!::read(until[0], &byte, 1);
    first->reset();  // what a child lets go of is not its parent's
    _exit(DiskFolder::hold(path).status().code() == ErrorCode::disk_in_use ? 0 : 1);
  }
  ::close(until[0]);
  first->reset();
  auto again = DiskFolder::hold(path);
  EXPECT_TRUE(again.ok()) << again.status().text();
  ::close(until[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(DiskFolderTest, follows_no_link) {
  std::filesystem::create_directory(parent + "/elsewhere");
  std::filesystem::create_directory_symlink(parent + "/elsewhere", path);
  EXPECT_EQ(DiskFolder::hold(path).status().code(), ErrorCode::disk);
  std::filesystem::remove(path);
  {
    auto folder = DiskFolder::hold(path);
    ASSERT_TRUE(folder.ok());
    std::filesystem::create_symlink(parent + "/elsewhere/file", path + "/database");
    EXPECT_EQ((*folder)->open("database").status().code(), ErrorCode::disk);
    EXPECT_EQ((*folder)->create("database").status().code(), ErrorCode::disk);
  }
  std::filesystem::remove(path + "/lock");
  std::filesystem::create_symlink(parent + "/elsewhere/file", path + "/lock");
  EXPECT_EQ(DiskFolder::hold(path).status().code(), ErrorCode::disk);
  EXPECT_FALSE(std::filesystem::exists(parent + "/elsewhere/file"));
}

TEST_F(DiskFolderTest, that_cannot_be_says_why_and_where) {
  const auto status = DiskFolder::hold(parent + "/not/there").status();
  EXPECT_EQ(status.code(), ErrorCode::disk);
  EXPECT_NE(status.text().find(parent + "/not/there"), std::string::npos) << status.text();
  EXPECT_NE(status.text().find("No such file"), std::string::npos) << status.text();
}

TEST_F(DiskFolderTest, can_be_looked_at_while_it_is_held) {
  auto first = DiskFolder::hold(path);
  ASSERT_TRUE(first.ok());
  ToyDatabase database;
  ASSERT_TRUE(database.open(**first, {}).ok());
  auto look = DiskFolder::look(path);
  ASSERT_TRUE(look.ok());
  std::string text;
  EXPECT_EQ(read_base(**look, text).value(), toy_identity);
  EXPECT_EQ((*look)->open(base_name).value()->write(0, as_bytes("x")).code(), ErrorCode::disk);
}

}  // namespace
}  // namespace exdb
