// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One replica a host: what transactions see while others commit, and what is in conflict.
#include "shared_host.hpp"

namespace exdb {
namespace {

const std::vector<std::uint32_t> one_host{0, 0, 0};
const std::vector<std::uint32_t> two_hosts{0, 0, 1, 1};
constexpr int accounts = 40, amount = 100;

TransactionOptions serializable() {
  TransactionOptions made;
  made.isolation = Isolation::serializable;
  return made;
}

/// Moves money about; any snapshot has the same sum.
bool transfer(Rank& rank, Connection& con, unsigned turn) {
  con.start();
  const int from = int(turn * 7 + rank.self * 13) % accounts, to = (from + 1) % accounts;
  auto giver = *rank.find(con, from), taker = *rank.find(con, to);
  giver.set("price", giver.get("price").as_int() - 1);
  taker.set("price", taker.get("price").as_int() + 1);
  const auto result = con.commit();
  require(result.committed() || result.code == ErrorCode::conflict, result.text);
  return result.committed();
}

std::int64_t sum(Rank& rank, Connection& con) {
  con.start();
  std::int64_t all = 0;
  auto rows = con.cursor(rank.item());
  while (const auto row = rows.next()) all += row->get("price").as_int();
  con.rollback();
  return all;
}

void transfer_and_look(Rank& rank) {
  rank.open();
  const auto con = rank.db->connect(), reader = rank.db->connect();
  for (int i = 0; rank.self == 0 && i < accounts; ++i) rank.put(*con, i, amount).or_throw();
  rank.meet();
  require(rank.count(*con) == accounts, "all are there");
  int committed = 0;
  for (unsigned turn = 0; turn < 150; ++turn) {
    committed += transfer(rank, *con, turn) ? 1 : 0;
    require(sum(rank, *reader) == accounts * amount, "a snapshot is whole");
  }
  require(committed > 0, "some get through");
  rank.meet();
  require(rank.count(*con) == accounts, "up to date");
  rank.common.mark(rank.self) = rank.db->digest();
  rank.meet();
  require(rank.common.mark(rank.self) == rank.common.mark(0), "digests are equal");
  rank.db->close();
}

TEST(SharedHostReads, snapshots_are_whole_while_everybody_commits) {
  Processes one(one_host, transfer_and_look);
  one.expect_all_well();
  Processes two(two_hosts, transfer_and_look);
  two.expect_all_well();
}

TEST(SharedHostReads, the_memory_grows_while_all_read_it) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect(), reader = rank.db->connect();
    const std::vector<double> samples(4000, 1.5 + rank.self);
    const auto reserved = rank.db->statistics()["memory_reserved_bytes"];
    for (int i = 0; i < 100; ++i) {
      const int id = int(rank.self) * 1000 + i;
      con->start();
      auto object = con->create(rank.item());
      object.set("id", id);
      object.set_raw(rank.samples(), FieldType::float64, std::as_bytes(std::span(samples)));
      con->commit().or_throw();
      reader->start();
      const auto found = rank.find(*reader, id);
      require(found.has_value() && found->get("samples").as_list().size() == 4000,
              "what was committed is there, whole");
      reader->rollback();
    }
    rank.meet();
    require(rank.count(*con) == 300, "all of it");
    require(rank.db->statistics()["memory_reserved_bytes"] > reserved, "it has grown");
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostReads, serializable_transactions_of_two_processes_conflict) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    for (int i = 0; rank.self == 0 && i < 3; ++i) rank.put(*con, i).or_throw();
    rank.meet();
    require(rank.count(*con) == 3, "up to date");
    // Write skew: each counts all rows, and adds one of its own.
    con->start(serializable());
    require(con->count(rank.item()) == 3, "as it began");
    rank.meet();
    con->create(rank.item()).set("id", 100 + int(rank.self));
    const auto result = con->commit();
    require(result.committed() || result.code == ErrorCode::conflict ||
                result.code == ErrorCode::snapshot_too_old,
            result.text);
    rank.common.mark(0).fetch_add(result.committed() ? 1 : 0);
    rank.meet();
    require(rank.common.mark(0) == 1, "one of them gets through");
    rank.db->close();
  });
  processes.expect_all_well();
}

/// An open serializable snapshot of a follower holds the agreed horizon back: what it read can still
/// be told thousands of commits later.
TEST(SharedHostReads, a_follower_s_open_snapshot_is_not_too_old_however_much_is_committed) {
  Processes processes(two_hosts, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    if (rank.self == 0) rank.put(*con, 0).or_throw();
    rank.meet();
    require(rank.count(*con) == 1, "up to date");
    if (rank.self == 1 || rank.self == 3) {
      con->start(serializable());
      require(rank.find(*con, 0).has_value(), "it reads");
      require(!rank.find(*con, 50 + int(rank.self)).has_value(), "a key that is not there");
    }
    rank.meet();
    const auto other = rank.db->connect();
    for (int i = 0; i < 100; ++i) rank.put(*other, 1000 * int(rank.self + 1) + i).or_throw();
    rank.meet();
    if (rank.self == 1 || rank.self == 3) {
      con->create(rank.item()).set("id", 50 + int(rank.self));
      con->commit().or_throw();
    }
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostReads, a_fresh_read_has_what_another_process_was_told_of) {
  Processes processes(two_hosts, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    // In turn: who has committed says so, and all others look.
    for (std::uint32_t turn = 0; turn < 80; ++turn) {
      if (turn % rank.nodes() == rank.self) {
        rank.put(*con, int(turn)).or_throw();
        rank.common.mark(0) = turn + 1;
      } else {
        rank.common.wait_for(0, turn + 1);
      }
      require(rank.count(*con) >= turn + 1, "turn " + std::to_string(turn));
    }
    rank.meet();
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostReads, at_least_waits_for_the_csn_and_not_for_ever) {
  Processes processes(one_host, [](Rank& rank) {
    auto params = rank.params();
    params.timeout = std::chrono::milliseconds(500);
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    if (rank.self == 1) {
      rank.common.wait_for(0, 2);
      rank.put(*con, 1).or_throw();
    } else {
      rank.common.mark(0).fetch_add(1);
      TransactionOptions wanted;
      wanted.at_least = Csn{1};
      con->start(wanted);
      require(rank.find(*con, 1).has_value(), "it is there");
      con->rollback();
      wanted.at_least = Csn{99};
      require_error(ErrorCode::timeout, "csn 99", [&] { con->start(wanted); });
    }
    rank.db->close();
  });
  processes.expect_all_well();
}

void put_both(Rank& rank, Connection& con, int id) {
  con.start();
  con.create(rank.item()).set("id", id);
  con.create(rank.scratch()).set("id", id);
}

/// L1 of local_part.hpp: own rows of both kinds are seen together, by any thread at any time.
TEST(SharedHostReads, a_transaction_over_local_and_replicated_classes_shows_both_or_neither) {
  Processes processes(two_hosts, [](Rank& rank) {
    rank.open();
    const int first = 10'000 * int(rank.self);
    std::atomic<bool> done{false};
    std::atomic<int> torn{0}, looks{0};
    std::thread looking([&] {
      const auto con = rank.db->connect();
      while (!done) {
        con->start();
        int own = 0;
        auto rows = con->cursor(rank.item());
        while (const auto row = rows.next())
          own += row->get("id").as_int() / 10'000 == int(rank.self) ? 1 : 0;
        if (std::uint64_t(own) != con->count(rank.scratch())) ++torn;
        con->rollback();
        ++looks;
      }
    });
    const auto con = rank.db->connect();
    for (int i = 0; i < 60; ++i) {
      put_both(rank, *con, first + i);
      con->commit().or_throw();
    }
    while (looks < 5) usleep(100);
    done = true;
    looking.join();
    require(torn == 0, std::to_string(torn) + " of " + std::to_string(looks) + " are torn");
    // One whose replicated part is refused leaves nothing here.
    con->start();
    con->create(rank.item()).set("id", first + 5000);
    con->create(rank.scratch()).set("id", first + 5000);
    const auto other = rank.db->connect();
    rank.put(*other, first + 5000).or_throw();
    require(!con->commit().committed(), "the key is taken");
    con->start();
    require(con->count(rank.scratch()) == 60, "nothing of it is left");
    con->rollback();
    // And the turn is free, also while one is on its way whose answer nobody has taken.
    put_both(rank, *con, first + 6000);
    con->commit_later();
    other->start();
    other->create(rank.scratch()).set("id", first + 6001);
    other->commit().or_throw();
    con->wait().or_throw();
    other->start();
    require(other->count(rank.scratch()) == 62, "both");
    other->rollback();
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostReads, what_is_sent_ahead_arrives_and_what_is_rolled_back_does_not) {
  Processes processes(two_hosts, [](Rank& rank) {
    auto params = rank.params();
    params.mode_mask = cluster_mode_early_data_send;
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    const std::vector<double> samples(20'000, 2.5);
    for (int round = 0; round < 2; ++round) {
      con->start();
      for (int i = 0; i < 10; ++i) {
        auto object = con->create(rank.item());
        object.set("id", int(rank.self) * 100 + i);
        object.set_raw(rank.samples(), FieldType::float64, std::as_bytes(std::span(samples)));
      }
      if (round == 0)
        con->rollback();
      else
        con->commit().or_throw();
    }
    rank.meet();
    require(rank.count(*con) == 10 * rank.nodes(), "one of two of each");
    require(rank.db->statistics()["fragments_received"] > 0, "parts went ahead");
    rank.db->close();
  });
  processes.expect_all_well();
}

}  // namespace
}  // namespace exdb
