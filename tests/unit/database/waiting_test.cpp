// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who waits for what, and what ends it: nobody waits for himself, nobody waits in the midst of a
// write, and whoever waits is told when the database goes away.
#include <thread>

#include "grid.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// Ends the test program where it would hang for ever: a thread that is stuck cannot be joined.
template <class T>
T get_in_time(std::future<T> running, const char* what) {
  if (running.wait_for(30s) != std::future_status::ready) {
    std::fprintf(stderr, "%s hangs\n", what);
    std::abort();
  }
  return running.get();
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::ok;
}

TransactionOptions exclusive() {
  TransactionOptions made;
  made.type = TransactionType::exclusive;
  return made;
}

using ExclusiveTest = DatabaseTest;

TEST_F(ExclusiveTest, a_thread_that_would_wait_for_itself_is_told_so) {
  auto one = db->connect(), two = db->connect();
  get_in_time(
      std::async(
          std::launch::async,
          [&] {
            one->start(exclusive());
            try {
              two->start(exclusive());
              ADD_FAILURE() << "two exclusive transactions at once";
            } catch (const Error& error) {
              EXPECT_EQ(error.code(), ErrorCode::transaction_active);
              EXPECT_NE(std::string(error.what()).find("commit() or rollback()"), std::string::npos)
                  << error.what();
            }
            EXPECT_FALSE(two->in_transaction());
            one->rollback();
            two->start(exclusive());
            EXPECT_TRUE(two->commit());
          }),
      "an exclusive transaction beside one of the same thread");
}

TEST_F(ExclusiveTest, another_thread_waits_until_the_first_one_ends) {
  auto one = db->connect();
  one->start(exclusive());
  put(*one, 1, 10);
  std::atomic<bool> committed{false};
  auto waiting = std::async(std::launch::async, [&] {
    auto two = db->connect();
    two->start(exclusive());
    EXPECT_TRUE(committed.load());
    EXPECT_EQ(price(*two, 1), 10);
    return two->commit().code;
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  committed.store(true);
  ASSERT_TRUE(one->commit());
  EXPECT_EQ(get_in_time(std::move(waiting), "the second exclusive transaction"), ErrorCode::ok);
}

TEST_F(ExclusiveTest, an_interrupt_ends_the_waiting) {
  auto one = db->connect();
  one->start(exclusive());
  auto waiting = std::async(std::launch::async, [&] {
    auto two = db->connect();
    return code_of([&] { two->start(exclusive()); });
  });
  while (db->statistics().at("connections") < 2) std::this_thread::yield();
  db->abandon();
  EXPECT_EQ(get_in_time(std::move(waiting), "an exclusive transaction"), ErrorCode::invalid_handle);
}

TEST(WaitingForState, at_least_ends_when_the_database_is_abandoned) {
  Grid grid(2);
  auto waiting = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    TransactionOptions options;
    options.at_least = Csn{1'000'000};
    return code_of([&] { con->start(options); });
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  grid.db[0]->abandon();
  EXPECT_EQ(get_in_time(std::move(waiting), "at_least"), ErrorCode::cluster_stopped);
  grid.db[1]->close();
}

TEST(WaitingForState, at_least_ends_when_the_cluster_does) {
  Grid grid(2);
  auto waiting = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    TransactionOptions options;
    options.at_least = Csn{1'000'000};
    return code_of([&] { con->start(options); });
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  grid.close();
  const auto code = get_in_time(std::move(waiting), "at_least");
  EXPECT_TRUE(code == ErrorCode::cluster_stopped || code == ErrorCode::invalid_handle);
}

TEST(WaitingForState, at_least_ends_when_the_database_is_being_closed_and_the_others_work_on) {
  Grid grid(2);
  auto waiting = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    TransactionOptions options;
    options.at_least = Csn{1'000'000};
    return code_of([&] { con->start(options); });
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  auto closing = std::async(std::launch::async, [&] { grid.db[0]->close(); });
  EXPECT_EQ(get_in_time(std::move(waiting), "at_least"), ErrorCode::cluster_stopped);
  EXPECT_EQ(closing.wait_for(50ms), std::future_status::timeout) << "node 1 has not closed";
  grid.db[1]->close();
  closing.get();
}

/// The round that fresh waits for has not come, for node 1 takes no part.
TEST(WaitingForState, fresh_ends_when_the_database_is_being_closed) {
  Grid grid(2, false, [](ClusterParams& params, std::uint32_t node) {
    if (node == 1) params.progress = Progress::cooperative;
  });
  auto first = grid.db[0]->connect();
  first->start();
  first->create(grid.item()).set("id", 1);
  first->commit_later();
  while (grid.db[0]->statistics().at("items_sent") < 1) grid.db[0]->progress();
  auto waiting = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    TransactionOptions options;
    options.fresh = true;
    return code_of([&] { con->start(options); });
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  auto closing = std::async(std::launch::async, [&] { grid.db[0]->close(); });
  EXPECT_EQ(get_in_time(std::move(waiting), "fresh"), ErrorCode::cluster_stopped);
  grid.db[1]->close();
  closing.get();
}

/// Node 1 takes part only when it is told to, so a commit of node 0 stays under way until then.
TEST(WaitingForRoom, a_write_waits_for_no_room_in_the_window) {
  Grid grid(2, false, [](ClusterParams& params, std::uint32_t node) {
    params.mode_mask = cluster_mode_early_data_send;
    params.conn_pool_factor = 1;  // one under way at a time
    if (node == 1) params.progress = Progress::cooperative;
  });
  auto first = grid.db[0]->connect();
  first->start();
  first->create(grid.item()).set("id", 1);
  first->commit_later();
  auto filling = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    con->start();
    const std::vector<double> samples(1'000, 1.5);
    for (int id = 100; id < 300; ++id) {
      auto row = con->create(grid.item());
      row.set("id", id);
      row.set_raw(*grid.item().find_field("samples"), FieldType::float64,
                  std::as_bytes(std::span(samples)));
    }
    con->rollback();
    return true;
  });
  get_in_time(std::move(filling), "a write beside a full window");
  auto answered = std::async(std::launch::async, [&] { return first->wait().code; });
  while (answered.wait_for(1ms) != std::future_status::ready) grid.db[1]->progress();
  EXPECT_EQ(answered.get(), ErrorCode::ok);
  first.reset();
  grid.close();
}

/// As in Python: one thread commits, without the lock that the callback needs; another writes, with
/// that lock.
TEST(WaitingForRoom, a_write_does_not_wait_for_the_quorum_callback_of_another_thread) {
  std::mutex interpreter;
  std::atomic<bool> asked{false};
  Grid grid(2, false, [&](ClusterParams& params, std::uint32_t node) {
    params.mode_mask = cluster_mode_early_data_send;
    if (node == 0) {
      params.quorum = [&](const std::vector<std::uint32_t>&) {
        asked.store(true);
        const std::lock_guard lock(interpreter);
        return true;
      };
    }
  });
  grid.db[1]->abandon();
  auto writer = grid.db[0]->connect();
  std::unique_lock lock(interpreter);
  auto committing = std::async(std::launch::async, [&] {
    auto con = grid.db[0]->connect();
    for (int id = 1; !asked.load(); ++id) {  // until node 0 has noticed
      con->start();
      con->create(grid.item()).set("id", id);
      con->commit().or_throw();
    }
    return true;
  });
  while (!asked.load()) std::this_thread::yield();
  auto writing = std::async(std::launch::async, [&] {
    writer->start();
    const std::vector<double> samples(1'000, 1.5);
    for (int id = 10'000; id < 10'200; ++id) {
      auto row = writer->create(grid.item());
      row.set("id", id);
      row.set_raw(*grid.item().find_field("samples"), FieldType::float64,
                  std::as_bytes(std::span(samples)));
    }
    return true;
  });
  get_in_time(std::move(writing), "a write beside a quorum callback");
  lock.unlock();
  get_in_time(std::move(committing), "a commit");
  EXPECT_TRUE(writer->commit());
  writer.reset();
  grid.db[0]->close();
}

/// The window holds the commit back for an hour; then this node leaves.
TEST(Interrupted, a_commit_that_the_window_holds_is_certainly_not_committed) {
  Grid grid(2, false, [](ClusterParams& params, std::uint32_t) {
    params.window.length_transactions = 1'000;
    params.window.timeout_ms = 3'600'000;
  });
  auto con = grid.db[0]->connect();
  con->start();
  con->create(grid.item()).set("id", 1);
  auto committing = std::async(std::launch::async, [&] { return con->commit(); });
  EXPECT_EQ(committing.wait_for(50ms), std::future_status::timeout);
  grid.db[0]->abandon();
  const auto result = get_in_time(std::move(committing), "a commit that the window holds");
  EXPECT_EQ(result.code, ErrorCode::cluster_stopped) << result.text;
  EXPECT_NE(result.id.sequence, 0U);
  con.reset();
  grid.db[1]->close();
  EXPECT_EQ(grid.db[1]->published(), Csn{0});
}

/// Node 1 takes no part, so what node 0 sent may have reached it or not.
TEST(Interrupted, a_commit_that_is_under_way_is_unknown_and_has_a_name) {
  Grid grid(2, false, [](ClusterParams& params, std::uint32_t node) {
    if (node == 1) params.progress = Progress::cooperative;
  });
  auto con = grid.db[0]->connect();
  con->start();
  con->create(grid.item()).set("id", 1);
  auto committing = std::async(std::launch::async, [&] { return con->commit(); });
  while (grid.db[0]->statistics().at("items_sent") < 1) std::this_thread::yield();
  grid.db[0]->abandon();
  const auto result = get_in_time(std::move(committing), "a commit that is under way");
  EXPECT_EQ(result.code, ErrorCode::unknown_outcome) << result.text;
  EXPECT_EQ(result.id.origin, NodeId{0});
  EXPECT_NE(result.text.find("outcome((0, " + std::to_string(result.id.sequence) + "))"),
            std::string::npos)
      << result.text;
  EXPECT_NE(result.id.sequence, 0U);
  con.reset();
  grid.db[1]->abandon();
}

}  // namespace
}  // namespace exdb
