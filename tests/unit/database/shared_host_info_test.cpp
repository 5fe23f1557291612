// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One replica a host: opening that fails, and what each process is told of the others.
#include <sys/resource.h>

#include <mutex>
#include <set>

#include "shared_host.hpp"

namespace exdb {
namespace {

const std::vector<std::uint32_t> one_host{0, 0, 0};
const std::vector<std::uint32_t> two_hosts{0, 0, 1, 1};

TEST(SharedHostOpen, needs_a_cluster_whose_hosts_are_known) {
  const auto schema = Dictionary::parse(test_schema).value();
  DatabaseOptions shared;
  shared.shared = true;
  EXPECT_ERROR(Database::open("x", schema, shared), cluster_invalid_parameter);
  ClusterParams with_transport;
  with_transport.transport = LocalNetwork({1}).endpoint(0);
  EXPECT_ERROR(Database::open("x", schema, shared, std::move(with_transport)),
               cluster_invalid_parameter);
  const Common common;
  ClusterParams with_hosts;
  with_hosts.hosts = std::make_unique<TestGroups>(common, 0, one_host);
  EXPECT_ERROR(Database::open("x", schema, {}, std::move(with_hosts)), cluster_invalid_parameter);
}

TEST(SharedHostOpen, a_failure_of_one_process_is_everybody_s) {
  for (std::uint32_t failing = 0; failing < two_hosts.size(); ++failing) {
    Processes processes(two_hosts, [failing](Rank& rank) {
      auto params = rank.params();
      if (rank.self == failing) params.local_failure = {ErrorCode::schema, "line 7 is odd"};
      require_error(ErrorCode::schema, "node " + std::to_string(failing) + ": line 7 is odd",
                    [&] { rank.open(std::move(params)); });
      require(TestGroups::closes == 1, "the groups are closed");
    });
    processes.expect_all_well();
  }
}

TEST(SharedHostOpen, another_schema_is_named_with_the_difference) {
  Processes processes(one_host, [](Rank& rank) {
    if (rank.self == 1)
      rank.schema = Dictionary::parse("declare database test; class Item { int4 other; };").value();
    require_error(ErrorCode::cluster_incompatible, "node 1", [&] { rank.open(); });
  });
  processes.expect_all_well();
}

/// Nodes 0 and 1 are told to be one host, but node 1 cannot look into node 0's process: as in a
/// container of its own.
TEST(SharedHostOpen, who_cannot_attach_is_named_with_cause_and_remedy) {
  Processes processes(one_host, [](Rank& rank) {
    if (rank.self == 2) {
      // No descriptor can be opened any more.
      const rlimit none{3, 3};
      setrlimit(RLIMIT_NOFILE, &none);
    }
    require_error(ErrorCode::unsupported, "node 2 cannot attach to the memory of node 0",
                  [&] { rank.open(); });
    require(TestGroups::closes == 1, "the groups are closed");
  });
  processes.expect_all_well();
}

TEST(SharedHostInfo, every_process_knows_all_nodes_and_the_window_is_the_leader_s) {
  Processes processes(two_hosts, [](Rank& rank) {
    auto params = rank.params();
    params.nodes = {{"a", 5}, {"b", 1}, {"c", 2}, {"d", 3}};
    params.window.bsize_bytes = 77;
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    rank.put(*con, int(rank.self)).or_throw();
    rank.meet();
    const auto info = rank.db->cluster_info();
    require(info.self == rank.self && info.nodes.size() == 4 && info.active_nodes() == 4, "nodes");
    require(info.nodes[2].node.qrank == 2 && info.nodes[2].node.addr == "c", "as given");
    require(info.quorum && info.rounds > 0, "the leader's figures");
    auto statistics = rank.db->statistics();
    require(statistics["commits"] == 1, "its own commits");
    require(statistics["transactions_applied"] == 4, "the host's applied ones");
    require(rank.db->window().bsize_bytes == 77, "the leader's window");
    rank.meet();
    const bool leads = rank.self % 2 == 0;
    if (leads)
      rank.db->set_window({});
    else
      require_error(ErrorCode::unsupported, "node " + std::to_string(rank.self - 1),
                    [&] { rank.db->set_window({}); });
    rank.meet();
    rank.db->close();
  });
  processes.expect_all_well();
}

/// What a callback was told, in a thread of the database's.
struct Told {
  std::mutex mutex;
  std::set<std::uint32_t> there;
  void operator()(Notification what, const NodeInfo& who) {
    const std::lock_guard lock(mutex);
    if (what == Notification::connect)
      there.insert(who.node_id);
    else
      there.erase(who.node_id);
  }
  void wait_for(const std::set<std::uint32_t>& wanted) {
    for (int i = 0;; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (there == wanted) return;
      }
      require(i < 100'000, "it is told in the end");
      usleep(100);
    }
  }
};

TEST(SharedHostInfo, each_process_is_told_who_is_there_and_who_goes) {
  Processes processes({0, 0, 0, 1, 1}, [](Rank& rank) {
    const auto told = std::make_shared<Told>();
    auto params = rank.params();
    params.notify = [told](Notification what, const NodeInfo& who) { (*told)(what, who); };
    rank.open(std::move(params));
    std::set<std::uint32_t> others{0, 1, 2, 3, 4};
    others.erase(rank.self);
    told->wait_for(others);
    rank.meet();
    if (rank.self == 2 || rank.self == 4) return rank.db.reset();  // followers that leave
    // Of its own host and of the other one; and nobody is counted as reached who has left.
    others.erase(2);
    others.erase(4);
    told->wait_for(others);
    for (const auto& each : rank.db->cluster_info().nodes)
      require(each.reached == (each.node.node_id != 2 && each.node.node_id != 4), "reached");
    require(rank.common.mark(0).fetch_add(1) < 3, "three are left");
    rank.common.wait_for(0, 3);
    if (rank.self == 3) return rank.db.reset();  // the other host's leader
    told->wait_for(rank.self == 0 ? std::set<std::uint32_t>{1} : std::set<std::uint32_t>{0});
    rank.db->close();
    told->wait_for({});
  });
  processes.expect_all_well();
}

/// Two followers have the votes, one of each host: no host goes.
void lose_votes_of_followers(Rank& rank, bool killed) {
  auto params = rank.params();
  params.nodes = {{"", 1}, {"", 3}, {"", 1}, {"", 3}};
  std::atomic<int> asked{0};
  const bool gives = rank.self == 0;
  if (gives)
    params.quorum = [&](const std::vector<std::uint32_t>& neighbours) {
      ++asked;
      return neighbours == std::vector<std::uint32_t>{2};
    };
  rank.open(std::move(params));
  const auto con = rank.db->connect();
  rank.put(*con, int(rank.self)).or_throw();
  rank.meet();
  if (rank.self == 1) {
    if (killed) ::kill(getpid(), SIGKILL);
    return rank.db.reset();
  }
  while (rank.db->cluster_info().nodes[1].reached) usleep(100);
  rank.put(*con, 10 + int(rank.self)).or_throw();  // 5 of 8
  require(rank.common.mark(0).fetch_add(1) < 3, "three are left");
  rank.common.wait_for(0, 3);
  if (rank.self == 3) return rank.db.reset();
  while (rank.db->cluster_info().quorum) usleep(100);
  const auto result = rank.put(*con, 100 + int(rank.self));  // 2 of 8
  if (gives)
    require(result.committed() && asked == 1, "its callback says yes: " + result.text);
  else
    require(result.code == ErrorCode::cluster_no_quorum &&
                result.text.find("qrank 2 of 8") != std::string::npos &&
                result.text.find("gone: node 1, 3") != std::string::npos,
            "no, and it names the nodes: " + result.text);
  require(rank.db->state().writes == gives, "so says its state");
  rank.db->close();
}

TEST(SharedHostInfo, the_votes_of_followers_that_have_left_count_no_more_on_any_host) {
  Processes processes(two_hosts, [](Rank& rank) { lose_votes_of_followers(rank, false); });
  processes.expect_all_well();
}

TEST(SharedHostInfo, the_votes_of_a_follower_that_died_count_no_more_on_any_host) {
  Processes processes(two_hosts, [](Rank& rank) { lose_votes_of_followers(rank, true); });
  EXPECT_EQ(processes.end(1), -SIGKILL);
  processes.expect_all_well();
}

TEST(SharedHostInfo, followers_of_a_host_lose_the_votes_of_one_of_them) {
  Processes processes(one_host, [](Rank& rank) {
    auto params = rank.params();
    params.nodes = {{"", 1}, {"", 1}, {"", 2}};
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    rank.put(*con, int(rank.self)).or_throw();
    rank.meet();
    if (rank.self == 2) return rank.db.reset();
    while (rank.db->cluster_info().quorum || rank.db->state().writes) usleep(100);
    const auto result = rank.put(*con, 100);
    require(result.code == ErrorCode::cluster_no_quorum, "2 of 4: " + result.text);
    require(rank.count(*con, false) == 3, "reads go on");
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostInfo, without_a_quorum_each_process_asks_its_own_callback) {
  Processes processes({0, 0, 0, 1, 1, 1}, [](Rank& rank) {
    auto params = rank.params();
    std::atomic<int> asked{0};
    if (rank.self == 1)
      params.quorum = [&](const std::vector<std::uint32_t>& neighbours) {
        ++asked;
        return neighbours == std::vector<std::uint32_t>{0, 2};
      };
    if (rank.self == 2)
      params.quorum = [&](const std::vector<std::uint32_t>&) {
        ++asked;
        return false;
      };
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    rank.put(*con, int(rank.self)).or_throw();
    rank.meet();
    if (rank.hosts[rank.self] == 1) return rank.db.reset();
    while (rank.db->cluster_info().quorum) usleep(100);
    require(rank.common.mark(0).fetch_add(1) < 3, "three are left");
    rank.common.wait_for(0, 3);
    const auto result = rank.put(*con, 100 + int(rank.self));
    if (rank.self == 1)
      require(result.committed() && asked > 0, "its callback says yes: " + result.text);
    else
      require(result.code == ErrorCode::cluster_no_quorum, "no: " + result.text);
    require((asked > 0) == (rank.self != 0), "who has a callback was asked");
    rank.db->close();
  });
  processes.expect_all_well();
}

}  // namespace
}  // namespace exdb
