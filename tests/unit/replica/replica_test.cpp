// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "cluster/round_item.hpp"
#include "schema/row.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// A replica without a node: records go in as a round would bring them.
class ReplicaTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema =
      Dictionary::parse(
          "class A { int4 id; blob more; unique hash<id> by_id; };"
          "local class L { int4 id; blob more; unique tree<id> by_id; };")
          .value();
  const ClassDef& shared = *schema->find_class("A");
  const ClassDef& local = *schema->find_class("L");
  std::deque<std::vector<std::byte>> rows;
  std::mutex drive_lock;

  std::unique_ptr<Replica> make(bool clustered, std::size_t reserve = std::size_t{64} << 20) {
    StorageOptions options;
    options.segment.unit_bytes = std::size_t{1} << 20;
    options.segment.reserve_bytes = reserve;
    return Replica::create(schema, options, clustered, NodeId{0}).value();
  }
  WriteOp insert(const ClassDef& type, int id, std::size_t bytes = 0) {
    RowBuilder builder(type);
    builder.set("id", id);
    builder.set("more", Value(ByteString(bytes, std::byte{7})));
    const auto row = builder.finish();
    rows.emplace_back(row.begin(), row.end());
    return {WriteOp::Kind::insert, type.id, rows.size(), {}, rows.back()};
  }
  static TransactionRecord record(std::vector<WriteOp> ops) {
    TransactionRecord made;
    made.ops = std::move(ops);
    return made;
  }
  std::vector<WriteOp> many(const ClassDef& type, int count) {
    std::vector<WriteOp> ops;
    for (int id = 100; id < 100 + count; ++id) ops.push_back(insert(type, id, 2000));
    return ops;
  }
  ReadRange whole_key_range(const ClassDef& type, int from, int to) {
    const auto& index = schema->index_of(type.indexes[0]);
    ReadRange range{index.id, {}, {}};
    make_key(index, std::vector<Value>{from}, range.low);
    make_key(index, std::vector<Value>{to}, range.high);
    return range;
  }
  ItemOutcome commit_local(Replica& replica, TransactionRecord made) {
    EXPECT_TRUE(replica.take_local_turn(5s));
    TransactionRecord nothing_else;
    return replica.commit_local(made, nothing_else, drive_lock);
  }
  Status round(Replica& replica, std::uint64_t sequence, const TransactionRecord& made,
               ItemOutcome& outcome) {
    std::vector<std::byte> bytes;
    made.encode(bytes);
    RoundItem item;
    item.sequence = sequence;
    item.bytes = bytes;
    std::vector<ItemOutcome> outcomes;
    const std::lock_guard lock(drive_lock);
    auto status =
        replica.apply_round(Round{sequence}, std::span(&item, 1), Csn{}, {true}, outcomes);
    outcome = outcomes.at(0);
    return status;
  }
  static std::size_t seen(Replica& replica, const ClassDef& type) {
    const auto pinned = replica.pin().value();
    const auto& snapshot = replica.is_local(type) ? pinned->local : pinned->replicated;
    std::size_t count = 0;
    for (auto at = snapshot.scan(type.id, SlotId{0}); at != SlotId::none();
         at = snapshot.scan(type.id, SlotId{at.value + 1}))
      ++count;
    return count;
  }
};

constexpr std::size_t tight = std::size_t{2} << 20;
constexpr int too_many = 3000;  // of 2 KB each

TEST_F(ReplicaTest, a_commit_that_runs_out_of_memory_is_not_shown_by_a_later_one) {
  const auto replica = make(false, tight);
  auto one = record({insert(shared, 1)});
  ASSERT_EQ(replica->commit_alone(one).code, ErrorCode::ok);
  auto big = record(many(shared, too_many));
  EXPECT_THROW((void)replica->commit_alone(big), Error);
  auto later = record({insert(shared, 2)});
  EXPECT_EQ(replica->commit_alone(later).code, ErrorCode::no_memory);
  EXPECT_EQ(seen(*replica, shared), 1u);
}

TEST_F(ReplicaTest, a_local_commit_that_runs_out_of_memory_gives_the_turn_back_and_is_not_shown) {
  const auto replica = make(true, tight);
  ASSERT_EQ(commit_local(*replica, record({insert(local, 1)})).code, ErrorCode::ok);
  EXPECT_THROW((void)commit_local(*replica, record(many(local, too_many))), Error);
  EXPECT_EQ(commit_local(*replica, record({insert(local, 2)})).code, ErrorCode::no_memory);
  EXPECT_EQ(seen(*replica, local), 1u);
}

TEST_F(ReplicaTest, a_round_that_runs_out_of_memory_gives_the_turn_of_its_local_part_back) {
  for (const bool in_local : {true, false}) {
    const auto replica = make(true, tight);
    ASSERT_TRUE(replica->take_local_turn(5s));
    const int of_local = in_local ? too_many : 1, of_shared = in_local ? 1 : too_many;
    ASSERT_EQ(replica->prepare_local(1, record(many(local, of_local))).code, ErrorCode::ok);
    ItemOutcome outcome;
    EXPECT_EQ(round(*replica, 1, record(many(shared, of_shared)), outcome).code(),
              ErrorCode::no_memory);
    replica->drop_local(1);  // as who waits for it does
    EXPECT_EQ(commit_local(*replica, record({insert(local, 2)})).code, ErrorCode::no_memory);
    EXPECT_EQ(seen(*replica, local), 0u);
    EXPECT_EQ(seen(*replica, shared), 0u);
  }
}

TEST_F(ReplicaTest, a_prepared_transaction_is_resolved_by_its_round_or_dropped) {
  const auto replica = make(true);
  const auto prepare = [&](std::uint64_t sequence, int id) {
    ASSERT_TRUE(replica->take_local_turn(5s));
    ASSERT_EQ(replica->prepare_local(sequence, record({insert(local, id)})).code, ErrorCode::ok);
    EXPECT_FALSE(replica->take_local_turn(0us));
  };
  ItemOutcome outcome;
  prepare(1, 1);
  ASSERT_TRUE(round(*replica, 1, record({insert(shared, 1)}), outcome).ok());
  EXPECT_EQ(outcome.code, ErrorCode::ok);
  EXPECT_EQ(seen(*replica, local), 1u);
  prepare(2, 2);
  ASSERT_TRUE(round(*replica, 2, record({insert(shared, 1)}), outcome).ok());
  EXPECT_NE(outcome.code, ErrorCode::ok);  // its key is taken
  EXPECT_EQ(seen(*replica, local), 1u);
  prepare(3, 3);
  replica->drop_local(3);
  replica->drop_local(3);
  EXPECT_TRUE(replica->take_local_turn(5s));
  EXPECT_EQ(replica->prepare_local(4, record({insert(local, 1)})).code, ErrorCode::conflict);
  EXPECT_TRUE(replica->take_local_turn(5s)) << "a refused one keeps no turn";
}

TEST_F(ReplicaTest, a_prepared_transaction_whose_exchange_ended_without_a_round_is_dropped) {
  const auto replica = make(true);
  ASSERT_TRUE(replica->take_local_turn(5s));
  ASSERT_EQ(replica->prepare_local(1, record({insert(local, 1)})).code, ErrorCode::ok);
  const auto item = std::make_shared<PendingItem>();
  replica->local_is_sent(1, item);
  EXPECT_FALSE(replica->take_local_turn(0us));
  item->answer({ErrorCode::unknown_outcome, {}, "the node left"});
  EXPECT_EQ(commit_local(*replica, record({insert(local, 2)})).code, ErrorCode::ok);
  EXPECT_EQ(seen(*replica, local), 1u);
  EXPECT_TRUE(replica->take_local_turn(5s));
}

TEST_F(ReplicaTest, ranges_read_of_local_classes_are_certified_in_whatever_order_they_were_read) {
  const auto replica = make(true);
  const auto open = replica->register_open();
  ASSERT_EQ(commit_local(*replica, record({insert(local, 15)})).code, ErrorCode::ok);
  for (const bool phantom_first : {false, true}) {
    auto reader = record({insert(local, 100)});
    reader.serializable = true;
    reader.ranges = {whole_key_range(local, 30, 40), whole_key_range(local, 10, 20),
                     whole_key_range(local, 50, 60)};
    if (phantom_first) std::swap(reader.ranges[0], reader.ranges[1]);
    ASSERT_TRUE(replica->take_local_turn(5s));
    EXPECT_EQ(replica->prepare_local(1, reader).code, ErrorCode::conflict);
  }
  replica->release_open(open);
}

TEST_F(ReplicaTest, local_commits_forget_no_key_that_an_open_transaction_may_ask_for) {
  const auto replica = make(true);
  const auto open = replica->register_open();
  for (int id = 1; id <= 5; ++id)
    ASSERT_EQ(commit_local(*replica, record({insert(local, id)})).code, ErrorCode::ok);
  auto reader = record({insert(local, 100)});
  reader.serializable = true;
  reader.ranges = {whole_key_range(local, 50, 60)};
  EXPECT_EQ(commit_local(*replica, reader).code, ErrorCode::ok);
  reader = record({insert(local, 101)});
  reader.serializable = true;
  reader.ranges = {whole_key_range(local, 3, 4)};
  EXPECT_EQ(commit_local(*replica, reader).code, ErrorCode::conflict);
  replica->release_open(open);
}

TEST_F(ReplicaTest, a_record_that_writes_a_row_which_is_gone_conflicts_whatever_its_base) {
  const auto replica = make(false);
  auto one = record({insert(shared, 1)});
  ASSERT_EQ(replica->commit_alone(one).code, ErrorCode::ok);
  const WriteOp remove{WriteOp::Kind::remove, shared.id, 0, Csn{1}, {}};
  auto gone = record({remove});
  ASSERT_EQ(replica->commit_alone(gone).code, ErrorCode::ok);
  auto wrong = record({remove});
  wrong.ops[0].base = Csn{99};
  EXPECT_EQ(replica->commit_alone(wrong).code, ErrorCode::conflict);
}

}  // namespace
}  // namespace exdb
