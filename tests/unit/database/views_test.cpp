// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases whose nodes come and go, over the in-process transport.
#include <future>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 60s;

/// What node 0 was told, in order: "+1" for a connect of node 1, "-1" for its disconnect.
class Told {
 public:
  std::function<void(Notification, const NodeInfo&)> writer() {
    return [this](Notification what, const NodeInfo& about) {
      const std::lock_guard lock(mutex_);
      told_ += (what == Notification::connect ? "+" : "-") + std::to_string(about.node_id);
    };
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  mutable std::mutex mutex_;
  std::string told_;
};

class ViewsTest : public ::testing::Test {
 protected:
  explicit ViewsTest(std::uint32_t nodes = 3) : network({.nodes = nodes, .gather = false}) {
    db.resize(nodes);
  }

  std::unique_ptr<Database> open(std::unique_ptr<Transport> transport,
                                 std::chrono::milliseconds connect_timeout = patience) {
    ClusterParams params;
    params.transport = std::move(transport);
    params.keep_alive_time = 40ms;
    params.keep_alive_probes = probes;
    params.connect_timeout = connect_timeout;
    params.sync_msg_objects = 7;  // so that a state is many chunks
    params.notify = notify;
    params.quorum = quorum;
    params.mode_mask = mode_mask;
    DatabaseOptions options;
    options.segment_bytes = std::size_t{4} << 20;
    return Database::open("views", schema, options, std::move(params));
  }
  void open_all() {
    std::vector<std::future<std::unique_ptr<Database>>> opening;
    for (std::uint32_t node = 0; node < db.size(); ++node)
      opening.push_back(
          std::async(std::launch::async, [this, node] { return open(network.endpoint(node)); }));
    for (std::uint32_t node = 0; node < db.size(); ++node) db[node] = opening[node].get();
  }
  void kill(std::uint32_t node) {
    network.crash(node);
    db[node].reset();
  }
  CommitResult store(Database& on, int id, int price, std::size_t samples = 0) {
    const auto con = on.connect();
    con->start();
    auto object = con->create(item);
    object.set("id", id);
    object.set("price", price);
    object.set("name", std::string("x"));
    const std::vector<double> values(samples, 1.5);
    object.set_raw(item.record.at("samples"), FieldType::float64, std::as_bytes(std::span(values)));
    auto result = con->commit();
    if (!result.committed()) last_refusal = result.text;
    return result;
  }
  /// The id of a ticket that is committed, after so many that are not.
  std::uint64_t ticket(Database& on, int before = 0) {
    const auto con = on.connect();
    const auto& type = *schema->find_class("Ticket");
    for (; before > 0; before -= 1000) {
      con->start();
      for (int i = 0; i < 1000; ++i) (void)con->create(type);
      con->rollback();
    }
    con->start();
    const auto id = con->create(type).get("autoid").as_uint();
    EXPECT_TRUE(con->commit().committed());
    return id;
  }
  int price(Database& on, int id) {
    const auto con = on.connect();
    con->start();
    const auto found = con->find(by_id, std::vector<Value>{id});
    const int price = found ? static_cast<int>(found->get("price").as_int()) : -1;
    con->rollback();
    return price;
  }
  static bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(2ms);
    }
    return true;
  }

  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  const ClassDef& item = *schema->find_class("Item");
  const IndexDef& by_id = *schema->find_index(item.id, "by_id");
  Told told;  // before the databases, which tell it of their ends
  LocalNetwork network;
  std::vector<std::unique_ptr<Database>> db;
  std::string last_refusal;
  std::function<void(Notification, const NodeInfo&)> notify;
  std::function<bool(const std::vector<std::uint32_t>&)> quorum;
  unsigned mode_mask = 0;
  std::uint32_t probes = 250;  // also on a busy processor
};

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

// U1, U2 of autoids.hpp, M4 of named_snapshots.hpp.
TEST_F(ViewsTest, WhoComesBackEmptyHasTheNamesAndGivesNoIdASecondTime) {
  open_all();
  const auto early = db[0]->snapshot("early");
  (void)db[0]->snapshot("dropped");
  // Far above what the clock of its next life says, and of a row that is gone by then.
  const auto given = ticket(*db[2], 200'000);
  kill(2);
  {
    const auto con = db[0]->connect();
    ASSERT_TRUE(eventually([&] {
      con->start();
      auto all = con->cursor(*schema->find_class("Ticket"));
      auto there = all.next();
      if (there) there->remove();
      return con->commit().committed() && there;
    }));
  }
  db[0]->drop_snapshot("dropped");
  // More than a node keeps of rounds.
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(store(*db[i % 2], i, i, 1 << 17).committed()) << last_refusal;
  db[2] = open(network.restart(2), 0ms);
  ASSERT_TRUE(eventually([&] { return db[2]->statistics().at("states_taken") == 1; }));
  ASSERT_TRUE(eventually([&] { return db[2]->state().writes && price(*db[2], 39) == 39; }));
  EXPECT_GT(ticket(*db[2]), given);
  EXPECT_EQ(db[2]->snapshots(), (std::map<std::string, Csn>{{"early", early}}));
  EXPECT_ERROR(db[2]->at("early"), unsupported);
  EXPECT_ERROR(db[2]->snapshot("early"), duplicate);
  const auto late = db[2]->snapshot("late");
  db[2]->drop_snapshot("early");
  for (auto& each : db)
    EXPECT_TRUE(eventually([&] {
      return each->snapshots() == std::map<std::string, Csn>{{"late", late}};
    }));
  EXPECT_NO_THROW((void)db[2]->at("late"));
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
