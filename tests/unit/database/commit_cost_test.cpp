// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a commit costs, counted: allocations of a small one in steady state, alone and in a round, and
// the memory of a large one while it is open and while it commits. Figures are bounds with little to
// spare: a change that needs more has to say why.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "grid.hpp"

namespace {

std::atomic<std::uint64_t> allocations{0};
std::atomic<std::int64_t> live_bytes{0}, peak_bytes{0};

void* counted(std::size_t bytes) {
  void* const at = std::malloc(bytes == 0 ? 1 : bytes);
  if (at == nullptr) throw std::bad_alloc();
  allocations.fetch_add(1);
  const auto now = live_bytes.fetch_add(std::int64_t(malloc_usable_size(at)));
  auto peak = peak_bytes.load();
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
  return at;
}

void uncounted(void* at) {
  if (at == nullptr) return;
  live_bytes.fetch_sub(std::int64_t(malloc_usable_size(at)));
  std::free(at);
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
void operator delete(void* at) noexcept { uncounted(at); }
void operator delete[](void* at) noexcept { uncounted(at); }
void operator delete(void* at, std::size_t) noexcept { uncounted(at); }
void operator delete[](void* at, std::size_t) noexcept { uncounted(at); }

namespace exdb {
namespace {

constexpr const char* cost_schema =
    "class Row { int8 id; int8 a; int8 b; int8 c; int8 d; int8 e; int8 f; int8 g;"
    " unique hash<id> by_id; };";
constexpr int rows = 64;

class CommitCost : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(cost_schema).value();
  const ClassDef& row = schema->classes()[0];
  const IndexDef& by_id = schema->indexes()[0];

  void create(Connection& con, int from, int count) {
    con.start();
    for (int i = 0; i < count; ++i) con.create(row).set("id", from + i);
  }
  void change(Connection& con, int id, int to) {
    con.start();
    const Value wanted[] = {std::int64_t{id}};
    con.find(by_id, wanted)->set(row.field<std::int64_t>("a"), to);
  }
  /// Of the transactions `one` makes, after some to get warm; the mean, rounded down, so that a chunk
  /// of a queue now and then does not count.
  template <class One>
  static std::uint64_t each(One&& one) {
    constexpr int warm = 300, counted_times = 1000;
    for (int i = 0; i < warm; ++i) one(i);
    const auto before = allocations.load();
    for (int i = 0; i < counted_times; ++i) one(i);
    return (allocations.load() - before) / counted_times;
  }
};

TEST_F(CommitCost, a_small_transaction_alone_allocates_what_it_holds_and_no_more) {
  auto db = Database::open("cost", schema, {});
  auto con = db->connect();
  create(*con, 0, rows);
  con->commit().or_throw();
  const auto of_one = each([&](int i) {
    change(*con, i % rows, i);
    con->commit().or_throw();
  });
  RecordProperty("allocations", int(of_one));
  EXPECT_LE(of_one, 3U);
}

TEST_F(CommitCost, in_a_round_a_small_transaction_adds_the_frame_to_that) {
  Grid grid(2, false, {}, schema);
  auto first = grid.db[0]->connect(), second = grid.db[1]->connect();
  create(*first, 0, 2 * rows);
  first->commit().or_throw();
  TransactionOptions fresh;
  fresh.fresh = true;
  second->start(fresh);
  second->rollback();
  // Both nodes' commits, in one round or in two: who runs ahead is the scheduler's. Of the in-process
  // transport are a few of them, a poll's lists.
  const auto of_two = each([&](int i) {
    change(*first, i % rows, i);
    change(*second, rows + i % rows, i);
    first->commit_later();
    second->commit_later();
    first->wait().or_throw();
    second->wait().or_throw();
  });
  RecordProperty("allocations", int(of_two));
  EXPECT_LE(of_two, 20U);
  grid.close();
}

TEST_F(CommitCost, a_large_transaction_takes_a_few_times_its_rows) {
  constexpr int many = 20'000;
  auto db = Database::open("cost", schema, {});
  auto con = db->connect();
  const auto before = live_bytes.load();
  create(*con, 0, many);
  const auto open = (live_bytes.load() - before) / many;
  peak_bytes = live_bytes.load();
  con->commit().or_throw();
  const auto committing = (peak_bytes.load() - before) / many;
  RecordProperty("open_bytes", int(open));
  RecordProperty("committing_bytes", int(committing));
  EXPECT_LE(open, 300) << "bytes a row of 72, created and not committed";
  // 72 of them are the conflict log's. (Its keys in order, 120 more, would lie in a pool that asks for
  // aligned memory, which is not counted here.)
  EXPECT_LE(committing, 530) << "the same with what the commit makes of it, at its most";
  // The next round lets the conflict log go; what is kept for the next transaction is small.
  create(*con, many, 1);
  con->commit().or_throw();
  EXPECT_LE(live_bytes.load() - before, 10 * many);
}

/// Two replicas in one process: each has its conflict log (72) and ops of its own (56), and there
/// is one copy of the record, in the frame. 264 to 338, by how far the work of the two nodes overlaps; one
/// more copy of the record is 90.
TEST_F(CommitCost, a_large_transaction_is_there_once_on_its_way_to_another_node) {
  constexpr int many = 20'000;
  Grid grid(2, false, {}, schema);
  auto con = grid.db[0]->connect();
  create(*con, 0, many);
  const auto open = live_bytes.load();
  peak_bytes = open;
  con->commit().or_throw();
  TransactionOptions fresh;
  fresh.fresh = true;
  auto second = grid.db[1]->connect();
  second->start(fresh);
  second->rollback();
  const auto committing = (peak_bytes.load() - open) / many;
  RecordProperty("committing_bytes", int(committing));
  EXPECT_LE(committing, 345) << "bytes a row of 72 beside the open transaction, at their most";
  con->close();
  second->close();
  grid.close();
}

/// By rows that were there: those of new rows are refused at the assignment already.
TEST_F(CommitCost, no_key_that_two_rows_carry_is_missed_among_many) {
  auto db = Database::open("cost", schema, {});
  auto con = db->connect();
  create(*con, 0, 1001);
  con->commit().or_throw();
  con->start();
  for (int i = 0; i < 1000; ++i) con->find(by_id, std::vector<Value>{i})->set("id", i + 2000);
  con->find(by_id, std::vector<Value>{1000})->set("id", 2500);
  const auto result = con->commit();
  EXPECT_EQ(result.code, ErrorCode::duplicate);
  EXPECT_NE(result.text.find("key (2500) is carried by two rows of this transaction"),
            std::string::npos)
      << result.text;
}

TEST_F(CommitCost, a_row_that_keeps_its_key_has_it_still_when_another_one_takes_it) {
  auto db = Database::open("cost", schema, {});
  auto con = db->connect();
  create(*con, 0, rows);
  con->commit().or_throw();
  change(*con, 3, 7);
  con->create(row).set("id", 3);
  EXPECT_EQ(con->commit().code, ErrorCode::duplicate);
}

}  // namespace
}  // namespace exdb
