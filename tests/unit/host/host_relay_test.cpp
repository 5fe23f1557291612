// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A follower's transactions through its leader: records that are longer than the ring, many
// threads, answers that are longer than theirs, and what becomes of them when either side goes.
#include <sys/wait.h>

#include <set>
#include <thread>

#include "host_pair.hpp"

namespace exdb {
namespace {

class HostRelayTest : public HostPair {};

TEST_F(HostRelayTest, transactions_travel_with_their_origin_and_are_answered) {
  relay.start();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const auto item = transaction(i, 2 * i);
    ASSERT_TRUE(channel.send(item).ok());
    const auto outcome = channel.wait(*item);
    EXPECT_EQ(outcome.code, ErrorCode::ok);
    EXPECT_EQ(outcome.csn, Csn{i});
  }
  end();
  const auto kept = consumer.kept();
  ASSERT_EQ(kept.size(), 20u);
  for (const auto& each : kept) {
    EXPECT_EQ(each.origin, NodeId{1});
    EXPECT_EQ(each.bytes, std::vector<std::byte>(2 * each.sequence, std::byte(each.sequence)));
  }
}

TEST_F(HostRelayTest, a_record_longer_than_the_ring_comes_whole_and_so_does_a_long_answer) {
  relay.start();
  const auto item = transaction(1, 300'001);
  ASSERT_TRUE(channel.send(item).ok());
  const auto outcome = channel.wait(*item);
  EXPECT_EQ(outcome.code, ErrorCode::conflict);
  EXPECT_EQ(outcome.text, std::string(300'001, 'c'));
  end();
  ASSERT_EQ(consumer.kept().size(), 1u);
  EXPECT_EQ(consumer.kept()[0].bytes.size(), 300'001u);
}

TEST_F(HostRelayTest, many_threads_get_each_their_own_answer) {
  relay.start();
  constexpr std::uint64_t each = 60, threads = 4;
  std::vector<std::thread> running;
  std::atomic<int> wrong{0};
  for (std::uint64_t thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < each; ++i) {
        const auto sequence = 1 + thread * each + i;
        const auto item = transaction(sequence, sequence * 13 % 3000);
        const bool odd = item->bytes.size() % 2 == 1;
        if (!channel.send(item).ok()) ++wrong;
        const auto outcome = channel.wait(*item);
        const auto text = std::string(sequence * 13 % 3000, 'c');
        if (outcome.code != (odd ? ErrorCode::conflict : ErrorCode::ok)) ++wrong;
        if (odd && outcome.text != text) ++wrong;
      }
    });
  }
  for (auto& thread : running) thread.join();
  EXPECT_EQ(wrong, 0);
  end();
  std::set<std::uint64_t> sequences;
  for (const auto& one : consumer.kept()) sequences.insert(one.sequence);
  EXPECT_EQ(sequences.size(), each * threads);
}

TEST_F(HostRelayTest, what_is_sent_ahead_waits_for_nothing_and_questions_are_answered) {
  // Nobody takes anything out yet: the ring is full after some, and says so.
  const std::vector<std::byte> part(100);
  int taken = 0;
  while (channel.try_send(RoundItem::Kind::fragment, 7, part, 0)) ++taken;
  EXPECT_GT(taken, 3);
  EXPECT_LT(taken, 11);
  relay.start();
  const auto answer = channel.ask(42, std::vector<std::byte>{std::byte{1}}).value();
  EXPECT_EQ(answer, (std::vector<std::byte>{std::byte{1}, std::byte{42}}));
  const auto item = transaction(7, 10);
  ASSERT_TRUE(channel.send(item).ok());
  EXPECT_EQ(channel.wait(*item).code, ErrorCode::ok);
  end();
  EXPECT_EQ(consumer.kept().size(), std::size_t(taken) + 1);
}

TEST_F(HostRelayTest, the_end_of_the_leader_answers_what_waits_and_refuses_the_rest) {
  relay.start();
  relay.note_left();
  node.leave(std::chrono::milliseconds(100));
  end();
  EXPECT_EQ(segment->phase(), HostPhase::left);
  const auto item = transaction(1, 10);
  const auto status = channel.send(item);
  const auto outcome =
      status.ok() ? channel.wait(*item) : ItemOutcome{status.code(), {}, status.text()};
  EXPECT_EQ(outcome.code, ErrorCode::cluster);
  EXPECT_NE(outcome.text.find("node 0"), std::string::npos) << outcome.text;
  EXPECT_EQ(gone, std::vector<std::uint32_t>{1});
}

TEST_F(HostRelayTest, what_a_leader_never_took_is_certainly_refused) {
  const auto item = transaction(1, 10);
  ASSERT_TRUE(channel.send(item).ok());  // there is no relay that takes it
  channel.fail({ErrorCode::timeout, "the leader, node 0, is silent"});
  EXPECT_EQ(channel.wait(*item).code, ErrorCode::timeout);
  EXPECT_EQ(channel.send(transaction(2, 10)).code(), ErrorCode::timeout);
}

TEST_F(HostRelayTest, what_a_silent_leader_took_may_have_been_committed) {
  const auto item = transaction(1, 10);
  ASSERT_TRUE(channel.send(item).ok());
  std::vector<std::byte> taken(1000);
  auto ring = segment->submit_ring(0);
  (void)ring.read(taken);
  channel.fail({ErrorCode::timeout, "the leader, node 0, is silent"});
  EXPECT_EQ(channel.wait(*item).code, ErrorCode::unknown_outcome);
}

/// By this clock each look comes a second after the one before.
std::atomic<int> looks{0};
FollowerChannel::Clock::time_point a_second_a_look() noexcept {
  return FollowerChannel::Clock::time_point(std::chrono::seconds(looks++));
}

/// I6 of the channel.
TEST_F(HostRelayTest, a_leader_of_which_nothing_shows_for_the_timeout_is_silent_and_no_other) {
  FollowerChannel impatient(*segment, leader, {std::chrono::seconds(3), 10, true, a_second_a_look});
  WakeWord word{};
  const auto looked_for_long = [&] {
    ++word.word;  // so that nobody sleeps
    return looks > 12;
  };
  auto& header = segment->header();
  // Now and then it does something: often enough.
  int done = 0;
  const auto at_work = [&] {
    for (; done < looks / 2; ++done)
      (done % 3 == 0 ? header.beats : done % 3 == 1 ? header.posted : header.applied)++;
    return looked_for_long();
  };
  looks = 0;
  const auto living = impatient.wait_on(word, at_work);
  EXPECT_TRUE(living.ok()) << living.text();
  looks = 0;
  const auto silent = impatient.wait_on(word, looked_for_long);
  EXPECT_EQ(silent.code(), ErrorCode::timeout);
  EXPECT_NE(silent.text().find("node 0"), std::string::npos) << silent.text();
  EXPECT_EQ(looks, 5)
      << "when it began, when it saw what had been done, and three that saw nothing";
  EXPECT_EQ(impatient.send(transaction(1, 10)).code(), ErrorCode::timeout) << "for good";
  FollowerChannel patient(*segment, leader, {std::chrono::seconds(0), 10, true, a_second_a_look});
  looks = 0;
  EXPECT_TRUE(patient.wait_on(word, looked_for_long).ok()) << "0: for ever";
}

/// A process that ends at once, in the place of the follower's.
TEST_F(HostRelayTest, a_dead_follower_s_unfinished_record_is_dropped_and_its_parts_are_discarded) {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  segment->line(0).pid = child;
  segment->line(0).oldest_open = 5;
  ASSERT_TRUE(channel.try_send(RoundItem::Kind::fragment, 9, std::vector<std::byte>(20), 0));
  const SubmitHead half{SubmitHead::Kind::transaction, 0, 10, 100, 0, 0};
  auto ring = segment->submit_ring(0);
  (void)ring.write(bytes_of_head(half));
  (void)ring.write(std::vector<std::byte>(99));
  relay.start();
  segment->tell_leader();
  while (!ring.empty()) std::this_thread::yield();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  while (relay.busy() != 0) {
    segment->tell_leader();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(segment->line(0).state, FollowerState::dead);
  EXPECT_EQ(segment->line(0).oldest_open, 0u);
  EXPECT_FALSE(segment->present(1));
  while (consumer.kept().size() < 3) (void)node.progress();
  end();
  EXPECT_EQ(reaped, 1);
  const auto kept = consumer.kept();
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].kind, RoundItem::Kind::fragment);
  EXPECT_EQ(kept[1].kind, RoundItem::Kind::discard);
  EXPECT_EQ(kept[1].sequence, 9u);
  EXPECT_EQ(kept[1].origin, NodeId{1});
  EXPECT_EQ(kept[2].kind, RoundItem::Kind::gone) << "other hosts hear of it, after all it has sent";
  EXPECT_EQ(kept[2].origin, NodeId{1});
}

TEST_F(HostRelayTest, an_idle_relay_sleeps) {
  relay.start();
  const auto beats = [&] { return segment->header().beats.load(); };
  const auto first = beats();
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  // Two a second, and some when it begins: far from polling.
  EXPECT_LE(beats() - first, 20u);
  EXPECT_GE(beats() - first, 1u);
}

}  // namespace
}  // namespace exdb
