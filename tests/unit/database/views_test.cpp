// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases whose nodes come and go, over the in-process transport.
#include "views_fixture.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

class TwoThatConsentTest : public ViewsTest {
 protected:
  TwoThatConsentTest() : ViewsTest(2) {
    quorum = [](const auto&) { return true; };
    probes = 25;
  }

  /// Each goes on alone, and has committed by itself.
  void apart() {
    open_all();
    shared = store(*db[0], 1, 10);
    ASSERT_TRUE(shared.committed());
    ASSERT_TRUE(eventually([&] { return price(*db[1], 1) == 10; }));
    network.mute(1);
    for (std::uint32_t node = 0; node < 2; ++node)
      ASSERT_TRUE(eventually([&] {
        const auto info = db[node]->cluster_info();
        return !info.nodes[1 - node].reached && info.active_nodes() == 1;
      }));
    for (int i = 0; i < 5; ++i) {
      mine[0] = store(*db[0], 100 + i, 1);
      ASSERT_TRUE(mine[0].committed()) << last_refusal;
    }
    mine[1] = store(*db[1], 2, 20);
    ASSERT_TRUE(mine[1].committed()) << last_refusal;
  }
  /// The node whose history was given up.
  std::uint32_t heal() {
    network.unmute(1);
    EXPECT_TRUE(eventually([&] {
      for (const auto& each : db)
        if (each->cluster_info().active_nodes() != 2) return false;
      return db[0]->digest() == db[1]->digest() && db[0]->published() == db[1]->published();
    }));
    return db[0]->statistics().at("states_taken") > 0 ? 0 : 1;
  }

  CommitResult shared, mine[2];
};

/// R7 of the replica.
TEST_F(TwoThatConsentTest, WhatBeganOnAHistoryThatIsGivenUpReadsItToTheEndAndIsRefused) {
  apart();
  std::vector<std::unique_ptr<Connection>> open;
  using enum Isolation;
  for (std::uint32_t node = 0; node < 2; ++node)
    for (const auto isolation : {repeatable_read, serializable, read_committed}) {
      auto& con = *open.emplace_back(db[node]->connect());
      TransactionOptions options;
      options.isolation = isolation;
      con.start(options);
      EXPECT_TRUE(con.find(by_id, std::vector<Value>{1}).has_value());
      con.create(item).set("id", 1000 + int(open.size()));
    }
  // Of local classes alone; and a row of a statement whose snapshot is gone.
  std::unique_ptr<Connection> local[2], past[2];
  std::optional<Object> found[2];
  for (std::uint32_t node = 0; node < 2; ++node) {
    (local[node] = db[node]->connect())->start();
    local[node]->create(*schema->find_class("Scratch")).set("id", 1);
    TransactionOptions options;
    options.isolation = read_committed;
    (past[node] = db[node]->connect())->start(options);
    found[node] = past[node]->find(by_id, std::vector<Value>{1});
    ASSERT_TRUE(store(*db[node], 500 + int(node), 1).committed()) << last_refusal;
    (void)past[node]->find(by_id, std::vector<Value>{1});
  }
  const auto own_id = [](std::uint32_t node) { return node == 0 ? 100 : 2; };
  const auto lost = heal(), survives = 1 - lost;
  EXPECT_EQ(found[survives]->get("price").as_int(), 10);
  EXPECT_ERROR(found[lost]->get("price"), invalid_handle);
  EXPECT_EQ(local[survives]->commit().code, ErrorCode::ok);
  EXPECT_EQ(local[lost]->commit().code, ErrorCode::conflict);
  EXPECT_EQ(price(*db[0], own_id(survives)), survives == 0 ? 1 : 20);
  EXPECT_EQ(price(*db[0], own_id(lost)), -1);
  EXPECT_EQ(price(*db[1], 1), 10);
  // db.outcome() says what is true in the history that goes on.
  for (const auto& each : db) {
    EXPECT_EQ(each->outcome(shared.id), TransactionOutcome::committed);
    EXPECT_EQ(each->outcome(mine[survives].id), TransactionOutcome::committed);
    EXPECT_EQ(each->outcome(mine[lost].id), TransactionOutcome::unknown);
  }
  for (std::size_t i = 0; i < open.size(); ++i) {
    auto& con = *open[i];
    const auto node = std::uint32_t(i / 3);
    if (node == lost && i % 3 == 2) {
      // Its next statement would read another history than the first.
      EXPECT_ERROR((void)con.find(by_id, std::vector<Value>{1}), conflict);
    } else {
      const auto own = con.find(by_id, std::vector<Value>{own_id(node)});
      ASSERT_TRUE(own.has_value());
      EXPECT_EQ(own->get("price").as_int(), node == 0 ? 1 : 20);
    }
    const auto result = con.commit();
    EXPECT_EQ(result.code, node == lost ? ErrorCode::conflict : ErrorCode::ok)
        << i << ": " << result.text;
    if (node == lost) {
      EXPECT_NE(result.text.find("given up the history"), std::string::npos) << result.text;
    }
  }
  ASSERT_TRUE(store(*db[lost], 3000, 1).committed()) << last_refusal;
  EXPECT_TRUE(eventually([&] { return db[0]->digest() == db[1]->digest(); }));
}

TEST_F(ViewsTest, RowsThatWentAheadAreThereOnceWhoeverDiesMeanwhile) {
  mode_mask = cluster_mode_early_data_send;
  open_all();
  const auto con = db[0]->connect();
  const auto large = [&](int from) {  // goes ahead in several parts
    for (int id = from; id < from + 150; ++id) {
      auto object = con->create(item);
      object.set("id", id);
      object.set("samples", Value(ValueList(1000, Value(1.0))));
    }
  };
  con->start();
  large(0);
  EXPECT_TRUE(eventually([&] { return db[1]->statistics().at("fragments_received") > 1; }));
  kill(2);
  large(1000);  // while nobody can commit
  ASSERT_TRUE(eventually([&] { return store(*db[1], 5000, 1).committed(); })) << last_refusal;
  large(2000);
  auto result = con->commit();
  ASSERT_TRUE(result.committed()) << result.text;
  // Of a node that dies with a transaction open nothing is left, and its next life begins anew.
  db[2] = open(network.restart(2));
  {
    const auto dies = db[2]->connect();
    dies->start();
    for (int id = 0; id < 100; ++id) {
      auto object = dies->create(item);
      object.set("id", 7000 + id);
      object.set("samples", Value(ValueList(1000, Value(1.0))));
    }
    EXPECT_TRUE(eventually([&] { return db[2]->statistics().at("fragments_received") > 0; }));
    kill(2);
  }
  ASSERT_TRUE(eventually([&] { return store(*db[0], 5001, 1).committed(); })) << last_refusal;
  db[2] = open(network.restart(2));
  EXPECT_TRUE(eventually([&] { return db[0]->published() == db[2]->published(); }));
  for (const auto& each : db) {
    EXPECT_EQ(each->digest(), db[0]->digest());
    EXPECT_EQ(each->statistics().at("rows"), 452u);
  }
}

TEST_F(ViewsTest, TheProgramIsToldWhoComesWhoDiesAndWhoLeaves) {
  notify = told.writer();
  db[0] = open(network.endpoint(0), 0ms);
  notify = {};
  db[1] = open(network.endpoint(1));
  EXPECT_TRUE(eventually([&] { return told.all() == "+1"; })) << told.all();
  db[2] = open(network.endpoint(2));
  EXPECT_TRUE(eventually([&] { return told.all() == "+1+2"; })) << told.all();
  kill(1);
  EXPECT_TRUE(eventually([&] { return told.all() == "+1+2-1"; })) << told.all();
  db[1] = open(network.restart(1));
  EXPECT_TRUE(eventually([&] { return told.all() == "+1+2-1+1"; })) << told.all();
  db[2]->abandon();
  network.crash(2);  // in process nobody but this tells that a transport was closed
  EXPECT_TRUE(eventually([&] { return told.all() == "+1+2-1+1-2"; })) << told.all();
  ASSERT_TRUE(store(*db[0], 1, 1).committed()) << last_refusal;
}

TEST_F(ViewsTest, WhatANodeCommittedInTheLifeBeforeCanStillBeAskedFor) {
  open_all();
  const auto committed = store(*db[2], 1, 10);
  ASSERT_TRUE(committed.committed()) << last_refusal;
  kill(2);
  ASSERT_TRUE(eventually([&] { return store(*db[0], 2, 20).committed(); })) << last_refusal;
  std::this_thread::sleep_for(100ms);  // lives are told apart by their times: OutcomeTable O4
  db[2] = open(network.restart(2));
  ASSERT_TRUE(store(*db[2], 3, 30).committed()) << last_refusal;
  EXPECT_TRUE(eventually([&] { return db[0]->published() == db[2]->published(); }));
  for (const auto node : {0, 2})
    EXPECT_EQ(db[node]->outcome(committed.id), TransactionOutcome::committed) << node;
}

TEST_F(ViewsTest, OneOfThreeIsKilledTwoGoOnAndItComesBackEmptyAndGetsTheState) {
  open_all();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(store(*db[i % 3], i, 100 + i).committed()) << i << ": " << last_refusal;
  }
  kill(2);
  for (int i = 50; i < 60; ++i)
    ASSERT_TRUE(store(*db[i % 2], i, 100 + i).committed()) << last_refusal;
  db[2] = open(network.restart(2));
  EXPECT_EQ(price(*db[2], 3), 103);
  EXPECT_EQ(price(*db[2], 59), 159);
  ASSERT_TRUE(store(*db[2], 60, 160).committed()) << last_refusal;
  EXPECT_TRUE(eventually([&] {
    return db[0]->published() == db[2]->published() && db[1]->published() == db[2]->published();
  }));
  EXPECT_EQ(db[0]->digest(), db[2]->digest());
  EXPECT_EQ(db[1]->digest(), db[2]->digest());
  std::vector<std::future<void>> closing;
  for (auto& each : db) closing.push_back(std::async(std::launch::async, [&] { each->close(); }));
  for (auto& each : closing) EXPECT_NO_THROW(each.get());
}

TEST_F(ViewsTest, AStateThatRoundsDoNotReachBackToReplacesTheReplica) {
  open_all();
  // More than a node keeps of rounds.
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(store(*db[i % 3], i, i, 1 << 17).committed()) << last_refusal;
  kill(2);
  ASSERT_TRUE(store(*db[0], 40, 40).committed()) << last_refusal;
  db[2] = open(network.restart(2), 0ms);
  const auto before = db[2]->connect();  // it holds the state that is replaced
  before->start();
  EXPECT_TRUE(eventually([&] { return db[2]->statistics().at("states_taken") == 1; }));
  EXPECT_TRUE(eventually([&] { return db[2]->state().writes && price(*db[2], 40) == 40; }));
  EXPECT_EQ(price(*db[2], 7), 7);
  EXPECT_FALSE(before->find(by_id, std::vector<Value>{7}).has_value());
  before->rollback();
  ASSERT_TRUE(store(*db[2], 41, 41).committed()) << last_refusal;
  EXPECT_ERROR(store(*db[2], 7, 8), duplicate);  // the indexes are of the new state
  EXPECT_TRUE(eventually([&] { return db[0]->published() == db[2]->published(); }));
  EXPECT_EQ(db[0]->digest(), db[2]->digest());
}

TEST_F(ViewsTest, WithoutQuorumItReadsAndRefusesToWriteUntilThereIsOne) {
  db[0] = open(network.endpoint(0), 50ms);
  EXPECT_FALSE(db[0]->state().writes);
  EXPECT_NE(db[0]->state().text.find("quorum"), std::string::npos) << db[0]->state().text;
  EXPECT_EQ(price(*db[0], 1), -1);
  EXPECT_EQ(store(*db[0], 1, 10).code, ErrorCode::cluster_no_quorum);
  db[1] = open(network.endpoint(1));
  EXPECT_TRUE(eventually([&] { return db[0]->state().writes; }));
  EXPECT_TRUE(store(*db[0], 1, 10).committed());
  EXPECT_TRUE(eventually([&] { return price(*db[1], 1) == 10; }));
}

}  // namespace
}  // namespace exdb
