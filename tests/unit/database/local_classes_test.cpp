// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Transactions over local and replicated classes of one node, over the in-process network.
#include <future>
#include <thread>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"

namespace exdb {
namespace {

class LocalClassesTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  LocalNetwork network{{1}};
  std::unique_ptr<Database> db = open();
  const ClassDef& item = *schema->find_class("Item");
  const ClassDef& scratch = *schema->find_class("Scratch");
  const IndexDef& by_id = *schema->find_index(item.id, "by_id");
  const IndexDef& scratch_by_id = *schema->find_index(scratch.id, "by_id");

  /// Cooperative: nothing drives the exchange but calls.
  std::unique_ptr<Database> open() {
    ClusterParams params;
    params.transport = network.endpoint(0);
    params.timeout = std::chrono::seconds(20);
    params.progress = Progress::cooperative;
    DatabaseOptions options;
    options.segment_bytes = std::size_t{4} << 20;
    return Database::open("one", schema, options, std::move(params));
  }
  static TransactionOptions serializable() {
    TransactionOptions made;
    made.isolation = Isolation::serializable;
    return made;
  }
  void put_both(Connection& con, int id) {
    con.create(item).set("id", id);
    con.create(scratch).set("id", id);
  }
  std::optional<Object> shared_row(Connection& con, int id) {
    return con.find(by_id, std::vector<Value>{id});
  }
  std::optional<Object> local_row(Connection& con, int id) {
    return con.find(scratch_by_id, std::vector<Value>{id});
  }
};

TEST_F(LocalClassesTest, one_thread_may_commit_to_local_classes_while_its_mixed_commit_is_away) {
  auto a = db->connect(), b = db->connect();
  a->start();
  put_both(*a, 1);
  a->commit_later();
  b->start();
  put_both(*b, 2);
  EXPECT_TRUE(b->commit());
  b->start();
  put_both(*b, 3);
  b->commit_later();
  auto c = db->connect();
  c->start();
  c->create(scratch).set("id", 4);
  EXPECT_TRUE(c->commit());
  EXPECT_TRUE(a->wait());
  EXPECT_TRUE(b->wait());
  c->start();
  EXPECT_EQ(c->count(scratch), 4u);
  EXPECT_EQ(c->count(item), 3u);
}

TEST_F(LocalClassesTest, a_mixed_commit_whose_node_left_keeps_nobody_from_local_classes) {
  auto a = db->connect(), b = db->connect();
  a->start();
  put_both(*a, 1);
  b->start();
  b->create(scratch).set("id", 2);
  a->commit_later();
  a.reset();  // nobody asks how it ended
  auto other = std::async(std::launch::async, [&] { return b->commit().code; });
  db->abandon();
  EXPECT_TRUE(other.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  try {
    (void)other.get();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_handle);
  }
}

TEST_F(LocalClassesTest, a_refused_part_of_a_mixed_transaction_takes_the_other_with_it) {
  auto a = db->connect(), b = db->connect();
  for (const bool local_conflicts : {false, true}) {
    a->start();
    b->start();
    put_both(*a, local_conflicts);
    if (local_conflicts) {
      b->create(item).set("id", 77);
      b->create(scratch).set("id", 1);
    } else {
      b->create(item).set("id", 0);
      b->create(scratch).set("id", 77);
    }
    ASSERT_TRUE(a->commit());
    EXPECT_EQ(b->commit().code, ErrorCode::conflict);
    a->start();
    EXPECT_FALSE(shared_row(*a, 77));
    EXPECT_FALSE(local_row(*a, 77));
    a->rollback();
  }
}

/// Each reads both rows, one writes the local one and the other the replicated one.
TEST_F(LocalClassesTest, serializable_transactions_skew_neither_way_over_local_and_replicated) {
  auto a = db->connect(), b = db->connect();
  a->start();
  put_both(*a, 1);
  a->commit().or_throw();
  for (const bool local_first : {false, true}) {
    a->start(serializable());
    b->start(serializable());
    for (auto* con : {a.get(), b.get()}) {
      ASSERT_TRUE(shared_row(*con, 1));
      ASSERT_TRUE(local_row(*con, 1));
    }
    local_row(*a, 1)->set("v", 5);
    shared_row(*b, 1)->set("price", 5);
    auto& first = local_first ? *a : *b;
    auto& second = local_first ? *b : *a;
    EXPECT_TRUE(first.commit());
    EXPECT_EQ(second.commit().code, ErrorCode::conflict) << "local first: " << local_first;
  }
}

TEST_F(LocalClassesTest, an_exclusive_transaction_conflicts_with_commits_to_either_kind_of_class) {
  auto a = db->connect(), b = db->connect();
  TransactionOptions exclusive;
  exclusive.type = TransactionType::exclusive;
  int id = 0;
  for (const auto* mine : {&item, &scratch}) {
    for (const auto* others : {&item, &scratch}) {
      a->start(exclusive);
      a->create(*mine).set("id", ++id);
      b->start();
      b->create(*others).set("id", ++id);
      ASSERT_TRUE(b->commit());
      EXPECT_EQ(a->commit().code, ErrorCode::conflict) << mine->name << " and " << others->name;
    }
  }
}

TEST_F(LocalClassesTest, a_snapshot_shows_no_local_commit_without_the_state_that_it_was_made_on) {
  auto a = db->connect();
  a->start();
  put_both(*a, 1);
  a->commit().or_throw();
  std::atomic<bool> done{false};
  auto reader = std::async(std::launch::async, [&] {
    auto con = db->connect();
    std::int64_t worst = 0;
    while (!done.load()) {
      con->start();
      const auto copy = local_row(*con, 1)->get("v").as_int();
      const auto original = shared_row(*con, 1)->get("price").as_int();
      worst = std::max(worst, copy - original);
      con->rollback();
    }
    return worst;
  });
  for (int turn = 1; turn <= 3000; ++turn) {
    a->start();
    shared_row(*a, 1)->set("price", turn);
    a->commit().or_throw();
    a->start();
    local_row(*a, 1)->set("v", shared_row(*a, 1)->get("price"));
    a->commit().or_throw();
  }
  done.store(true);
  EXPECT_EQ(reader.get(), 0) << "the copy was ahead of what it is a copy of";
}

}  // namespace
}  // namespace exdb
