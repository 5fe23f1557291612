// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One replica a host: processes that open, commit, read and close together.
#include "shared_host.hpp"

namespace exdb {
namespace {

const std::vector<std::uint32_t> one_host{0, 0, 0};
const std::vector<std::uint32_t> two_hosts{0, 0, 1, 1};

void commit_from_all(Rank& rank) {
  constexpr int each = 40;
  rank.open();
  require(rank.db->node_id() == rank.self && rank.db->nodes() == rank.nodes(), "who is who");
  const auto con = rank.db->connect();
  for (int i = 0; i < each; ++i) rank.put(*con, int(rank.self) * 1000 + i, i).or_throw();
  rank.meet();
  require(rank.count(*con) == std::uint64_t{each} * rank.nodes(), "a fresh read has all commits");
  rank.meet();
  rank.common.mark(rank.self) = rank.db->digest();
  rank.meet();
  require(rank.common.mark(rank.self) == rank.common.mark(0), "digests are equal");
  require(rank.db->published().value == std::uint64_t{each} * rank.nodes(), "csns are dense");
  rank.db->close();
}

TEST(SharedHost, all_processes_of_a_host_commit_and_read_one_replica) {
  Processes processes(one_host, commit_from_all);
  processes.expect_all_well();
}

TEST(SharedHost, hosts_with_several_processes_have_equal_replicas) {
  Processes processes(two_hosts, commit_from_all);
  processes.expect_all_well();
}

TEST(SharedHost, a_host_may_have_a_single_process) {
  Processes processes({0, 1, 1}, commit_from_all);
  processes.expect_all_well();
}

TEST(SharedHost, a_commit_is_told_once_and_its_outcome_is_known_everywhere) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    CommitResult result;
    try {
      result = rank.put(*con, 1);  // all of them want the same key
    } catch (const Error& error) {
      result = {error.code(), {}, {}, error.what()};  // it was there already
      con->rollback();
    }
    require(result.committed() || result.code == ErrorCode::duplicate ||
                result.code == ErrorCode::conflict,
            "one is first: " + result.text);
    if (result.committed()) {
      rank.common.mark(10).fetch_add(1);
      rank.common.mark(11) = result.id.origin.value;
      rank.common.mark(12) = result.id.sequence;
      require(result.csn == Csn{1}, "the csn of its commit");
    } else {
      require(result.text.find("by_id") != std::string::npos, "it says why: " + result.text);
    }
    rank.meet();
    require(rank.common.mark(10) == 1, "exactly one has committed");
    const TxnId id{NodeId{std::uint32_t(rank.common.mark(11))}, rank.common.mark(12)};
    require(rank.db->outcome(id) == TransactionOutcome::committed, "its outcome");
    require(rank.db->outcome({id.origin, 999}) == TransactionOutcome::unknown, "of another");
    rank.meet();
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHost, local_classes_are_each_process_s_own) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    for (int i = 0; i <= int(rank.self); ++i) {
      con->start();
      con->create(rank.scratch()).set("id", i);
      con->commit().or_throw();
    }
    rank.meet();
    con->start();
    require(con->count(rank.scratch()) == rank.self + 1, "it has its own rows and no others");
    con->rollback();
    rank.db->close();
  });
  processes.expect_all_well();
}

}  // namespace
}  // namespace exdb
