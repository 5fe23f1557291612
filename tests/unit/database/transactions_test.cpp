// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <future>
#include <thread>

#include "database_fixture.hpp"

namespace exdb {
namespace {

TEST_F(DatabaseTest, a_commit_is_seen_by_the_next_transaction_and_not_by_one_that_began_before) {
  auto writer = db->connect(), reader = db->connect();
  reader->start(with(Isolation::standard, TransactionType::read_only));
  writer->start();
  put(*writer, 1, 10);
  EXPECT_EQ(price(*writer, 1), 10);  // own write
  const auto done = writer->commit();
  ASSERT_TRUE(done);
  EXPECT_EQ(done.csn, Csn{1});
  EXPECT_EQ(price(*reader, 1), -1);
  reader->rollback();
  reader->start();
  EXPECT_EQ(price(*reader, 1), 10);
}

TEST_F(DatabaseTest, rollback_leaves_nothing) {
  auto con = db->connect();
  con->start();
  put(*con, 1, 10);
  con->rollback();
  con->start();
  EXPECT_FALSE(get(*con, 1));
  EXPECT_EQ(con->count(item), 0u);
}

TEST_F(DatabaseTest, snapshot_isolation_loses_no_update) {
  store(1, 10);
  auto a = db->connect(), b = db->connect();
  a->start();
  b->start();
  get(*a, 1)->set("price", price(*a, 1) + 1);
  get(*b, 1)->set("price", price(*b, 1) + 1);
  EXPECT_TRUE(a->commit());
  const auto lost = b->commit();
  EXPECT_EQ(lost.code, ErrorCode::conflict);
  EXPECT_NE(lost.text.find("class Item, index by_id, key (1)"), std::string::npos) << lost.text;
  a->start();
  EXPECT_EQ(price(*a, 1), 11);
}

/// Two accounts may not both be emptied: each transaction reads both and empties one.
ErrorCode second_commit_of_a_write_skew(Database& db, Isolation isolation, const IndexDef& by_id) {
  TransactionOptions options;
  options.isolation = isolation;
  auto a = db.connect(), b = db.connect();
  a->start(options);
  b->start(options);
  for (auto* con : {a.get(), b.get()}) {
    for (const int id : {1, 2}) con->find(by_id, std::vector<Value>{id});
  }
  a->find(by_id, std::vector<Value>{1})->set("price", 0);
  b->find(by_id, std::vector<Value>{2})->set("price", 0);
  EXPECT_TRUE(a->commit());
  return b->commit().code;
}

TEST_F(DatabaseTest, write_skew_passes_under_snapshot_isolation_and_aborts_under_serializable) {
  store(1, 10);
  store(2, 10);
  EXPECT_EQ(second_commit_of_a_write_skew(*db, Isolation::repeatable_read, by_id), ErrorCode::ok);
  EXPECT_EQ(second_commit_of_a_write_skew(*db, Isolation::serializable, by_id),
            ErrorCode::conflict);
}

TEST_F(DatabaseTest, serializable_aborts_on_a_phantom_in_a_range_that_was_walked_to_its_end) {
  store(1, 10);
  auto a = db->connect(), b = db->connect();
  a->start(with(Isolation::serializable));
  auto cursor = a->cursor(item, &by_price);
  int seen = 0;
  for (bool more = cursor.search(Operation::greater_or_equals, key(5)); more && cursor.next();)
    ++seen;
  EXPECT_EQ(seen, 1);
  store(2, 99);
  put(*a, 100, 1);
  EXPECT_EQ(a->commit().code, ErrorCode::conflict);
}

TEST_F(DatabaseTest,
       serializable_does_not_abort_on_what_lies_behind_the_point_where_it_stopped_reading) {
  for (int id = 1; id <= 5; ++id) store(id, id * 10);
  auto a = db->connect();
  a->start(with(Isolation::serializable));
  auto cursor = a->cursor(item, &by_price);
  ASSERT_TRUE(cursor.search(Operation::greater_or_equals, key(10)));
  ASSERT_TRUE(cursor.next());
  ASSERT_TRUE(cursor.next());  // read 10 and 20
  store(6, 25);
  put(*a, 100, 1000);
  EXPECT_TRUE(a->commit());
  a->start(with(Isolation::serializable));
  cursor = a->cursor(item, &by_price);
  ASSERT_TRUE(cursor.search(Operation::greater_or_equals, key(10)));
  cursor.next();
  cursor.next();
  cursor.next();  // 25
  store(7, 22);
  put(*a, 101, 1000);
  EXPECT_EQ(a->commit().code, ErrorCode::conflict);
}

TEST_F(DatabaseTest, serializable_remembers_a_key_that_was_not_there) {
  auto a = db->connect();
  a->start(with(Isolation::serializable));
  EXPECT_FALSE(get(*a, 7));
  store(7, 1);
  put(*a, 100, 1);
  EXPECT_EQ(a->commit().code, ErrorCode::conflict);
}

TEST_F(DatabaseTest, a_read_only_serializable_transaction_always_commits) {
  store(1, 10);
  auto a = db->connect();
  a->start(with(Isolation::serializable, TransactionType::read_only));
  EXPECT_EQ(price(*a, 1), 10);
  auto b = db->connect();
  b->start();
  get(*b, 1)->set("price", 11);
  ASSERT_TRUE(b->commit());
  EXPECT_EQ(price(*a, 1), 10);
  EXPECT_TRUE(a->commit());
}

TEST_F(DatabaseTest, read_committed_sees_each_statement_anew) {
  store(1, 10);
  auto a = db->connect();
  a->start(with(Isolation::read_committed));
  EXPECT_EQ(price(*a, 1), 10);
  auto b = db->connect();
  b->start();
  get(*b, 1)->set("price", 11);
  ASSERT_TRUE(b->commit());
  EXPECT_EQ(price(*a, 1), 11);
  get(*a, 1)->set("price", 12);
  EXPECT_TRUE(a->commit());
}

TEST_F(DatabaseTest, exclusive_transactions_of_a_node_take_turns) {
  store(1, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      auto con = db->connect();
      for (int i = 0; i < 50; ++i) {
        con->start(with(Isolation::standard, TransactionType::exclusive));
        get(*con, 1)->set("price", price(*con, 1) + 1);
        ASSERT_TRUE(con->commit());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  auto con = db->connect();
  con->start();
  EXPECT_EQ(price(*con, 1), 200);
}

TEST_F(DatabaseTest, a_duplicate_key_names_class_index_and_key) {
  store(1, 10);
  store(3, 30);
  auto con = db->connect();
  con->start();
  get(*con, 1)->set("id", 3);
  auto result = con->commit();
  EXPECT_EQ(result.code, ErrorCode::duplicate);
  EXPECT_NE(result.text.find("class Item, index by_id, key (3)"), std::string::npos) << result.text;
  EXPECT_FALSE(con->in_transaction());
  con->start();
  con->create(item);
  con->create(item);
  result = con->commit();
  EXPECT_EQ(result.code, ErrorCode::duplicate);
  EXPECT_NE(result.text.find("two rows of this transaction"), std::string::npos) << result.text;
}

TEST_F(DatabaseTest, misuse_is_refused_by_name) {
  store(1, 10);
  auto con = db->connect();
  EXPECT_ERROR(con->commit(), transaction_not_active);
  con->start(with(Isolation::standard, TransactionType::read_only));
  EXPECT_ERROR(con->start(), transaction_active);
  auto object = *get(*con, 1);
  EXPECT_ERROR(object.set("price", 1), access);
  EXPECT_ERROR(con->create(item), access);
  con->commit();
  EXPECT_ERROR(object.get("price"), transaction_not_active);
  try {
    object.set("price", 1);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("find it again"), std::string::npos) << error.what();
  }
  con->start();
  EXPECT_ERROR(object.get("price"), invalid_handle);
  object = *get(*con, 1);
  EXPECT_ERROR(object.set("prize", 1), ddl_field_not_found);
  EXPECT_ERROR(object.set("price", std::int64_t{1} << 40), conversion);
  EXPECT_ERROR(object.get("nothing"), ddl_field_not_found);
  object.remove();
  EXPECT_FALSE(object.valid());
  EXPECT_ERROR(object.get("price"), invalid_handle);
  EXPECT_ERROR(object.remove(), invalid_handle);
  EXPECT_ERROR(con->listen(), cluster_not_initialized);
  EXPECT_ERROR(con->stop(), cluster_not_initialized);
  con->close();
  EXPECT_ERROR(con->start(), invalid_handle);
  auto other = db->connect();
  db->close();
  db->close();
  EXPECT_ERROR(other->start(), invalid_handle);
  EXPECT_ERROR(db->connect(), invalid_handle);
}

TEST_F(DatabaseTest, an_update_transaction_becomes_a_writer_with_its_first_write) {
  store(1, 10);
  auto con = db->connect();
  con->start(with(Isolation::standard, TransactionType::update));
  get(*con, 1)->set("price", 11);
  EXPECT_TRUE(con->commit());
}

TEST_F(DatabaseTest, connections_are_limited) {
  auto few = options();
  few.max_connections = 2;
  auto small = Database::open("small", schema, few);
  auto a = small->connect(), b = small->connect();
  EXPECT_ERROR(small->connect(), no_memory);
  a->close();
  EXPECT_NO_THROW(small->connect());
}

TEST_F(DatabaseTest, objects_have_ids_of_their_own) {
  const auto& ticket = *schema->find_class("Ticket");
  auto con = db->connect();
  con->start();
  const auto one = con->create(ticket).get("autoid").as_uint();
  const auto two = con->create(ticket).get("autoid").as_uint();
  EXPECT_NE(one, two);
  ASSERT_TRUE(con->commit());
  con->start();
  const auto& index = schema->index_of(ticket.indexes[0]);
  EXPECT_TRUE(con->find(index, key(two)));
}

TEST_F(DatabaseTest, a_held_view_outlives_its_transaction_and_later_updates) {
  auto con = db->connect();
  con->start();
  auto object = put(*con, 1, 10);
  std::vector<double> samples(1000, 1.5);
  object.set_raw(*item.find_field("samples"), FieldType::float64,
                 std::as_bytes(std::span(samples)));
  ASSERT_TRUE(con->commit());
  con->start();
  std::shared_ptr<const void> hold;
  const auto raw = get(*con, 1)->row(hold).raw("samples");
  con->commit();
  for (int round = 0; round < 200; ++round) {
    con->start();
    std::vector<double> other(1000, round);
    get(*con, 1)->set_raw(*item.find_field("samples"), FieldType::float64,
                          std::as_bytes(std::span(other)));
    ASSERT_TRUE(con->commit());
  }
  const auto* values = reinterpret_cast<const double*>(raw.data);
  for (std::size_t i = 0; i < raw.count; ++i) ASSERT_EQ(values[i], 1.5);
}

TEST_F(DatabaseTest, commit_later_answers_at_wait) {
  auto con = db->connect();
  con->start();
  put(*con, 1, 10);
  con->commit_later();
  EXPECT_FALSE(con->in_transaction());
  EXPECT_TRUE(con->wait());
  EXPECT_ERROR(con->wait(), transaction_not_active);
}

TEST_F(DatabaseTest, delete_all_removes_what_the_transaction_sees_its_own_rows_included) {
  for (int id = 0; id < 10; ++id) store(id, id);
  auto con = db->connect();
  con->start();
  put(*con, 100, 1);
  EXPECT_EQ(con->delete_all(item), 11u);
  EXPECT_EQ(con->count(item), 0u);
  ASSERT_TRUE(con->commit());
  con->start();
  EXPECT_EQ(con->count(item), 0u);
  put(*con, 5, 1);
  EXPECT_TRUE(con->commit());
}

TEST_F(DatabaseTest, a_token_that_cannot_come_is_refused) {
  auto con = db->connect();
  TransactionOptions options;
  options.at_least = Csn{5};
  EXPECT_ERROR(con->start(options), timeout);
  EXPECT_NO_THROW(con->start());
}

TEST_F(DatabaseTest, equal_histories_give_equal_digests) {
  auto other = Database::open("other", schema, options());
  for (auto* each : {db.get(), other.get()}) {
    auto con = each->connect();
    con->start();
    for (int id = 0; id < 20; ++id) put(*con, id, id);
    ASSERT_TRUE(con->commit());
    con->start();
    get(*con, 3)->remove();
    get(*con, 4)->set("name", "new");
    ASSERT_TRUE(con->commit());
  }
  EXPECT_EQ(db->digest(), other->digest());
  store(50, 1);
  EXPECT_NE(db->digest(), other->digest());
}

TEST_F(DatabaseTest, a_serializable_search_in_a_hash_is_no_read_of_the_whole_class) {
  store(1, 10, "a");
  auto con = db->connect();
  for (const auto* index : {&by_id, &of_name}) {
    con->start(with(Isolation::serializable));
    auto cursor = con->cursor(item, index);
    ASSERT_TRUE(cursor.find(index == &by_id ? key(1) : key("a")));
    store(index == &by_id ? 2 : 3, 20, "b");
    put(*con, index == &by_id ? 100 : 101, 1, "c");
    EXPECT_TRUE(con->commit()) << index->name;
  }
  con->start(with(Isolation::serializable));
  auto cursor = con->cursor(item, &of_name);
  ASSERT_TRUE(cursor.next());  // a scan
  store(4, 20, "b");
  put(*con, 102, 1, "c");
  EXPECT_EQ(con->commit().code, ErrorCode::conflict);
}

TEST_F(DatabaseTest, a_write_that_is_refused_leaves_the_row_unwritten) {
  store(1, 10);
  auto con = db->connect(), other = db->connect();
  con->start();
  auto row = *get(*con, 1);
  EXPECT_ERROR(row.set("prize", 1), ddl_field_not_found);
  EXPECT_ERROR(row.set("price", std::int64_t{1} << 40), conversion);
  other->start();
  get(*other, 1)->set("price", 11);
  ASSERT_TRUE(other->commit());
  EXPECT_TRUE(con->commit()) << "it has written nothing";
  con->start();
  row = *get(*con, 1);
  row.set("price", 12);
  EXPECT_ERROR(row.set("price", std::int64_t{1} << 40), conversion);
  EXPECT_EQ(price(*con, 1), 12) << "a row that was written before keeps what was written";
  EXPECT_TRUE(con->commit());
}

TEST_F(DatabaseTest, who_waits_for_an_exclusive_turn_is_told_when_the_database_is_closed) {
  auto holder = db->connect();
  holder->start(with(Isolation::standard, TransactionType::exclusive));
  auto waiter = std::async(std::launch::async, [&] {
    auto con = db->connect();
    try {
      con->start(with(Isolation::standard, TransactionType::exclusive));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::ok;
  });
  while (db->statistics().at("connections") < 2) std::this_thread::yield();
  db->close();
  const bool told = waiter.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  holder.reset();
  EXPECT_TRUE(told);
  EXPECT_EQ(waiter.get(), ErrorCode::invalid_handle);
}

TEST_F(DatabaseTest, a_unique_key_of_one_row_can_be_swapped_moved_and_taken_over) {
  for (int id = 1; id <= 3; ++id) store(id, id * 10);
  auto con = db->connect();
  con->start();
  auto one = *get(*con, 1), two = *get(*con, 2), three = *get(*con, 3);
  one.set("id", 2);
  two.set("id", 1);
  three.remove();
  put(*con, 3, 33);
  EXPECT_EQ(price(*con, 1), 20);
  ASSERT_TRUE(con->commit());
  con->start();
  EXPECT_EQ(price(*con, 1), 20);
  EXPECT_EQ(price(*con, 2), 10);
  EXPECT_EQ(price(*con, 3), 33);
  EXPECT_EQ(con->count(item), 3u);
}

TEST_F(DatabaseTest, all_keys_of_a_class_move_by_one_in_one_transaction) {
  constexpr int rows = 30'000;
  auto con = db->connect();
  con->start();
  for (int id = 0; id < rows; ++id) put(*con, id, id);
  ASSERT_TRUE(con->commit());
  con->start();
  auto cursor = con->cursor(item);
  while (auto row = cursor.next()) row->set("id", row->get("price").as_int() + 1);
  ASSERT_TRUE(con->commit());
  con->start();
  EXPECT_FALSE(get(*con, 0));
  EXPECT_EQ(price(*con, rows), rows - 1);
}

}  // namespace
}  // namespace exdb
