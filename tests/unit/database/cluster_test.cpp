// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases of one cluster in one process: the same code as over MPI, over the in-process network.
#include <atomic>
#include <thread>

#include "grid.hpp"

namespace exdb {
namespace {

class ClusterTest : public ::testing::TestWithParam<std::tuple<std::uint32_t, bool>> {
 protected:
  std::uint32_t nodes = std::get<0>(GetParam());
  Grid grid{nodes, std::get<1>(GetParam())};
};

TEST_P(ClusterTest, every_node_ends_with_the_same_rows_and_no_increment_is_lost) {
  constexpr int rows = 5, rounds = 60;
  grid.everywhere([&](std::uint32_t node, Database& db) {
    auto con = db.connect();
    if (node == 0) {
      con->start();
      for (int id = 0; id < rows; ++id) {
        auto object = con->create(grid.item());
        object.set("id", id);
      }
      con->commit().or_throw();
    }
    TransactionOptions fresh;
    fresh.fresh = true;
    for (bool there = false; !there;) {
      con->start(fresh);
      there = grid.find(*con, rows - 1).has_value();
      con->rollback();
    }
    for (int done = 0; done < rounds;) {
      con->start();
      auto row = *grid.find(*con, (done + static_cast<int>(node)) % rows);
      row.set("price", row.get("price").as_int() + 1);
      const auto result = con->commit();
      ASSERT_TRUE(result || result.code == ErrorCode::conflict) << result.text;
      done += result.committed();
    }
  });
  grid.close();
  for (auto& db : grid.db) EXPECT_EQ(db->digest(), grid.db[0]->digest());
  EXPECT_EQ(grid.db[0]->published().value, 1 + std::uint64_t{nodes} * rounds);
}

TEST_P(ClusterTest, a_fresh_transaction_sees_what_returned_anywhere_before) {
  std::atomic<int> last{0};
  grid.everywhere([&](std::uint32_t node, Database& db) {
    auto con = db.connect();
    for (int turn = 1; turn <= 300; ++turn) {
      if (node == 0) {
        con->start();
        con->create(grid.item()).set("id", turn);
        con->commit().or_throw();
        last.store(turn);
      } else {
        const int seen = last.load();
        TransactionOptions fresh;
        fresh.fresh = true;
        fresh.type = TransactionType::read_only;
        con->start(fresh);
        ASSERT_TRUE(seen == 0 || grid.find(*con, seen))
            << "commit " << seen << " returned before, and is not seen";
        con->rollback();
      }
    }
  });
  grid.close();
}

TEST_P(ClusterTest, what_became_of_a_transaction_is_known_on_every_node) {
  std::promise<CommitResult> ended;
  auto told = ended.get_future().share();
  grid.everywhere([&](std::uint32_t node, Database& db) {
    auto con = db.connect();
    if (node == nodes - 1) {
      con->start();
      con->create(grid.item()).set("id", 1);
      ended.set_value(con->commit());
    }
    const auto result = told.get();
    ASSERT_TRUE(result.committed()) << result.text;
    EXPECT_EQ(result.id.origin.value, nodes - 1);
    TransactionOptions after;
    after.at_least = result.csn;
    con->start(after);
    con->rollback();
    const auto outcome = [&] { return db.outcome(result.id); };
    // The csn is published a moment before the outcome is told.
    while (outcome() == TransactionOutcome::unknown) std::this_thread::yield();
    EXPECT_EQ(outcome(), TransactionOutcome::committed);
    EXPECT_EQ(db.outcome({result.id.origin, result.id.sequence + 1000}),
              TransactionOutcome::unknown);
  });
  grid.close();
}

TEST_P(ClusterTest, at_least_waits_for_the_commit_of_another_node) {
  std::promise<Csn> token;
  auto told = token.get_future().share();
  grid.everywhere([&](std::uint32_t node, Database& db) {
    auto con = db.connect();
    if (node == 0) {
      con->start();
      con->create(grid.item()).set("id", 1);
      token.set_value(con->commit().or_throw().csn);
    }
    TransactionOptions after;
    after.at_least = told.get();
    con->start(after);
    EXPECT_TRUE(grid.find(*con, 1));
    con->rollback();
  });
  grid.close();
}

TEST_P(ClusterTest, local_classes_stay_where_they_are_and_mixed_transactions_show_both_or_neither) {
  const auto& scratch = *grid.schema->find_class("Scratch");
  const auto& scratch_by_id = *grid.schema->find_index(scratch.id, "by_id");
  grid.everywhere([&](std::uint32_t node, Database& db) {
    auto con = db.connect();
    con->start();
    con->create(scratch).set("id", static_cast<int>(node));
    con->create(grid.item()).set("id", static_cast<int>(node));
    con->commit().or_throw();
    std::atomic<bool> done{false};
    std::thread reader([&] {
      auto other = db.connect();
      while (!done.load()) {
        other->start();
        const auto here = grid.find(*other, static_cast<int>(node))->get("price").as_int();
        const auto there = other->find(scratch_by_id, std::vector<Value>{static_cast<int>(node)})
                               ->get("v")
                               .as_int();
        ASSERT_EQ(here, there);
        other->rollback();
      }
    });
    for (int turn = 1; turn <= 100; ++turn) {
      con->start();
      grid.find(*con, static_cast<int>(node))->set("price", turn);
      con->find(scratch_by_id, std::vector<Value>{static_cast<int>(node)})->set("v", turn);
      con->commit().or_throw();
    }
    done.store(true);
    reader.join();
    con->start();
    EXPECT_EQ(con->count(scratch), 1u);
    con->create(scratch).set("id", 77);
    EXPECT_TRUE(con->commit());  // local alone: no exchange
  });
  grid.close();
  for (auto& db : grid.db) EXPECT_EQ(db->digest(), grid.db[0]->digest());
}

TEST_P(ClusterTest, a_conflict_between_nodes_names_the_row) {
  grid.everywhere([&](std::uint32_t node, Database& db) {
    auto con = db.connect();
    for (int turn = 0; turn < 30; ++turn) {
      con->start();
      CommitResult result;
      try {
        auto object = con->create(grid.item());
        object.set("id", turn);
        object.set("name", "node " + std::to_string(node));
        result = con->commit();
      } catch (const Error& error) {  // another node was first by so much that it is seen here
        result = {error.code(), {}, {}, error.what()};
        con->rollback();
      }
      if (result) continue;
      EXPECT_TRUE(result.code == ErrorCode::conflict || result.code == ErrorCode::duplicate)
          << result.text;
      EXPECT_NE(result.text.find("class Item, index by_id, key (" + std::to_string(turn) + ")"),
                std::string::npos)
          << result.text;
    }
  });
  grid.close();
  for (auto& db : grid.db) EXPECT_EQ(db->published(), Csn{30});
}

INSTANTIATE_TEST_SUITE_P(Nodes, ClusterTest,
                         ::testing::Combine(::testing::Values(1u, 2u, 3u, 5u), ::testing::Bool()));

/// Opens all nodes at once, each with what `adjust` makes of its schema and parameters; what each of
/// them is told.
std::vector<std::pair<ErrorCode, std::string>> open_all(
    std::uint32_t nodes,
    const std::function<void(std::uint32_t, std::string&, ClusterParams&)>& adjust) {
  LocalNetwork network({nodes});
  std::vector<std::future<std::pair<ErrorCode, std::string>>> opening;
  for (std::uint32_t node = 0; node < nodes; ++node) {
    opening.push_back(
        std::async(std::launch::async, [&, node]() -> std::pair<ErrorCode, std::string> {
          ClusterParams params;
          params.transport = network.endpoint(node);
          std::string schema = "class Flight { int4 id; unsigned<1> month; tree<id> by_id; };";
          adjust(node, schema, params);
          try {
            Database::open("grid", Dictionary::parse(schema).value(), {}, std::move(params));
          } catch (const Error& error) {
            return {error.code(), error.what()};
          }
          return {ErrorCode::ok, ""};
        }));
  }
  std::vector<std::pair<ErrorCode, std::string>> told;
  for (auto& each : opening) told.push_back(each.get());
  return told;
}

TEST(ClusterOpening, different_dictionaries_fail_on_every_node_alike_and_name_the_difference) {
  const auto told = open_all(3, [](std::uint32_t node, std::string& schema, ClusterParams&) {
    if (node == 2) schema.replace(schema.find("<1>"), 3, "<2>");
  });
  EXPECT_EQ(told[0].first, ErrorCode::cluster_incompatible);
  EXPECT_EQ(told[0].second,
            "nodes 0 and 2 have different dictionaries: class Flight, field month is unsigned<1> "
            "on node 0 and unsigned<2> on node 2; every node must load the same schema");
  EXPECT_EQ(told[1], told[0]);
  EXPECT_EQ(told[2], told[0]);
}

TEST(ClusterOpening, different_qranks_fail_on_every_node_alike_and_name_the_node) {
  const auto told = open_all(2, [](std::uint32_t node, std::string&, ClusterParams& params) {
    params.nodes.resize(2);
    params.nodes[1].qrank = node + 1;
  });
  EXPECT_EQ(told[0].first, ErrorCode::cluster_incompatible);
  EXPECT_NE(told[0].second.find("that of node 1 is 1 on node 0 and 2 on node 1"), std::string::npos)
      << told[0].second;
  EXPECT_EQ(told[1], told[0]);
}

TEST(ClusterOpening, a_wrong_node_id_on_one_node_fails_on_every_node_alike) {
  const auto told = open_all(2, [](std::uint32_t, std::string&, ClusterParams& params) {
    params.node_id = 0;  // right on node 0, wrong on node 1
  });
  EXPECT_EQ(told[0].first, ErrorCode::cluster_duplicate_node) << told[0].second;
  EXPECT_EQ(told[1], told[0]);
}

TEST(ClusterModes, a_large_transaction_sends_its_rows_ahead_and_a_rolled_back_one_leaves_nothing) {
  Grid grid(2, false, [](ClusterParams& params, std::uint32_t) {
    params.mode_mask = cluster_mode_early_data_send;
  });
  auto con = grid.db[0]->connect();
  const std::string filler(10'000, 'x');
  con->start();
  for (int id = 0; id < 200; ++id) {
    auto object = con->create(grid.item());
    object.set("id", id);
    object.set("name", filler.substr(0, 900));
    object.set("samples", Value(ValueList(1000, Value(1.0))));
  }
  grid.find(*con, 3)->set("price", 33);  // written again after it was sent
  grid.find(*con, 4)->remove();
  ASSERT_TRUE(con->commit());
  EXPECT_GT(grid.db[1]->statistics().at("fragments_received"), 0u);
  con->start();
  for (int id = 1000; id < 1200; ++id) {
    auto object = con->create(grid.item());
    object.set("id", id);
    object.set("samples", Value(ValueList(1000, Value(2.0))));
  }
  con->rollback();
  con.reset();
  grid.close();
  EXPECT_EQ(grid.db[0]->digest(), grid.db[1]->digest());
  EXPECT_EQ(grid.db[1]->statistics().at("rows"), 199u);
}

TEST(ClusterModes, a_commit_after_this_node_stopped_is_refused_and_other_nodes_go_on) {
  Grid grid(2);
  auto stopped = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    con->stop();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  auto refused = grid.db[0]->connect();
  refused->start();
  refused->create(grid.item()).set("id", 1);
  const auto result = refused->commit();
  EXPECT_EQ(result.code, ErrorCode::cluster_stopped) << result.text;
  auto con = grid.db[1]->connect();
  con->start();
  con->create(grid.item()).set("id", 2);
  EXPECT_TRUE(con->commit());
  con->stop();
  stopped.get();
  EXPECT_EQ(grid.db[0]->digest(), grid.db[1]->digest());
  grid.close();
}

}  // namespace
}  // namespace exdb
