// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/disk_folder.hpp"

#include <fcntl.h>
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

/// Up to where blocks of a file were written, be it zeros; 0 where the file system does not say.
std::uint64_t written_blocks(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto hole = ::lseek(file, 0, SEEK_HOLE), end = ::lseek(file, 0, SEEK_END);
  ::close(file);
  return hole < 0 || hole == end ? 0 : std::uint64_t(hole);
}

TEST_F(DiskFolderTest, a_sync_of_a_preallocated_file_writes_zeros_ahead_and_nothing_else) {
  constexpr std::uint64_t all = std::uint64_t{3} << 20;
  auto folder = DiskFolder::hold(path);
  ASSERT_TRUE(folder.ok()) << folder.status().text();
  auto file = std::move((*folder)->create("log").value());
  ASSERT_TRUE(file->preallocate(all).ok());
  std::vector<std::byte> wanted(all), bytes(5000, std::byte{7});
  std::uint64_t at = 0;
  const auto append = [&] {
    ASSERT_TRUE(file->write(at, bytes).ok());
    std::copy(bytes.begin(), bytes.end(), wanted.begin() + std::ptrdiff_t(at));
    at += bytes.size();
    ASSERT_TRUE(file->sync().ok());
    ASSERT_EQ(file->size().value(), all);
  };
  append();
  if (const auto upto = written_blocks(path + "/log"); upto != 0) {
    EXPECT_GE(upto, at + 60'000);
    for (int i = 0; i < 10; ++i) append();
    EXPECT_EQ(written_blocks(path + "/log"), upto) << "one sync of many";
  }
  bytes.assign(300'000, std::byte{8});
  while (at + bytes.size() <= all) append();
  EXPECT_EQ(read_all(*file, all).value(), wanted);
  ASSERT_TRUE(file->truncate(at).ok());
  ASSERT_TRUE(file->sync().ok());
  EXPECT_EQ(file->size().value(), at);
  ASSERT_TRUE(file->write(100, bytes).ok()) << "once more, at its beginning";
  ASSERT_TRUE(file->preallocate(all).ok());
  ASSERT_TRUE(file->sync().ok());
  wanted.resize(at);
  std::copy(bytes.begin(), bytes.end(), wanted.begin() + 100);
  wanted.resize(all);
  EXPECT_EQ(read_all(*file, all).value(), wanted);
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
