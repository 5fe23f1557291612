// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The resilient transport where ranks leave, and where MPI says that a call with one has failed. MPICH
// never does (mpi-notes): the program's own MPI_Isend stands before the library's and fails on demand.
// Deaths are in tests/python/mpi/resilient_test.py.
#include <atomic>
#include <set>

#include "mpi_fixture.hpp"

namespace {
std::atomic<int> failing_rank{-1};
}

extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag,
                         MPI_Comm communicator, MPI_Request* request) {
  if (to == failing_rank) return MPI_ERR_OTHER;
  return PMPI_Isend(data, count, type, to, tag, communicator, request);
}

namespace exdb {
namespace {

struct Noting : FrameSink {
  void on_frame(std::uint32_t from, std::span<const std::byte>) override {
    ++frames;
    after_gone |= gone.count(from) != 0;
  }
  void on_gone(std::uint32_t node) override { twice |= !gone.insert(node).second; }
  std::uint64_t frames = 0;
  std::set<std::uint32_t> gone;
  bool after_gone = false, twice = false;
};

std::unique_ptr<Transport> open() {
  mpi::Options options;
  options.resilient = true;
  options.receive_buffer_bytes = options.send_buffer_bytes = 100;
  auto made = mpi::transport(MPI_COMM_WORLD, options);
  EXPECT_TRUE(made.ok()) << made.status().text();
  return std::move(made).value();
}

Frame frame(std::size_t bytes) { return std::make_shared<std::vector<std::byte>>(bytes); }

std::uint32_t rank() {
  int here = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &here);
  return static_cast<std::uint32_t>(here);
}

template <class Done>
void poll_until(Transport& transport, Noting& sink, Done done) {
  while (!done()) {
    bool any = false;
    const Status status = transport.poll(sink, any);
    ASSERT_TRUE(status.ok()) << status.text();
    if (!any) transport.wait(std::chrono::milliseconds(1));
  }
}

TEST(Resilient, has_no_gather_and_goes_are_final) {
  auto transport = open();
  EXPECT_EQ(transport->gather(), nullptr);
  EXPECT_TRUE(transport->gone_is_final());
  EXPECT_FALSE(transport->broadcast_is_collective());
}

TEST(Resilient, who_closes_is_gone_after_all_that_it_has_sent) {
  auto transport = open();
  Noting sink;
  // Long ones: they arrive later than the word that the sender has closed.
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(transport->broadcast(frame(i % 2 == 0 ? 10 : 100'000)).ok());
  const std::uint64_t expected = 10 * (transport->size() - 1);
  poll_until(*transport, sink, [&] { return sink.frames == expected; });
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank() == 0) {
    ASSERT_TRUE(transport->broadcast(frame(100'000)).ok());
    transport->close(false);
    return;
  }
  poll_until(*transport, sink, [&] { return sink.gone.count(0) != 0; });
  EXPECT_EQ(sink.frames, expected + 1);
  EXPECT_FALSE(sink.after_gone);
  EXPECT_FALSE(sink.twice);
  EXPECT_TRUE(transport->send(0, frame(10)).ok()) << "it is lost, and no failure";
  EXPECT_TRUE(transport->has_room(0));
}

TEST(Resilient, a_failed_call_ends_that_rank_and_nothing_else) {
  auto transport = open();
  Noting sink;
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank() == 0) {
    failing_rank = 1;
    EXPECT_TRUE(transport->broadcast(frame(10)).ok());
    poll_until(*transport, sink, [&] { return sink.gone.count(1) != 0; });
    for (std::size_t i = 0; i < 100; ++i) EXPECT_TRUE(transport->send(1, frame(1000)).ok());
    for (std::uint32_t to = 2; to < transport->size(); ++to)
      EXPECT_TRUE(transport->send(to, frame(10)).ok());
    EXPECT_EQ(sink.gone, std::set<std::uint32_t>{1});
  } else if (rank() != 1) {
    poll_until(*transport, sink, [&] { return sink.frames == 2; });
  }
  MPI_Barrier(MPI_COMM_WORLD);
  failing_rank = -1;
}

TEST(Resilient, more_open_at_a_time_and_one_after_the_other) {
  for (int turn = 0; turn < 5; ++turn) {
    auto first = open(), second = open();
    Noting sinks[2];
    ASSERT_TRUE(first->broadcast(frame(10)).ok());
    ASSERT_TRUE(second->broadcast(frame(1000)).ok());
    const std::uint64_t expected = first->size() - 1;
    poll_until(*second, sinks[1], [&] { return sinks[1].frames == expected; });
    poll_until(*first, sinks[0], [&] { return sinks[0].frames == expected; });
  }
}

TEST(Resilient, a_mode_or_agreement_that_differs_is_refused_everywhere) {
  mpi::Options options;
  options.resilient = rank() != 1;
  auto modes = mpi::transport(MPI_COMM_WORLD, options);
  ASSERT_FALSE(modes.ok());
  EXPECT_EQ(modes.status().code(), ErrorCode::cluster_incompatible);
  options.resilient = true;
  options.agreement = rank() == 1 ? 7 : 8;
  auto agreements = mpi::transport(MPI_COMM_WORLD, options);
  ASSERT_FALSE(agreements.ok());
  EXPECT_EQ(agreements.status().code(), ErrorCode::cluster_incompatible);
}

}  // namespace
}  // namespace exdb
