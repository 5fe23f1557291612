// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening: every rank gets a transport or all get the same reason, and the program's own MPI
// traffic never notices.
#include "mpi_fixture.hpp"

namespace exdb::mpi_testing {
namespace {

/// The status of the opening, which must be the same everywhere.
Status open_failing(const mpi::Options& options, MPI_Comm communicator = MPI_COMM_WORLD) {
  auto made = mpi::transport(communicator, options);
  EXPECT_FALSE(made.ok());
  int mine = static_cast<int>(made.status().code()), lowest = 0, highest = 0;
  MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&mine, &highest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  EXPECT_EQ(lowest, highest);
  return made.status();
}

TEST(MpiOpening, a_failure_of_one_rank_is_the_failure_of_all) {
  mpi::Options options;
  const int failing = world_size() - 1;
  if (world_rank() == failing)
    options.local_failure = Status(ErrorCode::cluster_duplicate_node, "two of them");
  const Status status = open_failing(options);
  EXPECT_EQ(status.code(), ErrorCode::cluster_duplicate_node);
  EXPECT_NE(status.text().find("rank " + std::to_string(failing) + ": two of them"),
            std::string::npos)
      << status.text();
}

TEST(MpiOpening, a_handle_that_means_something_else_is_found_out) {
  mpi::Options options;
  if (world_rank() == 1) options.expected_rank = 0;
  EXPECT_EQ(open_failing(options).code(), ErrorCode::launcher);
  options = {};
  options.expected_size = static_cast<std::uint32_t>(world_size()) + 1;
  const Status status = open_failing(options);
  EXPECT_EQ(status.code(), ErrorCode::launcher);
  EXPECT_NE(status.text().find("different MPIs"), std::string::npos) << status.text();
}

TEST(MpiOpening, different_exchange_modes_are_refused) {
  mpi::Options options;
  if (world_rank() == 1) options.exchange = mpi::Exchange::collective;
  EXPECT_EQ(open_failing(options).code(), ErrorCode::cluster_incompatible);
}

TEST(MpiOpening, a_buffer_beyond_reason_is_refused_by_name) {
  mpi::Options options;
  options.receive_buffer_bytes = std::uint64_t{1} << 40;
  const Status status = open_failing(options);
  EXPECT_EQ(status.code(), ErrorCode::cluster_invalid_parameter);
  EXPECT_NE(status.text().find("clusterRecvBuf"), std::string::npos) << status.text();
}

TEST(MpiOpening, null_and_intercommunicators_are_refused) {
  EXPECT_EQ(open_failing({}, MPI_COMM_NULL).code(), ErrorCode::cluster_invalid_parameter);
  MPI_Comm half = MPI_COMM_NULL, inter = MPI_COMM_NULL;
  const int side = world_rank() == 0 ? 0 : 1;
  MPI_Comm_split(MPI_COMM_WORLD, side, world_rank(), &half);
  MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, side == 0 ? 1 : 0, 5, &inter);
  const Status status = open_failing({}, inter);
  EXPECT_EQ(status.code(), ErrorCode::cluster_invalid_parameter);
  EXPECT_NE(status.text().find("intercommunicator"), std::string::npos);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&half);
}

TEST(MpiOpening, buffers_of_different_sizes_get_along) {
  mpi::Options options;
  options.send_buffer_bytes = 100U * static_cast<unsigned>(world_rank() + 1);
  options.receive_buffer_bytes = 1000U / static_cast<unsigned>(world_rank() + 1);
  auto transport = open(options);
  NumberedSink sink(transport->size());
  for (std::uint32_t number = 0; number < 100; ++number) {
    ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), number, number * 12)).ok());
  }
  poll_until(*transport, sink, [&] { return sink.all(transport->self(), 100); });
  transport->close(true);
}

TEST(MpiOpening, two_halves_of_the_world_work_at_the_same_time) {
  MPI_Comm half = MPI_COMM_NULL;
  const int side = world_rank() % 2;
  MPI_Comm_split(MPI_COMM_WORLD, side, world_rank(), &half);
  mpi::Options options;
  options.exchange = side == 0 ? mpi::Exchange::collective : mpi::Exchange::p2p;
  auto transport = open(options, half);
  MPI_Comm_free(&half);  // not needed any more
  NumberedSink sink(transport->size());
  for (std::uint32_t round = 0; round < 100; ++round) {
    ASSERT_TRUE(transport->broadcast(numbered_frame(transport->self(), round, round * 300)).ok());
    poll_until(*transport, sink, [&] { return sink.all(transport->self(), round + 1); });
  }
  transport->close(true);
}

TEST(MpiOpening, two_transports_over_one_communicator_do_not_mix) {
  auto first = open(), second = open();
  NumberedSink first_sink(first->size()), second_sink(first->size());
  for (std::uint32_t number = 0; number < 50; ++number) {
    ASSERT_TRUE(second->broadcast(numbered_frame(first->self(), number, 200)).ok());
    ASSERT_TRUE(first->broadcast(numbered_frame(first->self(), number, 100)).ok());
  }
  poll_until(*first, first_sink, [&] { return first_sink.all(first->self(), 50); });
  poll_until(*second, second_sink, [&] { return second_sink.all(first->self(), 50); });
  first->close(true);
  second->close(true);
}

TEST(MpiOpening, the_programs_own_messages_are_never_touched) {
  const int left = (world_rank() + world_size() - 1) % world_size(),
            right = (world_rank() + 1) % world_size();
  int from_left = -1, sum = 0;
  const int mine = world_rank(), one = 1;
  MPI_Request receive = MPI_REQUEST_NULL, all = MPI_REQUEST_NULL;
  MPI_Irecv(&from_left, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &receive);
  MPI_Iallreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &all);
  for (auto exchange : {mpi::Exchange::p2p, mpi::Exchange::collective}) {
    mpi::Options options;
    options.exchange = exchange;
    auto transport = open(options);
    NumberedSink sink(transport->size());
    for (std::uint32_t round = 0; round < 50; ++round) {
      ASSERT_TRUE(
          transport->broadcast(numbered_frame(transport->self(), round, round * 1000)).ok());
      poll_until(*transport, sink, [&] { return sink.all(transport->self(), round + 1); });
    }
    transport->close(true);
  }
  int early = 0;
  MPI_Test(&receive, &early, MPI_STATUS_IGNORE);
  EXPECT_EQ(early, 0) << "a message of the transport got into the program's receive";
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Send(&mine, 1, MPI_INT, right, 1, MPI_COMM_WORLD);
  MPI_Wait(&receive, MPI_STATUS_IGNORE);
  MPI_Wait(&all, MPI_STATUS_IGNORE);
  EXPECT_EQ(from_left, left);
  EXPECT_EQ(sum, world_size());
}

}  // namespace
}  // namespace exdb::mpi_testing
