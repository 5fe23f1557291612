// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Frames over MPI, in both ways of exchanging and with several buffer sizes.
#include <cstdlib>
#include <random>
#include <thread>

#include "exdb/collective_gather.hpp"
#include "mpi_fixture.hpp"

namespace exdb::mpi_testing {
namespace {

struct Case {
  const char* name;
  mpi::Exchange exchange;
  std::uint64_t buffer_bytes;
};

class MpiTransport : public ::testing::TestWithParam<Case> {
 protected:
  mpi::Options options() const {
    mpi::Options wanted;
    wanted.exchange = GetParam().exchange;
    wanted.send_buffer_bytes = wanted.receive_buffer_bytes = GetParam().buffer_bytes;
    return wanted;
  }
  bool collective() const {
    return GetParam().exchange == mpi::Exchange::collective && world_size() > 1;
  }
};

INSTANTIATE_TEST_SUITE_P(, MpiTransport,
                         ::testing::Values(Case{"p2p", mpi::Exchange::p2p, 0},
                                           Case{"p2p_small_buffers", mpi::Exchange::p2p, 64},
                                           Case{"p2p_one_byte_buffers", mpi::Exchange::p2p, 1},
                                           Case{"collective", mpi::Exchange::collective, 0},
                                           Case{"collective_small_buffers",
                                                mpi::Exchange::collective, 64}),
                         [](const auto& one) { return one.param.name; });

void broadcast_rounds(Transport& transport, NumberedSink& sink, std::uint32_t rounds,
                      const std::vector<std::size_t>& lengths) {
  for (std::uint32_t round = 0; round < rounds; ++round) {
    const std::size_t length = lengths[(round + transport.self()) % lengths.size()];
    ASSERT_TRUE(transport.broadcast(numbered_frame(transport.self(), round, length)).ok());
    poll_until(transport, sink, [&] { return sink.all(transport.self(), round + 1); });
  }
}

TEST_P(MpiTransport, knows_itself) {
  auto transport = open(options());
  EXPECT_EQ(transport->self(), static_cast<std::uint32_t>(world_rank()));
  EXPECT_EQ(transport->size(), static_cast<std::uint32_t>(world_size()));
  EXPECT_EQ(transport->broadcast_is_collective(), collective());
  EXPECT_NE(transport->describe().find(collective() ? "collective" : "p2p"), std::string::npos);
  transport->close(true);
}

TEST_P(MpiTransport, few_frames_come_whole_and_in_order) {
  auto transport = open(options());
  NumberedSink sink(transport->size());
  broadcast_rounds(*transport, sink, 5, {8, 20'000, 100, 70'000});
  transport->close(true);
}

TEST_P(MpiTransport, sends_of_any_length_keep_their_order) {
  auto transport = open(options());
  NumberedSink sink(transport->size());
  std::mt19937 random(7U + transport->self());
  constexpr std::uint32_t count = 300;
  for (std::uint32_t number = 0; number < count; ++number) {
    const std::size_t length = number % 50 == 7 ? 300'000 : random() % 400;
    for (std::uint32_t to = 0; to < transport->size(); ++to) {
      if (to != transport->self()) {
        ASSERT_TRUE(transport->send(to, numbered_frame(transport->self(), number, length)).ok());
      }
    }
  }
  poll_until(*transport, sink, [&] { return sink.all(transport->self(), count); });
  transport->close(true);
}

TEST_P(MpiTransport, broadcasts_arrive_once_each) {
  auto transport = open(options());
  NumberedSink sink(transport->size());
  broadcast_rounds(*transport, sink, 300, {8, 64, 65, 500, 512, 513, 20'000});
  const auto statistics = transport->statistics();
  EXPECT_EQ(statistics.frames_sent, 300U * (transport->size() - 1));
  EXPECT_EQ(statistics.frames_received, 300U * (transport->size() - 1));
  EXPECT_EQ(statistics.bytes_received, sink.bytes());
  EXPECT_EQ(statistics.collectives, collective() ? 300U : 0U);
  transport->close(true);
}

TEST_P(MpiTransport, frames_of_several_megabytes_arrive) {
  auto transport = open(options());
  NumberedSink sink(transport->size());
  broadcast_rounds(*transport, sink, 4, {5'000'000, 16, 3'000'001});
  EXPECT_GE(transport->statistics().frames_long, transport->size() > 1 ? 1U : 0U);
  transport->close(true);
}

TEST_P(MpiTransport, an_empty_frame_is_a_frame) {
  struct Counting : FrameSink {
    std::uint32_t empty = 0;
    void on_frame(std::uint32_t, std::span<const std::byte> frame) override {
      empty += frame.empty() ? 1 : 0;
    }
    void on_gone(std::uint32_t) override {}
  } sink;
  auto transport = open(options());
  ASSERT_TRUE(transport->broadcast(std::make_shared<std::vector<std::byte>>()).ok());
  poll_until(*transport, sink, [&] { return sink.empty == transport->size() - 1; });
  transport->close(true);
}

TEST_P(MpiTransport, many_broadcasts_may_be_made_before_any_poll) {
  auto transport = open(options());
  NumberedSink sink(transport->size());
  for (std::uint32_t round = 0; round < 100; ++round) {
    ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), round, round * 30)).ok());
  }
  poll_until(*transport, sink, [&] { return sink.all(transport->self(), 100); });
  transport->close(true);
}

TEST_P(MpiTransport, gathers_blocks_of_different_lengths) {
  auto transport = open(options());
  const std::vector<std::byte> mine(transport->self() * 100'000,
                                    static_cast<std::byte>(transport->self()));
  auto all = transport->gather()->collective_gather(mine, std::chrono::seconds(60));
  ASSERT_TRUE(all.ok()) << all.status().text();
  ASSERT_EQ(all->size(), transport->size());
  for (std::uint32_t node = 0; node < transport->size(); ++node) {
    EXPECT_EQ((*all)[node], std::vector<std::byte>(node * 100'000, static_cast<std::byte>(node)));
  }
  transport->close(true);
}

TEST_P(MpiTransport, refuses_frames_for_itself_and_for_nobody) {
  auto transport = open(options());
  EXPECT_EQ(transport->send(transport->self(), numbered_frame(0, 0, 8)).code(),
            ErrorCode::cluster_invalid_parameter);
  EXPECT_EQ(transport->send(transport->size(), numbered_frame(0, 0, 8)).code(),
            ErrorCode::cluster_invalid_parameter);
  transport->close(true);
}

TEST_P(MpiTransport, short_frames_do_not_pile_up_in_the_mpi_of_who_takes_none) {
  if (world_size() == 1) GTEST_SKIP() << "nobody to send to";
  mpi::Options wanted = options();
  wanted.send_bound_bytes = 100'000;
  auto transport = open(wanted);
  // Rank 0 is inside MPI, which takes in what comes, but does not poll its transport.
  std::uint32_t sent = 0;
  if (transport->self() != 0) {
    for (; transport->has_room(0) && sent < 10'000; ++sent)
      ASSERT_TRUE(transport->send(0, numbered_frame(transport->self(), sent, 50)).ok());
    EXPECT_EQ(sent, 2000U) << "the bound, in frames of 50 bytes";
  }
  MPI_Barrier(MPI_COMM_WORLD);
  NumberedSink sink(transport->size());
  if (transport->self() == 0) {
    poll_until(*transport, sink, [&] { return sink.all(0, 2000); });
  } else {
    poll_until(*transport, sink, [&] { return transport->has_room(0); });
  }
  transport->close(true);
}

TEST_P(MpiTransport, goes_on_after_a_node_was_removed) {
  auto transport = open(options());
  const std::uint32_t leaver = transport->size() - 1;
  NumberedSink sink(transport->size());
  broadcast_rounds(*transport, sink, 3, {100, 20'000});
  if (transport->self() != leaver) {
    transport->remove(leaver);
    EXPECT_FALSE(transport->broadcast_is_collective());
    for (std::uint32_t round = 3; round < 6; ++round) {
      ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), round, 1000)).ok());
      poll_until(*transport, sink, [&] { return sink.all(transport->self(), round + 1, leaver); });
    }
  }
  // The others will not close together with the one that left: it must not wait for them.
  transport->close(true);
}

TEST_P(MpiTransport, a_sink_may_send_while_it_is_called) {
  // Counts only: where broadcasts are collective an answer may overtake the broadcast of the same
  // node.
  struct Answering : FrameSink {
    explicit Answering(Transport& over) : transport(over) {}
    Transport& transport;
    std::uint32_t questions = 0, answers = 0;
    void on_frame(std::uint32_t from, std::span<const std::byte> frame) override {
      if (frame.size() > 8) {
        ++answers;
        return;
      }
      ++questions;
      EXPECT_TRUE(transport.send(from, numbered_frame(transport.self(), 1, 5000)).ok());
    }
    void on_gone(std::uint32_t) override {}
  };
  auto transport = open(options());
  Answering sink(*transport);
  ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), 0, 8)).ok());
  const std::uint32_t others = transport->size() - 1;
  poll_until(*transport, sink, [&] { return sink.questions == others && sink.answers == others; });
  transport->close(true);
}

TEST_P(MpiTransport, a_thread_may_sleep_beside_the_one_that_polls) {
  auto transport = open(options());
  std::atomic<bool> over{false};
  std::thread sleeper([&] {
    while (!over) transport->wait(std::chrono::milliseconds(1));
  });
  NumberedSink sink(transport->size());
  for (std::uint32_t round = 0; round < 200; ++round) {
    EXPECT_TRUE(
        transport->broadcast(numbered_frame(transport->self(), round, round % 3 == 0 ? 30'000 : 20))
            .ok());
    while (!sink.all(transport->self(), round + 1)) {
      bool any = false;
      EXPECT_TRUE(transport->poll(sink, any).ok());
      if (!any) std::this_thread::yield();
    }
  }
  over = true;
  transport->wake();
  sleeper.join();
  transport->close(true);
}

TEST_P(MpiTransport, works_where_no_rank_shares_a_host) {
  setenv("EXDB_PRETENDED_HOSTS", std::to_string(world_size()).c_str(), 1);
  auto transport = open(options());
  unsetenv("EXDB_PRETENDED_HOSTS");
  NumberedSink sink(transport->size());
  broadcast_rounds(*transport, sink, 20, {8, 20'000});
  transport->close(true);
}

// At 2 to 4 ranks both are p2p; mpi.many runs it at 18.
TEST(MpiTransportOf, auto_is_collective_on_several_hosts_before_it_is_on_one) {
  EXPECT_FALSE(open()->broadcast_is_collective());
  setenv("EXDB_PRETENDED_HOSTS", "2", 1);
  auto transport = open();
  unsetenv("EXDB_PRETENDED_HOSTS");
  EXPECT_EQ(transport->broadcast_is_collective(), world_size() > 8);
  NumberedSink sink(transport->size());
  broadcast_rounds(*transport, sink, 3, {8, 20'000});
  transport->close(true);
}

// The caps are longer than the watchdog allows: only being woken ends these waits.
constexpr auto longer_than_the_test = std::chrono::minutes(10);

TEST(MpiDoorbell, a_frame_ends_the_sleep_of_its_receiver) {
  auto transport = open();
  NumberedSink sink(transport->size());
  for (std::uint32_t number = 0; number < 50; ++number) {
    // In turn: one sends, the others sleep until it comes.
    const std::uint32_t sender = number % transport->size();
    if (transport->self() == sender) {
      std::this_thread::sleep_for(std::chrono::milliseconds(number % 5));
      ASSERT_TRUE(
          transport->broadcast(numbered_frame(sender, number / transport->size(), 100)).ok());
    } else {
      while (sink.received(sender) <= number / transport->size()) {
        transport->wait(longer_than_the_test);
        bool any = false;
        ASSERT_TRUE(transport->poll(sink, any).ok());
      }
    }
  }
  transport->close(true);
}

TEST(MpiDoorbell, a_long_frame_moves_while_its_receiver_would_sleep) {
  auto transport = open();
  NumberedSink sink(transport->size());
  if (transport->self() == 0) {
    ASSERT_TRUE(transport->broadcast(numbered_frame(0, 0, 20'000'000)).ok());
  } else {
    while (sink.received(0) == 0) {
      transport->wait(longer_than_the_test);
      bool any = false;
      ASSERT_TRUE(transport->poll(sink, any).ok());
    }
  }
  transport->close(true);
}

TEST(MpiDoorbell, wake_ends_a_sleep_also_when_it_came_first) {
  auto transport = open();
  transport->wake();
  transport->wait(longer_than_the_test);
  std::thread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    transport->wake();
  });
  transport->wait(longer_than_the_test);
  waker.join();
  transport->close(true);
}

}  // namespace
}  // namespace exdb::mpi_testing
