// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What is handed over at opening, and the rule of fresh reads.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

#include "host/host_follower.hpp"

namespace exdb {
namespace {

std::int32_t self() { return static_cast<std::int32_t>(getpid()); }

TEST(HostSegment, is_attached_by_descriptor_and_nonce) {
  const auto made = HostSegment::create(0, 3, {1, 2}).value();
  auto opened = open_descriptor_of(self(), made->descriptor()).value();
  const auto other = HostSegment::attach(opened, made->nonce(), 2).value();
  EXPECT_EQ(other->own_index(), 1u);
  EXPECT_EQ(made->line(1).state, FollowerState::joined);
  EXPECT_EQ(made->line(1).pid, self());
  EXPECT_EQ(made->line(0).state, FollowerState::absent);
  EXPECT_TRUE(other->present(0));
  made->set_present(0, false);
  EXPECT_FALSE(other->present(0));
  made->end(HostPhase::failed, ErrorCode::timeout, std::string(5000, 'x'));
  EXPECT_EQ(other->phase(), HostPhase::failed);
  EXPECT_EQ(other->end_status().code(), ErrorCode::timeout);
  EXPECT_EQ(other->end_status().text(), std::string(HostHeader::text_bytes_max, 'x'));
}

TEST(HostSegment, a_file_that_is_not_the_offered_one_is_refused) {
  const auto made = HostSegment::create(0, 2, {1}).value();
  auto opened = open_descriptor_of(self(), made->descriptor()).value();
  EXPECT_EQ(HostSegment::attach(opened, made->nonce() + 1, 1).status().code(),
            ErrorCode::unsupported);
  EXPECT_EQ(HostSegment::attach(opened, made->nonce(), 7).status().code(), ErrorCode::unsupported)
      << "a node that has no line";
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(HostSegment::attach(null, made->nonce(), 1).ok());
}

TEST(HostSegment, keeps_how_the_newest_transactions_ended) {
  const auto made = HostSegment::create(0, 3, {1, 2}).value();
  auto& ring = made->outcomes();
  EXPECT_FALSE(ring.find({NodeId{1}, 1}));
  constexpr auto all = OutcomeRing::remembered;
  for (std::uint64_t i = 1; i <= all + 10; ++i)
    ring.record({NodeId{1}, i}, i % 2 == 0 ? ErrorCode::ok : ErrorCode::conflict);
  EXPECT_EQ(ring.find({NodeId{1}, all + 10}), ErrorCode::ok);
  EXPECT_EQ(ring.find({NodeId{1}, 13}), ErrorCode::conflict);
  EXPECT_FALSE(ring.find({NodeId{1}, 10})) << "written over";
  EXPECT_FALSE(ring.find({NodeId{2}, 13})) << "another origin's";
  EXPECT_FALSE(ring.find({NodeId{1}, all + 11})) << "never came";
}

TEST(HostSegment, a_process_that_is_not_there_is_named_with_the_cause) {
  const auto opened = open_descriptor_of(0x3ffffff, 5);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.status().text().find("PID namespace"), std::string::npos);
}

struct FreshReads : ::testing::Test {
  std::unique_ptr<HostSegment> segment = HostSegment::create(0, 2, {1}).value();
  const std::atomic<bool> wanted{true};

  std::unique_ptr<HostFollower> follower(bool rule) {
    auto opened = open_descriptor_of(self(), segment->descriptor()).value();
    HostFollower::Options options;
    options.fresh_rule = rule;
    return std::make_unique<HostFollower>(
        HostSegment::attach(opened, segment->nonce(), 1).value(),
        HostMap{1, {0, 0}, {0}, std::vector<ClusterNodeParams>(2)}, self(), std::move(options));
  }
  /// Whether a fresh read that begins when a round is posted and not applied comes back too early.
  bool too_early(bool rule) {
    const auto made = follower(rule);
    auto& header = segment->header();
    header.posted = 5;
    header.applied = 4;
    std::atomic<bool> is_applied{false};
    auto reading = std::async(std::launch::async, [&] {
      EXPECT_TRUE(made->wait_fresh(wanted).ok());
      return !is_applied.load();
    });
    // It sleeps, or has come back.
    while (header.news.sleepers.load() == 0 &&
           reading.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    }
    is_applied = true;
    header.applied = 5;
    header.news.wake();
    return reading.get();
  }
};

TEST_F(FreshReads, wait_for_the_round_that_was_posted_before) { EXPECT_FALSE(too_early(true)); }

TEST_F(FreshReads, without_the_rule_the_test_would_notice) { EXPECT_TRUE(too_early(false)); }

TEST_F(FreshReads, of_an_idle_cluster_wait_for_nothing) {
  const auto made = follower(true);
  segment->header().posted = segment->header().applied = 9;
  EXPECT_TRUE(made->wait_fresh(wanted).ok());
  EXPECT_EQ(segment->header().news.word, 0u);
}

TEST_F(FreshReads, end_when_nobody_wants_them_any_more) {
  const auto made = follower(true);
  segment->header().posted = 1;
  const std::atomic<bool> closed{false};
  EXPECT_EQ(made->wait_fresh(closed).code(), ErrorCode::cluster_stopped);
}

}  // namespace
}  // namespace exdb
