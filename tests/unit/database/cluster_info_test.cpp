// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a node tells of its cluster: the same questions where membership is fixed, and where nodes
// come and go.
#include <future>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

class ClusterInfoTest : public ::testing::TestWithParam<bool> {
 protected:
  ClusterInfoTest() : network({.nodes = 3, .gather = GetParam()}) {
    std::vector<std::future<std::unique_ptr<Database>>> opening;
    for (std::uint32_t node = 0; node < 3; ++node)
      opening.push_back(std::async(std::launch::async, [this, node] {
        ClusterParams params;
        params.transport = network.endpoint(node);
        params.connect_timeout = 60s;
        params.nodes = {{"zero", 1}, {"one", 2}, {"two", 1}};
        params.keep_alive_time = 40ms;
        params.keep_alive_probes = 250;
        return Database::open("info", schema, {}, std::move(params));
      }));
    for (auto& each : opening) db.push_back(each.get());
    while (!GetParam() &&
           (db[0]->cluster_info().active_nodes() < 3 || db[1]->cluster_info().active_nodes() < 3))
      std::this_thread::sleep_for(1ms);
  }
  CommitResult store(std::uint32_t on, int id) {
    const auto con = db[on]->connect();
    con->start();
    auto object = con->create(*schema->find_class("Item"));
    object.set("id", id);
    object.set("name", std::string("x"));
    return con->commit();
  }
  void wait_until_same() {
    while (db[0]->published() != db[1]->published()) std::this_thread::sleep_for(1ms);
  }

  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  LocalNetwork network;
  std::vector<std::unique_ptr<Database>> db;
};

TEST_P(ClusterInfoTest, tells_who_takes_part_and_what_was_exchanged) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store(1, i).committed());
  wait_until_same();
  const auto before = db[0]->cluster_info();
  EXPECT_EQ(before.self, 0U);
  EXPECT_EQ(before.members_change, !GetParam());
  EXPECT_EQ(before.view > 0, !GetParam());
  EXPECT_TRUE(before.quorum);
  ASSERT_EQ(before.nodes.size(), 3U);
  EXPECT_EQ(before.active_nodes(), 3U);
  EXPECT_EQ(before.nodes[1].node.addr, "one");
  EXPECT_EQ(before.nodes[1].node.qrank, 2U);
  EXPECT_TRUE(before.nodes[0].self);
  EXPECT_FALSE(before.nodes[1].self);
  EXPECT_EQ(before.remote_commits, 10U);
  EXPECT_EQ(db[1]->cluster_info().remote_commits, 0U);
  EXPECT_GE(before.rounds, 10U);
  EXPECT_GE(before.round, 10U);
  // Only bytes that the transport counts too.
  const auto counted = db[0]->statistics();
  EXPECT_LE(before.traffic.bytes_received, counted.at("bytes_received"));
  EXPECT_LE(before.traffic.bytes_sent, counted.at("bytes_sent"));
  EXPECT_EQ(before.traffic.bytes_sent,
            before.nodes[1].traffic.bytes_sent + before.nodes[2].traffic.bytes_sent);
  EXPECT_GE(before.nodes[1].traffic.frames_received, 10U);
  EXPECT_GE(before.nodes[2].traffic.frames_sent, 10U);
  // A row of 10 KB from node 1 is on the link with it, and on no other.
  const auto con = db[1]->connect();
  con->start();
  auto object = con->create(*schema->find_class("Item"));
  object.set("id", 77);
  const std::vector<double> values(1'250, 1.5);
  object.set_raw(schema->find_class("Item")->record.at("samples"), FieldType::float64,
                 std::as_bytes(std::span(values)));
  ASSERT_TRUE(con->commit().committed());
  wait_until_same();
  const auto after = db[0]->cluster_info();
  EXPECT_GE(after.nodes[1].traffic.bytes_received, before.nodes[1].traffic.bytes_received + 10'000);
  EXPECT_LT(after.nodes[2].traffic.bytes_received, before.nodes[2].traffic.bytes_received + 10'000);
}

TEST_P(ClusterInfoTest, names_the_oldest_snapshot_and_how_old_it_is) {
  ASSERT_TRUE(store(0, 0).committed());
  auto info = db[0]->cluster_info();
  EXPECT_EQ(info.oldest_snapshot, info.published);
  EXPECT_EQ(info.oldest_snapshot_age, 0U);
  const auto old = db[0]->connect();
  old->start();
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(store(0, i).committed());
  info = db[0]->cluster_info();
  EXPECT_EQ(info.oldest_snapshot, old->snapshot());
  EXPECT_EQ(info.oldest_snapshot_age, 5U);
  EXPECT_EQ(info.snapshots, 1U);
  old->rollback();
  EXPECT_EQ(db[0]->cluster_info().oldest_snapshot_age, 0U);
}

TEST_P(ClusterInfoTest, names_who_is_behind_or_gone) {
  ASSERT_TRUE(store(0, 0).committed());
  const auto view = db[0]->cluster_info().view;
  if (GetParam())
    network.mute(2);
  else
    network.crash(2);
  auto waits = std::async(std::launch::async, [this] { return store(0, 1).code; });
  ClusterInfo info;
  do {
    std::this_thread::sleep_for(1ms);
    info = db[0]->cluster_info();
  } while (GetParam() ? info.slowest != 2U : info.active_nodes() != 2);
  if (GetParam()) {
    EXPECT_EQ(info.slowest_rounds_behind, 1U);
    EXPECT_EQ(info.nodes[1].rounds_behind, 0U);
  } else {
    EXPECT_EQ(waits.get(), ErrorCode::ok);
    EXPECT_FALSE(info.nodes[2].active || info.nodes[2].reached);
    EXPECT_TRUE(info.nodes[1].active && info.nodes[1].reached);
    EXPECT_GT(info.view, view);
  }
  for (auto& each : db) each->abandon();
}

TEST(ClusterInfo, is_refused_without_a_cluster) {
  const auto alone = Database::open("alone", Dictionary::parse(test_schema).value(), {});
  try {
    (void)alone->cluster_info();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cluster_not_initialized);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ClusterInfoTest, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "fixed" : "views"; });

}  // namespace
}  // namespace exdb
