// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a node that comes back empty gives and knows: ids of objects, and names of snapshots.
#include "database/autoids.hpp"
#include "schema/autoid.hpp"
#include "views_fixture.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

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

/// U2 of autoids.hpp: the state has ids of this node's life before, far above what its clock says now.
TEST_F(ViewsTest, NoObjectHasAnIdThatWasGivenBeforeTheStateCame) {
  const auto now = [] {
    return autoids_from(std::uint64_t(
        std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count()));
  };
  open_all();
  const auto given = ticket(*db[2], 200'000);
  kill(2);
  auto again = network.restart(2);
  network.mute(2);
  const auto before = now();
  db[2] = open(std::move(again), 0ms);
  const auto& type = *schema->find_class("Ticket");
  const auto with_early_id = [&] {
    auto con = db[2]->connect();
    con->start();
    const auto early = autoid_count(con->create(type).get("autoid").as_uint());
    EXPECT_GE(early, before);
    EXPECT_LT(early, autoid_count(given)) << "or this test shows nothing";
    return con;
  };
  EXPECT_EQ(with_early_id()->commit().code, ErrorCode::cluster_no_quorum);
  const auto early = with_early_id();
  const auto without = db[2]->connect();
  without->start();
  without->create(item).set("id", 1);
  network.unmute(2);
  ASSERT_TRUE(eventually([&] { return db[2]->state().writes; }));
  EXPECT_EQ(early->commit().code, ErrorCode::conflict);
  EXPECT_TRUE(without->commit().committed()) << "of others all is as it was";
  EXPECT_GT(ticket(*db[2]), given);
}

}  // namespace
}  // namespace exdb
