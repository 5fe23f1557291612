// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Closing: in every order, with things on their way, many times, and with nothing left behind.
#include <filesystem>
#include <thread>

#include "left_sessions.hpp"
#include "mpi_fixture.hpp"

namespace exdb::mpi_testing {
namespace {

std::size_t entries(const char* folder, const std::string& with = "") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(with) != std::string::npos) ++count;
  }
  return count;
}

mpi::Options with(mpi::Exchange exchange) {
  mpi::Options options;
  options.exchange = exchange;
  return options;
}

TEST(MpiClosing, two_hundred_times_leaves_no_communicator_and_no_descriptor) {
  std::size_t before = 0;
  for (int turn = 0; turn < 200; ++turn) {
    auto transport = open(with(turn % 2 == 0 ? mpi::Exchange::p2p : mpi::Exchange::collective));
    NumberedSink sink(transport->size());
    ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), 0, 100)).ok());
    poll_until(*transport, sink, [&] { return sink.all(transport->self(), 1); });
    transport->close(true);
    if (turn == 10) before = entries("/proc/self/fd");
  }
  EXPECT_EQ(entries("/proc/self/fd"), before);
  EXPECT_EQ(entries("/dev/shm", "exdb"), 0U);
}

/// MPI gives out about 2,000 communicators: more openings, of three each, show that they come back.
TEST(MpiClosing, context_ids_come_back) {
  if (world_size() > 2) GTEST_SKIP() << "the same for any number of ranks, and slow for many";
  for (int turn = 0; turn < 750; ++turn) {
    auto transport = open();
    transport->close(true);
  }
}

TEST(MpiClosing, what_nobody_polled_does_not_reach_the_next_transport) {
  for (auto exchange : {mpi::Exchange::p2p, mpi::Exchange::collective, mpi::Exchange::p2p}) {
    auto transport = open(with(exchange));
    const std::uint32_t to = (transport->self() + 1) % transport->size();
    for (std::uint32_t number = 0; number < 100; ++number) {
      ASSERT_TRUE(
          transport->send(to, numbered_frame(99, 99, number % 10 == 0 ? 1'000'000 : 10)).ok());
    }
    transport->close(true);
  }
  auto transport = open();
  NumberedSink sink(transport->size());
  ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), 0, 100)).ok());
  poll_until(*transport, sink, [&] { return sink.all(transport->self(), 1); });
  transport->close(true);
}

TEST(MpiClosing, an_exchange_that_only_some_began_is_ended_by_all) {
  auto transport = open(with(mpi::Exchange::collective));
  for (std::uint32_t number = 0; number < 3 * transport->self(); ++number) {
    ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), number, number * 400)).ok());
  }
  transport->close(true);
  auto next = open(with(mpi::Exchange::collective));
  NumberedSink sink(next->size());
  ASSERT_TRUE(next->broadcast(numbered_frame(next->self(), 0, 100)).ok());
  poll_until(*next, sink, [&] { return sink.all(next->self(), 1); });
  next->close(true);
}

TEST(MpiClosing, transports_may_be_closed_in_another_order_than_opened) {
  auto first = open(), second = open(), third = open();
  second->close(true);
  first->close(true);
  third->close(true);
}

TEST(MpiClosing, twice_is_fine_and_use_afterwards_is_an_error) {
  auto transport = open();
  transport->close(true);
  transport->close(true);
  transport->close(false);
  NumberedSink sink(transport->size());
  bool any = false;
  EXPECT_EQ(transport->poll(sink, any).code(), ErrorCode::cluster);
  EXPECT_EQ(transport->broadcast(numbered_frame(0, 0, 8)).code(), ErrorCode::cluster);
  transport->wait(std::chrono::minutes(10));  // comes back: there is nothing to wait for
}

TEST(MpiClosing, a_late_rank_is_waited_for) {
  auto transport = open();
  if (transport->self() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
  transport->close(true);
}

TEST(MpiClosing, local_close_needs_nobody) {
  for (auto exchange : {mpi::Exchange::p2p, mpi::Exchange::collective}) {
    auto transport = open(with(exchange));
    // One rank goes with an exchange under way and a long frame that nobody takes.
    if (transport->self() == 0) {
      ASSERT_TRUE(transport->broadcast(numbered_frame(0, 0, 100)).ok());
      ASSERT_TRUE(transport->send(1, numbered_frame(0, 0, 4'000'000)).ok());
    }
    transport->close(false);
  }
  auto transport = open();
  transport->close(true);
}

/// As when an exception leaves the program's block: nobody closes together, and much is on its way.
/// 2,250 communicators in all.
TEST(MpiClosing, what_is_left_by_all_is_freed_by_the_next_opening) {
  if (world_size() > 2) GTEST_SKIP() << "the same for any number of ranks, and slow for many";
  for (int turn = 0; turn < 750; ++turn) {
    auto transport = open(with(turn % 2 == 0 ? mpi::Exchange::p2p : mpi::Exchange::collective));
    const std::uint32_t to = 1 - transport->self();
    // Never polled; in collective mode an exchange that only one of them has begun.
    if (turn % 3 == 0 || transport->self() == 0) {
      ASSERT_TRUE(
          transport->broadcast(numbered_frame(99, 99, turn % 300 == 3 ? 40'000 : 100)).ok());
    }
    ASSERT_TRUE(transport->send(to, numbered_frame(99, 99, 100)).ok());
    transport->close(false);
  }
  auto transport = open();
  NumberedSink sink(transport->size());
  ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), 0, 100)).ok());
  poll_until(*transport, sink, [&] { return sink.all(transport->self(), 1); });
  transport->close(true);
}

TEST(MpiClosing, what_somebody_still_uses_is_not_freed) {
  auto used = open();
  if (world_rank() != 0) used->close(false);
  auto next = open();  // rank 0 has not left the first: it works on, for what that is worth
  if (world_rank() == 0) {
    ASSERT_TRUE(used->broadcast(numbered_frame(0, 0, 100)).ok());
  }
  NumberedSink sink(next->size());
  ASSERT_TRUE(next->broadcast(numbered_frame(next->self(), 0, 100)).ok());
  poll_until(*next, sink, [&] { return sink.all(next->self(), 1); });
  next->close(true);
  used->close(false);
  open()->close(true);  // now it is
}

TEST(MpiClosing, what_was_left_after_a_removal_is_freed_too) {
  if (world_size() > 2) GTEST_SKIP() << "the same for any number of ranks, and slow for many";
  for (int turn = 0; turn < 750; ++turn) {
    auto transport = open(with(turn % 2 == 0 ? mpi::Exchange::p2p : mpi::Exchange::collective));
    if (transport->self() == 0) {
      transport->remove(1);
      ASSERT_TRUE(transport->broadcast(numbered_frame(99, 99, 100)).ok());
    }
    transport->close(true);
  }
}

TEST(MpiClosing, a_rank_that_never_closes_does_not_hold_the_others_for_ever) {
  mpi::Options options;
  options.deadline = std::chrono::milliseconds(2000);
  auto transport = open(options);
  if (transport->self() != 0) transport->close(true);
  MPI_Barrier(MPI_COMM_WORLD);
}

mpi::Options for_ever(mpi::Exchange exchange) {
  auto options = with(exchange);
  options.deadline = options.close_deadline = {};
  return options;
}

/// The one that goes alone says so, whether the others wait already or come later.
TEST(MpiClosing, one_that_closes_alone_is_not_waited_for) {
  for (auto exchange : {mpi::Exchange::p2p, mpi::Exchange::collective}) {
    for (const bool first : {true, false}) {
      auto transport = open(for_ever(exchange));
      const bool alone = transport->self() == 0;
      if (alone && !first) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (alone) transport->close(false);
      if (first) MPI_Barrier(MPI_COMM_WORLD);
      if (!alone) transport->close(true);
      MPI_Barrier(MPI_COMM_WORLD);
    }
  }
  open()->close(true);
  EXPECT_EQ(mpi::left_sessions(), 0U);  // what was left by all is free
}

/// All close together but for the one whose deadline is over before the last comes, who is in a
/// barrier of the program meanwhile.
TEST(MpiClosing, one_that_gives_up_takes_the_others_along) {
  if (world_size() < 3)
    GTEST_SKIP() << "needs one that gives up, one that waits and one that is late";
  auto options = for_ever(mpi::Exchange::p2p);
  if (world_rank() == 0) options.close_deadline = std::chrono::milliseconds(50);
  auto transport = open(options);
  if (world_rank() == 1) {
    int given_up = 0;
    MPI_Recv(&given_up, 1, MPI_INT, 0, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  transport->close(true);
  const int given_up = 1;
  if (world_rank() == 0) MPI_Send(&given_up, 1, MPI_INT, 1, 7, MPI_COMM_WORLD);
  MPI_Barrier(MPI_COMM_WORLD);
}

/// Agreed to end, then closed in opposite orders: each waits in one close for who waits in the other.
TEST(MpiClosing, opposite_orders_of_closing_end) {
  mpi::Options options;
  options.deadline = {};
  options.close_deadline = std::chrono::milliseconds(500);
  auto first = open(options), second = open(options);
  (world_rank() == 0 ? first : second)->close(true);
  (world_rank() == 0 ? second : first)->close(true);
  MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace exdb::mpi_testing
