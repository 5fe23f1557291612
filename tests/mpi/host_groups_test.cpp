// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Ranks by hosts: who is with whom and who leads, the transport among the leaders, failures that all
// ranks hear of, and communicators that come back. Several hosts are pretended on this one.
#include "host_groups.hpp"

#include <cstdlib>

#include "left_sessions.hpp"
#include "mpi_fixture.hpp"

namespace exdb::mpi_testing {
namespace {

using mpi::NodeCard;

NodeCard card_on(std::uint64_t host, std::uint64_t unit_set = 1, std::uint32_t units = 1) {
  NodeCard card;
  card.host.boot[0] = host;
  card.host.unit_set = unit_set;
  card.host.units = units;
  return card;
}

TEST(MpiHostGroups, hosts_are_numbered_by_their_lowest_nodes) {
  const auto found =
      mpi::group_by_host({card_on(7), card_on(3), card_on(7), card_on(9), card_on(3), card_on(9)});
  EXPECT_EQ(found.hosts, (std::vector<std::uint32_t>{0, 1, 0, 2, 1, 2}));
  EXPECT_EQ(found.leaders, (std::vector<std::uint32_t>{0, 1, 3}));
}

TEST(MpiHostGroups, who_has_most_units_for_itself_leads) {
  // Three ranks on one set of 4, one on 2 of its own: 1 is left, and 1. The lowest.
  EXPECT_EQ(
      mpi::group_by_host({card_on(1, 1, 4), card_on(1, 1, 4), card_on(1, 2, 2), card_on(1, 1, 4)})
          .leaders,
      std::vector<std::uint32_t>{0});
  // Bound to one each, but for one that may use three.
  EXPECT_EQ(mpi::group_by_host({card_on(1, 1, 1), card_on(1, 2, 1), card_on(1, 3, 3)}).leaders,
            std::vector<std::uint32_t>{2});
  // More ranks than units: the one that has a unit to itself.
  EXPECT_EQ(
      mpi::group_by_host({card_on(1, 1, 2), card_on(1, 1, 2), card_on(1, 1, 2), card_on(1, 2, 1)})
          .leaders,
      std::vector<std::uint32_t>{3});
}

/// As EXDB_PRETENDED_HOSTS in the environment of all ranks.
class Pretending {
 public:
  explicit Pretending(int hosts) {
    setenv("EXDB_PRETENDED_HOSTS", std::to_string(hosts).c_str(), 1);
  }
  ~Pretending() { unsetenv("EXDB_PRETENDED_HOSTS"); }
  Pretending(const Pretending&) = delete;
  Pretending& operator=(const Pretending&) = delete;
};

std::unique_ptr<HostGroups> open_groups(const mpi::Options& options = {}) {
  auto made = mpi::host_groups(MPI_COMM_WORLD, options);
  EXPECT_TRUE(made.ok()) << made.status().text();
  return made ? std::move(made).value() : nullptr;
}

std::unique_ptr<Transport> take(HostGroups& groups) {
  auto taken = groups.take_transport();
  EXPECT_TRUE(taken.ok()) << taken.status().text();
  return taken ? std::move(taken).value() : nullptr;
}

/// The code and text of a failure, which must be the same on all ranks.
Status same_everywhere(const Status& status) {
  int mine = static_cast<int>(status.code()), lowest = 0, highest = 0;
  MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&mine, &highest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  EXPECT_EQ(lowest, highest);
  EXPECT_NE(lowest, 0);
  return status;
}

void exchange_frames(Transport& transport, std::uint32_t frames) {
  NumberedSink sink(transport.size());
  for (std::uint32_t number = 0; number < frames; ++number) {
    ASSERT_TRUE(transport.broadcast(numbered_frame(transport.self(), number, number * 1000)).ok());
    poll_until(transport, sink, [&] { return sink.all(transport.self(), number + 1); });
  }
}

/// How many communicators MPI has left to give to this process.
int communicators_left() {
  std::vector<MPI_Comm> made;
  MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  for (MPI_Comm one = MPI_COMM_NULL; MPI_Comm_dup(MPI_COMM_SELF, &one) == MPI_SUCCESS;)
    made.push_back(one);
  for (MPI_Comm& one : made) MPI_Comm_free(&one);
  return static_cast<int>(made.size());
}

TEST(MpiHostGroups, the_same_groups_on_all_ranks_and_a_transport_among_the_leaders) {
  const int ranks = world_size();
  for (const auto exchange : {mpi::Exchange::p2p, mpi::Exchange::collective}) {
    for (int hosts = 1; hosts <= ranks; ++hosts) {
      const Pretending pretending(hosts);
      mpi::Options options;
      options.exchange = exchange;
      auto groups = open_groups(options);
      ASSERT_EQ(groups->nodes(), static_cast<std::uint32_t>(ranks));
      ASSERT_EQ(groups->leaders().size(), static_cast<std::size_t>(hosts));
      for (std::uint32_t node = 0; node < groups->nodes(); ++node) {
        EXPECT_EQ(groups->hosts()[node],
                  node * static_cast<std::uint32_t>(hosts) / groups->nodes());
      }
      for (std::uint32_t host = 0; host < groups->leaders().size(); ++host)
        EXPECT_EQ(groups->hosts()[groups->leaders()[host]], host);
      EXPECT_EQ(groups->self(), static_cast<std::uint32_t>(world_rank()));
      auto transport = take(*groups);
      ASSERT_EQ(transport != nullptr, groups->leads());
      if (transport) {
        EXPECT_EQ(transport->self(), groups->host());
        EXPECT_EQ(transport->size(), groups->leaders().size());
        exchange_frames(*transport, 20);
        transport->close(true);
      }
    }
  }
}

TEST(MpiHostGroups, without_pretending_this_is_one_host) {
  auto groups = open_groups();
  EXPECT_EQ(groups->leaders(), std::vector<std::uint32_t>{0});
  EXPECT_NE(groups->describe().find(std::to_string(world_size()) + " ranks on 1 host"),
            std::string::npos)
      << groups->describe();
  groups->close();
}

TEST(MpiHostGroups, all_nodes_gather_whatever_their_hosts) {
  const Pretending pretending(2);
  auto groups = open_groups();
  for (std::size_t turn = 0; turn < 3; ++turn) {
    const std::vector<std::byte> mine(groups->self() * 1000 + turn, std::byte(groups->self()));
    auto all = groups->gather().collective_gather(mine, std::chrono::seconds(30));
    ASSERT_TRUE(all.ok()) << all.status().text();
    for (std::uint32_t node = 0; node < groups->nodes(); ++node) {
      EXPECT_EQ((*all)[node], std::vector<std::byte>(node * 1000 + turn, std::byte(node)));
    }
  }
  groups->close();
}

TEST(MpiHostGroups, fifty_times_and_every_communicator_has_come_back) {
  const int before = communicators_left();
  for (int turn = 0; turn < 50; ++turn) {
    const Pretending pretending(1 + turn % world_size());
    auto groups = open_groups();
    if (turn % 5 == 4) {
      groups->close();
      continue;
    }
    auto transport = take(*groups);
    if (!transport) continue;
    exchange_frames(*transport, 1);
    transport->close(true);
  }
  EXPECT_EQ(communicators_left(), before);
}

TEST(MpiHostGroups, what_leaders_left_alone_is_freed_when_they_meet_again) {
  const int before = communicators_left();
  for (int turn = 0; turn < 10; ++turn) {
    const Pretending pretending(2);
    auto groups = open_groups();
    auto transport = take(*groups);
    if (transport) transport->close(turn == 9);
  }
  EXPECT_EQ(mpi::left_sessions(), 0U);
  EXPECT_EQ(communicators_left(), before);
}

TEST(MpiHostGroups, a_failure_of_one_rank_is_the_failure_of_all) {
  const Pretending pretending(2);
  mpi::Options options;
  const int failing = world_size() - 1;
  if (world_rank() == failing) options.local_failure = Status(ErrorCode::schema, "no such class");
  auto made = mpi::host_groups(MPI_COMM_WORLD, options);
  ASSERT_FALSE(made.ok());
  const Status status = same_everywhere(made.status());
  EXPECT_EQ(status.code(), ErrorCode::schema);
  EXPECT_NE(status.text().find("rank " + std::to_string(failing) + ": no such class"),
            std::string::npos)
      << status.text();
}

TEST(MpiHostGroups, ranks_that_do_not_share_and_ranks_that_do_are_refused) {
  Status status;
  if (world_rank() == 1) {
    auto made = mpi::transport(MPI_COMM_WORLD);
    status = made.status();
  } else {
    auto made = mpi::host_groups(MPI_COMM_WORLD);
    status = made.status();
  }
  status = same_everywhere(status);
  EXPECT_EQ(status.code(), ErrorCode::cluster_incompatible);
  EXPECT_NE(status.text().find("ranks 0 and 1 differ"), std::string::npos) << status.text();
  EXPECT_NE(status.text().find("is_shm"), std::string::npos) << status.text();
}

TEST(MpiHostGroups, resilient_on_any_rank_is_refused_by_name_on_all) {
  mpi::Options options;
  options.resilient = world_rank() == 1;
  auto made = mpi::host_groups(MPI_COMM_WORLD, options);
  ASSERT_FALSE(made.ok());
  const Status status = same_everywhere(made.status());
  EXPECT_EQ(status.code(), ErrorCode::unsupported);
  EXPECT_NE(status.text().find("resilient=True"), std::string::npos) << status.text();
}

/// The rank that does not come is on time at the next opening all the same.
TEST(MpiHostGroups, a_rank_that_does_not_come_ends_the_wait_and_not_the_job) {
  const Pretending pretending(2);
  mpi::Options options;
  options.deadline = std::chrono::milliseconds(300);
  auto groups = open_groups(options);
  if (world_rank() != 1) {
    auto taken = groups->take_transport();
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.status().code(), ErrorCode::timeout) << taken.status().text();
    EXPECT_FALSE(groups->take_transport().ok());
  }
  groups.reset();
  MPI_Barrier(MPI_COMM_WORLD);
  auto next = open_groups();
  if (world_rank() != 1) {
    auto gathered = next->gather().collective_gather({}, std::chrono::milliseconds(100));
    ASSERT_FALSE(gathered.ok());
    EXPECT_EQ(gathered.status().code(), ErrorCode::timeout);
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

TEST(MpiHostGroups, followers_hold_nothing_while_their_leaders_work) {
  const Pretending pretending(1);
  const int before = communicators_left();
  auto groups = open_groups();
  EXPECT_LT(communicators_left(), before);
  auto transport = take(*groups);
  const int meanwhile = communicators_left();
  if (groups->leads()) {
    EXPECT_LT(meanwhile, before);
  } else {
    EXPECT_EQ(meanwhile, before);
  }
  if (transport) transport->close(true);
  EXPECT_EQ(communicators_left(), before);
}

}  // namespace
}  // namespace exdb::mpi_testing
