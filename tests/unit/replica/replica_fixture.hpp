// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A replica without a node, for tests: records go in as a round would bring them.
#pragma once
#include <gtest/gtest.h>

#include <deque>

#include "cluster/round_item.hpp"
#include "replica/replica.hpp"
#include "schema/row.hpp"

namespace exdb {

using namespace std::chrono_literals;

class ReplicaFixture : public ::testing::Test {
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
  std::uint64_t next_sequence = 0;

  std::unique_ptr<Replica> make(bool clustered, std::size_t reserve = std::size_t{64} << 20,
                                NodeId self = {}) {
    StorageOptions options;
    options.segment.unit_bytes = std::size_t{1} << 20;
    options.segment.reserve_bytes = reserve;
    return Replica::create(schema, options, clustered, self).value();
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
    EXPECT_TRUE(replica.local()->take_turn(100ms));
    TransactionRecord nothing_else;
    return replica.local()->commit(made, nothing_else, drive_lock);
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
  /// A round of one that must be applied.
  ItemOutcome commit(Replica& replica, const TransactionRecord& made) {
    ItemOutcome outcome;
    EXPECT_TRUE(round(replica, ++next_sequence, made, outcome).ok());
    return outcome;
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

}  // namespace exdb
