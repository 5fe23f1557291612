// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "secret.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "secret_file.hpp"
#include "temporary_folder.hpp"

namespace exdb::tcp {
namespace {

const std::string digits = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

std::string plain_bytes() {
  std::string bytes;
  for (char c = 0; c < 32; ++c) bytes += c;
  return bytes;
}

std::vector<std::byte> expected() {
  std::vector<std::byte> bytes;
  for (int i = 0; i < 32; ++i) bytes.push_back(std::byte(i));
  return bytes;
}

class Secret : public testing::Test {
 protected:
  /// The text of the refusal; it must name the parameter and the file, and never the content.
  static std::string refusal(const std::string& where, const std::string& content = "") {
    auto secret = read_cluster_secret(where);
    EXPECT_FALSE(secret.ok()) << where;
    const std::string text = secret.status().text();
    EXPECT_EQ(secret.status().code(), ErrorCode::cluster_invalid_parameter);
    EXPECT_EQ(text.rfind("cluster_secret_file: " + where + " ", 0), 0u) << text;
    if (content.size() > 8) {
      EXPECT_EQ(text.find(content.substr(0, 8)), std::string::npos) << text;
    }
    return text;
  }
  static void expect_part(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  TemporaryFolder folder;
};

TEST_F(Secret, IsReadAsBytesOrAsDigitsWithOrWithoutNewline) {
  int number = 0;
  for (const std::string& content : {plain_bytes(), digits, digits + "\n", digits + "\r\n"}) {
    auto secret = read_cluster_secret(folder.write(std::to_string(number++), content));
    ASSERT_TRUE(secret.ok()) << secret.status().text();
    EXPECT_EQ(*secret, expected());
  }
}

TEST_F(Secret, OfOtherContentIsRefusedWithTheWayToMakeOne) {
  std::string not_hex = digits;
  not_hex[63] = 'g';
  int number = 0;
  for (const std::string& content :
       {std::string(), std::string("password"), plain_bytes() + "\n", plain_bytes().substr(1),
        digits.substr(1), digits + "0", digits + "\n\n", not_hex, " " + digits, digits + digits,
        std::string(1 << 16, 'x')}) {
    const auto text = refusal(folder.write(std::to_string(number++), content), content);
    expect_part(text, "openssl rand -hex 32");
  }
}

TEST_F(Secret, OfHalfTheDigitsIsNotTakenFor32Bytes) {
  const auto text = refusal(folder.write("half", digits.substr(0, 32)), digits);
  expect_part(text, "128 bits");
  expect_part(refusal(folder.write("half_line", digits.substr(0, 32) + "\n")), "128 bits");
}

TEST_F(Secret, OfOneByteRepeatedIsRefused) {
  expect_part(refusal(folder.write("zeros", std::string(32, '\0'))), "no secret");
  expect_part(refusal(folder.write("digits", std::string(64, '0'))), "no secret");
}

TEST_F(Secret, FileThatOthersMayTouchIsRefused) {
  for (const mode_t bit : {0040, 0020, 0010, 0004, 0002, 0001}) {
    const auto path = folder.write("open", digits, 0600 | bit);
    expect_part(refusal(path, digits), "chmod 600 " + path);
  }
  ASSERT_TRUE(read_cluster_secret(folder.write("closed", digits, 0600)).ok());
  ASSERT_TRUE(read_cluster_secret(folder.write("read_only", digits, 0400)).ok());
}

TEST_F(Secret, FileOfAnotherUserIsRefused) {
  const auto path = folder.write("theirs", digits);
  if (::chown(path.c_str(), 12345, static_cast<gid_t>(-1)) != 0)
    GTEST_SKIP() << "only root can give files away";
  expect_part(refusal(path, digits), "belongs to user 12345");
}

TEST_F(Secret, LinkFolderPipeAndSocketAreRefusedAtOnce) {
  const auto target = folder.write("target", digits);
  ASSERT_EQ(::symlink(target.c_str(), folder.path("link").c_str()), 0);
  expect_part(refusal(folder.path("link")), "symbolic link");
  ASSERT_EQ(::mkdir(folder.path("folder").c_str(), 0700), 0);
  expect_part(refusal(folder.path("folder")), "not a regular file");
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  expect_part(refusal(folder.path("pipe")), "not a regular file");
  expect_part(refusal("/dev/zero"), "not a regular file");
}

TEST_F(Secret, FileThatIsNotThereSaysWhatToDo) {
  const auto text = refusal(folder.path("nothing"));
  expect_part(text, "No such file");
  expect_part(text, "openssl rand -hex 32");
}

TEST_F(Secret, DescriptorOfAFileIsReadFromItsStartEachTime) {
  const auto path = folder.write("file", digits);
  const int descriptor = ::open(path.c_str(), O_RDONLY);
  ASSERT_GE(descriptor, 0);
  const std::string where = "fd:" + std::to_string(descriptor);
  for (int i = 0; i < 2; ++i) {
    auto secret = read_cluster_secret(where);
    ASSERT_TRUE(secret.ok()) << secret.status().text();
    EXPECT_EQ(*secret, expected());
  }
  // Programs started later do not get it.
  EXPECT_EQ(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ::close(descriptor);
}

TEST_F(Secret, DescriptorOfAPipeIsReadToItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string where = "fd:" + std::to_string(ends[0]);
  for (const char c : digits) ASSERT_EQ(::write(ends[1], &c, 1), 1);
  ::close(ends[1]);
  auto secret = read_cluster_secret(where);
  ASSERT_TRUE(secret.ok()) << secret.status().text();
  EXPECT_EQ(*secret, expected());
  expect_part(refusal(where), "is empty");
  ::close(ends[0]);
}

TEST_F(Secret, DescriptorThatIsNoneIsRefused) {
  for (const char* where : {"fd:", "fd:x", "fd:3x", "fd:-1", "fd: 3", "fd:99999999999999999999"})
    expect_part(refusal(where), "names no descriptor");
  expect_part(refusal("fd:1000000"), "is not open");
}

TEST_F(Secret, WipeLeavesNothing) {
  std::vector<std::byte> bytes = expected();
  wipe(bytes);
  EXPECT_EQ(bytes, std::vector<std::byte>(32));
  wipe({});
}

}  // namespace
}  // namespace exdb::tcp
