// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One replica a host: how its processes end, together, one by one, and by being killed.
#include <filesystem>

#include "shared_host.hpp"

namespace exdb {
namespace {

const std::vector<std::uint32_t> one_host{0, 0, 0};
const std::vector<std::uint32_t> two_hosts{0, 0, 1, 1};

/// close() returns when all have called it, whatever the order: `last` commits until the others are
/// in close(), and then a little more.
void close_with_last(Rank& rank, std::uint32_t last) {
  rank.open();
  const auto con = rank.db->connect();
  rank.put(*con, int(rank.self)).or_throw();
  if (rank.self != last) {
    rank.common.mark(0).fetch_add(1);
    rank.db->close();
    require(rank.common.mark(1) == 1, "the last one had not closed yet");
    return;
  }
  rank.common.wait_for(0, rank.nodes() - 1);
  for (int i = 0; i < 100; ++i) rank.put(*con, 1000 + i).or_throw();
  require(rank.count(*con) == 100 + rank.nodes(), "it sees everybody's commits");
  rank.common.mark(1) = 1;
  rank.db->close();
}

TEST(SharedHostEnds, close_waits_for_the_last_one_whichever_that_is) {
  for (const auto& hosts : {one_host, two_hosts}) {
    for (std::uint32_t last = 0; last < hosts.size(); ++last) {
      Processes processes(hosts, [last](Rank& rank) { close_with_last(rank, last); });
      processes.expect_all_well();
    }
  }
}

/// All but `odd` close one before two.
void close_two(Rank& rank, std::uint32_t odd, bool concerned) {
  auto open_one = [&](const char* name) {
    auto params = rank.params();
    params.timeout = std::chrono::seconds(2);  // how soon an order is certain
    return Database::open(name, rank.schema, Rank::options(), std::move(params));
  };
  const auto one = open_one("one"), two = open_one("two");
  rank.meet();
  const bool other_way = rank.self == odd;
  auto& first = other_way ? *two : *one;
  auto& second = other_way ? *one : *two;
  std::string said = "nothing";
  try {
    first.close();
  } catch (const Error& error) {
    require(error.code() == ErrorCode::cluster, std::string("another error: ") + error.what());
    said = error.what();
  }
  if (concerned)
    require(said.find("closed in opposite order: node " + std::to_string(rank.self)) !=
                std::string::npos,
            "it is told, whoever sees it first: " + said);
  try {
    second.close();  // whatever it says: it comes back
  } catch (const Error&) {
  }
}

TEST(SharedHostEnds, two_databases_closed_in_opposite_order_end_on_both_processes) {
  for (const std::uint32_t odd : {0U, 1U}) {
    Processes processes({0, 0}, [odd](Rank& rank) { close_two(rank, odd, true); });
    processes.expect_all_well();
  }
}

TEST(SharedHostEnds, two_followers_that_close_in_opposite_order_hold_up_nobody_for_ever) {
  Processes processes(one_host, [](Rank& rank) { close_two(rank, 2, rank.self == 2); });
  processes.expect_all_well();
}

TEST(SharedHostEnds, databases_that_threads_close_at_once_are_closed_in_no_order) {
  Processes processes(one_host, [](Rank& rank) {
    std::array<std::unique_ptr<Database>, 2> all;
    for (auto& one : all)
      one = Database::open("one of two", rank.schema, Rank::options(), rank.params());
    rank.meet();
    std::thread other([&] { all[rank.self % 2]->close(); });
    usleep(300'000);
    all[1 - rank.self % 2]->close();
    other.join();
  });
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_process_that_has_stopped_is_refused_and_can_read) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    rank.put(*con, int(rank.self)).or_throw();
    rank.meet();
    const auto stopper = rank.db->connect();
    std::thread stopping([&] { stopper->stop(); });
    while (rank.db->state().phase == DatabaseState::Phase::open) usleep(100);
    const auto refused = rank.put(*con, 100 + int(rank.self));
    require(refused.code == ErrorCode::cluster_stopped, "refused: " + refused.text);
    stopping.join();
    require(rank.db->state().phase == DatabaseState::Phase::stopped, "all have stopped");
    require(rank.count(*con, false) == 3, "what is here can be read");
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_follower_that_leaves_is_not_waited_for) {
  Processes processes(two_hosts, [](Rank& rank) {
    rank.open();
    if (rank.self == 1) {
      const auto con = rank.db->connect();
      rank.put(*con, 1).or_throw();
      rank.db.reset();  // an exception, say
      return;
    }
    // Known everywhere: what it never sent will never be committed.
    while (rank.db->outcome({NodeId{1}, 999}) != TransactionOutcome::aborted) usleep(100);
    rank.db->close();
  });
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_leader_that_leaves_is_named_to_its_followers) {
  Processes processes(two_hosts, [](Rank& rank) {
    rank.open();
    const auto con = rank.db->connect();
    if (rank.self == 0) {
      rank.put(*con, 1).or_throw();
      rank.meet();
      rank.db->abandon();
      return;
    }
    rank.meet();
    if (rank.self != 1)
      return rank.db->close();  // the other host goes on, by its half of the qrank
    while (rank.db->state().phase == DatabaseState::Phase::open) usleep(100);
    const auto result = rank.put(*con, 2);
    require(result.code == ErrorCode::cluster, "refused: " + result.text);
    require(result.text.find("node 0") != std::string::npos, "it names node 0: " + result.text);
    require_error(ErrorCode::cluster, "node 0", [&] { (void)rank.count(*con, true); });
    require(rank.count(*con, false) == 1, "reads of what is here go on");
    require_error(ErrorCode::cluster, "node 0", [&] { rank.db->close(); });
  });
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_deadline_of_close_names_who_has_not_stopped) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    if (rank.self == 2) {
      const auto con = rank.db->connect();
      while (rank.db->state().phase == DatabaseState::Phase::open) usleep(100);
      require(rank.put(*con, 1).code == ErrorCode::cluster, "the leader has left");
      return;
    }
    const auto who = rank.self == 0 ? "node 2" : "node 0";
    const auto deadline = std::chrono::milliseconds(rank.self == 0 ? 400 : 100);
    require_error(ErrorCode::timeout, who, [&] { rank.db->close(deadline); });
  });
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_killed_follower_holds_nothing_up_and_its_pins_are_taken_back) {
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    auto con = rank.db->connect();
    for (int i = 0; i < 50 && rank.self == 0; ++i) rank.put(*con, i).or_throw();
    rank.meet();
    if (rank.self == 1) {
      // Killed with an open serializable snapshot, and commits on their way.
      TransactionOptions wanted;
      wanted.isolation = Isolation::serializable;
      con->start(wanted);
      (void)con->count(rank.item());
      const auto other = rank.db->connect();
      for (int i = 1000;; ++i) {
        rank.put(*other, i).or_throw();
        rank.common.mark(0).fetch_add(1);
      }
    }
    rank.common.wait_for(0, 5);
    for (int i = 0; i < 50; ++i) {
      con->start();
      rank.find(*con, i)->set("price", int(rank.self) * 100 + i);
      const auto result = con->commit();
      require(result.committed() || result.code == ErrorCode::conflict, "goes on: " + result.text);
      if (i == 10) rank.common.mark(1).fetch_add(1);
    }
    if (rank.self != 0) return rank.db->close();
    rank.common.wait_for(2, 1);  // it is dead
    // Nothing is held back once its places are taken back.
    for (int i = 0; rank.db->cluster_info().snapshots != 0; ++i) {
      require(i < 20'000, "the pins of a dead process are taken back");
      usleep(500);
    }
    // 50 versions would stay for its snapshot; the last few always wait for the next publish. Far
    // fewer commits than after which the storage looks by itself.
    for (int i = 0; rank.db->statistics()["garbage"] > 10; ++i) {
      require(i < 200, "what only it could see goes");
      con->start();
      rank.find(*con, 0)->set("price", i);
      con->commit().or_throw();
    }
    rank.db->close();
  });
  processes.common().wait_for(1, 1);
  processes.kill(1);
  EXPECT_EQ(processes.end(1), -SIGKILL);
  processes.common().mark(2) = 1;
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_killed_leader_is_named_at_once_and_what_is_there_can_be_read) {
  Processes processes(one_host, [](Rank& rank) {
    auto params = rank.params();
    params.timeout =
        std::chrono::minutes(10);  // far longer than the test: silence is not what ends
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    if (rank.self == 0) {
      rank.put(*con, 1).or_throw();
      rank.meet();
      for (;;) pause();
    }
    rank.meet();
    const auto reader = rank.db->connect();
    reader->start();
    require(rank.find(*reader, 1).has_value(), "a row is there");
    const auto first = rank.put(*con, 98 - 10 * int(rank.self));
    first.or_throw();
    CommitResult result;
    int i = 0;
    do {
      result = rank.put(*con, 100 + int(rank.self) + 2 * i++);
      rank.common.mark(0).fetch_add(1);
    } while (result.committed());
    require(result.code == ErrorCode::cluster || result.code == ErrorCode::unknown_outcome,
            "the commit fails: " + result.text);
    require(result.text.find("node 0") != std::string::npos, "it names node 0: " + result.text);
    const auto next = rank.put(*con, 99);
    require(next.code == ErrorCode::cluster, "the next one is certain: " + next.text);
    require_error(ErrorCode::cluster, "node 0", [&] { (void)rank.count(*con, true); });
    require(reader->count(rank.item()) >= 1, "the open snapshot is as it was");
    require(rank.count(*con, false) >= 1, "new snapshots can be taken");
    const auto state = rank.db->state();
    require(state.phase == DatabaseState::Phase::failed && state.reads && !state.writes &&
                !state.fresh_reads && state.text.find("node 0") != std::string::npos,
            "its state says so: " + state.text);
    // What it told of is in the memory that is left; what it took and told nobody of may be nowhere.
    require(rank.db->outcome(first.id) == TransactionOutcome::committed, "its first one");
    require(rank.db->outcome({first.id.origin, first.id.sequence + 1'000'000}) ==
                TransactionOutcome::unknown,
            "nobody knows");
    require_error(ErrorCode::cluster, "node 0", [&] { rank.db->close(); });
    rank.db.reset();
  });
  processes.common().wait_for(0, 20);
  processes.kill(0);
  EXPECT_EQ(processes.end(0), -SIGKILL);
  processes.expect_all_well();
}

TEST(SharedHostEnds, a_silent_leader_is_named_after_the_timeout_and_takes_nothing_when_it_wakes) {
  Processes processes(one_host, [](Rank& rank) {
    auto params = rank.params();
    params.timeout = std::chrono::milliseconds(1500);
    params.nodes = {{"", 3}, {"", 1}, {"", 1}};  // node 0 may write alone
    rank.open(std::move(params));
    const auto con = rank.db->connect();
    rank.put(*con, int(rank.self)).or_throw();
    rank.meet();
    rank.common.mark(0).fetch_add(1);
    rank.common.wait_for(1, 1);
    if (rank.self == 0) {
      rank.common.wait_for(2, 1);
      // Its relay is awake meanwhile, and its followers live.
      for (int i = 0; i < 20; ++i) rank.put(*con, 50 + i).or_throw();
      usleep(200'000);
      require(rank.db->published() == Csn{23}, "what was certain is nowhere");
      rank.common.mark(4) = 1;
      return rank.db->close();  // its followers have left
    }
    const auto result = rank.put(*con, 100 + int(rank.self));
    require(result.code == ErrorCode::timeout, "never taken, so certain: " + result.text);
    require(result.text.find("node 0") != std::string::npos, "it names node 0: " + result.text);
    rank.common.mark(3).fetch_add(1);
    rank.common.wait_for(4, 1);
  });
  processes.common().wait_for(0, 3);
  processes.stop(0);
  processes.common().mark(1) = 1;
  processes.common().wait_for(3, 2);
  processes.kill(0, SIGCONT);
  processes.common().mark(2) = 1;
  processes.expect_all_well();
}

TEST(SharedHostEnds, nothing_is_left_in_the_file_system) {
  const auto files = [] {
    const std::filesystem::directory_iterator all("/dev/shm");
    std::vector<std::string> names;
    for (const auto& each : all)
      if (each.path().filename().string().find("exdb") != std::string::npos)
        names.push_back(each.path().string());
    return names;
  };
  const auto before = files();
  Processes processes(one_host, [](Rank& rank) {
    rank.open();
    rank.meet();
    for (;;) pause();
  });
  while (processes.common()->generation < 5) usleep(100);  // two gathers, and the meeting
  for (std::uint32_t node = 0; node < 3; ++node) {
    processes.kill(node);
    EXPECT_EQ(processes.end(node), -SIGKILL);
  }
  EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace exdb
