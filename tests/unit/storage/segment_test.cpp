// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

namespace exdb {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // shadow memory does not fit an address space limit
#else
constexpr bool sanitized = false;
#endif

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr std::size_t gib = 1024 * mib;

SegmentOptions small(bool shared) {
  return {.shared = shared, .unit_bytes = 256 * kib, .reserve_bytes = 64 * mib};
}

/// Runs `body` in a process of its own, for limits and attachments; true when it ended by itself
/// with true.
bool in_child(const std::function<bool()>& body) {
  const auto pid = fork();
  if (pid == 0) {
    alarm(30);
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool limit(int resource, rlim_t value) {
  rlimit now{};
  getrlimit(static_cast<__rlimit_resource>(resource), &now);
  const rlimit set{value, now.rlim_max};
  return setrlimit(static_cast<__rlimit_resource>(resource), &set) == 0;
}

bool names(const Status& status, const char* word) {
  return status.text().find(word) != std::string::npos;
}

class SegmentKinds : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Segment, SegmentKinds, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "shared" : "private"; });

TEST_P(SegmentKinds, begins_with_one_zeroed_unit) {
  auto segment = Segment::create(small(GetParam())).value();
  EXPECT_EQ(segment->size(), 256 * kib);
  EXPECT_EQ(segment->fd() >= 0, GetParam());
  const auto* bytes = segment->at<unsigned char>(0);
  for (std::size_t at = Segment::header_bytes; at < segment->size(); ++at) ASSERT_EQ(bytes[at], 0);
}

TEST_P(SegmentKinds, grows_in_whole_units_and_keeps_what_is_in_it) {
  auto segment = Segment::create(small(GetParam())).value();
  auto* word = segment->at<std::uint64_t>(1000);
  *word = 42;
  ASSERT_TRUE(segment->grow(1).ok());
  EXPECT_EQ(segment->size(), 512 * kib);
  ASSERT_TRUE(segment->grow(300 * kib).ok());
  EXPECT_EQ(segment->size(), 1024 * kib);
  EXPECT_EQ(segment->at<std::uint64_t>(1000), word);
  EXPECT_EQ(*word, 42u);
  EXPECT_EQ(segment->offset_of(word), 1000u);
  auto* last = segment->at<unsigned char>(segment->size() - 1);
  EXPECT_EQ(*last, 0);
  *last = 1;
}

TEST_P(SegmentKinds, says_so_when_the_reservation_is_full) {
  auto segment = Segment::create(small(GetParam())).value();
  const auto status = segment->grow(64 * mib);
  EXPECT_EQ(status.code(), ErrorCode::no_memory);
  EXPECT_TRUE(names(status, "64 MiB")) << status.text();
  EXPECT_EQ(segment->size(), 256 * kib);
  EXPECT_TRUE(segment->grow(64 * mib - segment->size()).ok());
  EXPECT_FALSE(segment->grow(1).ok());
}

TEST_P(SegmentKinds, rounds_odd_units_up) {
  auto options = small(GetParam());
  options.unit_bytes = 1;
  EXPECT_EQ(Segment::create(options).value()->size(), 64 * kib);
  options.unit_bytes = 65 * kib;
  EXPECT_EQ(Segment::create(options).value()->size(), 128 * kib);
}

TEST_P(SegmentKinds, halves_a_reservation_that_the_system_does_not_grant) {
  if (sanitized) GTEST_SKIP() << "address space limits do not go with sanitizers";
  EXPECT_TRUE(in_child([] {
    limit(RLIMIT_AS, 8 * gib);
    auto made = Segment::create({.shared = GetParam()});
    if (!made) return false;
    auto segment = std::move(made).value();
    return segment->reserved() >= gib && segment->reserved() < 8 * gib && segment->grow(1).ok();
  }));
}

TEST_P(SegmentKinds, fails_clearly_under_a_low_address_space_limit) {
  if (sanitized) GTEST_SKIP() << "address space limits do not go with sanitizers";
  EXPECT_TRUE(in_child([] {
    limit(RLIMIT_AS, 512 * mib);
    const auto made = Segment::create({.shared = GetParam()});
    return !made && made.status().code() == ErrorCode::no_memory &&
           names(made.status(), "RLIMIT_AS") && names(made.status(), "1024 MiB");
  }));
}

TEST(Segment, private_growth_beyond_a_memory_limit_is_a_status) {
  if (sanitized) GTEST_SKIP() << "memory limits do not go with sanitizers";
  EXPECT_TRUE(in_child([] {
    auto segment = Segment::create({.unit_bytes = mib, .reserve_bytes = gib}).value();
    limit(RLIMIT_DATA, 200 * mib);
    const auto status = segment->grow(500 * mib);
    return status.code() == ErrorCode::no_memory && names(status, "db_segment_size") &&
           segment->size() == mib && segment->grow(mib).ok();
  }));
}

TEST(Segment, shared_growth_beyond_a_limit_is_a_status_and_no_signal) {
  EXPECT_TRUE(in_child([] {
    auto segment =
        Segment::create({.shared = true, .unit_bytes = mib, .reserve_bytes = gib}).value();
    limit(RLIMIT_FSIZE, 4 * mib);
    const auto status = segment->grow(10 * mib);
    return status.code() == ErrorCode::no_memory && names(status, "/dev/shm") &&
           names(status, "db_segment_size") && segment->size() == mib && segment->grow(mib).ok() &&
           *segment->at<int>(2 * mib - 4) == 0;
  }));
}

TEST(Segment, another_mapping_sees_bytes_and_growth_at_the_same_offsets) {
  auto writer = Segment::create(small(true)).value();
  auto reader = Segment::attach(writer->fd()).value();
  EXPECT_EQ(reader->reserved(), writer->reserved());
  EXPECT_EQ(reader->size(), writer->size());
  *writer->at<int>(4096) = 7;
  EXPECT_EQ(*reader->at<int>(4096), 7);
  ASSERT_TRUE(writer->grow(10 * mib).ok());
  EXPECT_EQ(reader->size(), writer->size());
  *writer->at<int>(10 * mib) = 8;
  EXPECT_EQ(*reader->at<int>(10 * mib), 8);
}

TEST(Segment, another_process_sees_bytes_and_growth) {
  auto writer = Segment::create(small(true)).value();
  auto* word = writer->at<std::atomic<int>>(4096);
  const int kept = dup(writer->fd());
  const auto pid = fork();
  if (pid == 0) {
    alarm(30);
    writer.reset();  // what it sees must come by attach() alone
    auto reader = Segment::attach(kept).value();
    auto* seen = reader->at<std::atomic<int>>(4096);
    seen->store(1);
    while (seen->load() != 2) usleep(100);
    _exit(*reader->at<int>(20 * mib) == 99 ? 0 : 1);
  }
  for (int tries = 0; word->load() != 1; ++tries) {
    ASSERT_LT(tries, 100000) << "the other process has not attached";
    usleep(100);
  }
  ASSERT_TRUE(writer->grow(20 * mib).ok());
  *writer->at<int>(20 * mib) = 99;
  word->store(2);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  close(kept);
}

TEST(Segment, attach_refuses_what_is_no_segment) {
  EXPECT_EQ(Segment::attach(-1).status().code(), ErrorCode::invalid_handle);
  const int other = memfd_create("other", MFD_CLOEXEC);
  EXPECT_EQ(Segment::attach(other).status().code(), ErrorCode::invalid_handle);
  ASSERT_EQ(ftruncate(other, 1 << 20), 0);
  EXPECT_EQ(Segment::attach(other).status().code(), ErrorCode::invalid_handle);
  close(other);
}

TEST(Segment, shared_memory_has_no_name_is_private_to_the_user_and_cannot_shrink) {
  auto segment = Segment::create(small(true)).value();
  struct stat found {};
  ASSERT_EQ(fstat(segment->fd(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  EXPECT_EQ(found.st_nlink, 0u);
  EXPECT_NE(ftruncate(segment->fd(), 4096), 0);
  EXPECT_NE(fcntl(segment->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

}  // namespace
}  // namespace exdb
