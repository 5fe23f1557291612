// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/record.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <tuple>

namespace exdb {
namespace {

std::shared_ptr<const Dictionary> dictionary() {
  return Dictionary::parse(
             "class A { int4 id; string text; unique hash<id> by_id; tree<text> by_text; };"
             "class B { int4 id; unique tree<id> by_id; };")
      .value();
}

KeyBytes key(std::initializer_list<int> bytes) {
  KeyBytes out;
  for (const int byte : bytes) out.push_back(std::byte(byte));
  return out;
}

TransactionRecord sample(std::vector<std::byte>& row) {
  row.assign(40, std::byte{7});
  TransactionRecord record;
  record.snapshot = Csn{12};
  record.serializable = true;
  record.ops = {{WriteOp::Kind::insert, ClassId{0}, 3, {}, row},
                {WriteOp::Kind::update, ClassId{1}, 9, Csn{14}, row},
                {WriteOp::Kind::remove, ClassId{1}, 2, Csn{12}, {}}};
  record.ranges.push_back({IndexId{1}, key({1, 2}), key({1, 3})});
  record.rows.push_back({ClassId{1}, SlotId{77}});
  record.classes.push_back(ClassId{0});
  return record;
}

TEST(TransactionRecord, comes_back_as_it_was_sent) {
  const auto schema = dictionary();
  std::vector<std::byte> row, bytes;
  sample(row).encode(bytes);
  TransactionRecord back;
  ASSERT_TRUE(TransactionRecord::decode(*schema, bytes, back).ok());
  EXPECT_EQ(back.snapshot, Csn{12});
  EXPECT_TRUE(back.serializable);
  EXPECT_FALSE(back.exclusive);
  ASSERT_EQ(back.ops.size(), 3u);
  EXPECT_EQ(back.ops[1].base, Csn{14});
  EXPECT_EQ(back.ops[1].row, 9u);
  EXPECT_EQ(back.ops[1].bytes.size(), 40u);
  ASSERT_EQ(back.ranges.size(), 1u);
  EXPECT_EQ(back.ranges[0].low, key({1, 2}));
  EXPECT_EQ(back.rows[0].slot, SlotId{77});
  EXPECT_EQ(back.classes[0], ClassId{0});
}

TEST(TransactionRecord, its_length_is_known_before_it_is_encoded) {
  std::vector<std::byte> row;
  auto record = sample(row);
  std::vector<std::byte> long_row(300);
  record.ops.push_back({WriteOp::Kind::update, ClassId{1}, 1'000'000, Csn{90'000}, long_row});
  record.ops.push_back({WriteOp::Kind::cancel, ClassId{0}, 200, {}, {}});
  for (const bool serializable : {true, false}) {
    record.serializable = serializable;
    std::vector<std::byte> bytes;
    record.encode(bytes);
    EXPECT_EQ(record.encoded_bytes(), bytes.size());
  }
}

TEST(TransactionRecord, the_name_of_a_snapshot_travels_and_has_a_bound) {
  TransactionRecord record;
  record.snapshot = Csn{3};
  for (const bool drops : {false, true}) {
    for (const std::size_t length : {std::size_t{1}, TransactionRecord::name_bytes_max}) {
      record.snapshot_name.assign(length, 'n');
      record.drops_name = drops;
      std::vector<std::byte> bytes;
      record.encode(bytes);
      EXPECT_EQ(record.encoded_bytes(), bytes.size());
      TransactionRecord back;
      ASSERT_TRUE(TransactionRecord::decode(*dictionary(), bytes, back).ok());
      EXPECT_EQ(back.snapshot_name, record.snapshot_name);
      EXPECT_EQ(back.drops_name, drops);
      back.clear();
      EXPECT_TRUE(back.snapshot_name.empty() && !back.drops_name);
    }
  }
  record.snapshot_name.assign(TransactionRecord::name_bytes_max + 1, 'n');
  std::vector<std::byte> bytes;
  record.encode(bytes);
  TransactionRecord back;
  EXPECT_EQ(TransactionRecord::decode(*dictionary(), bytes, back).code(),
            ErrorCode::cluster_protocol);
}

TEST(TransactionRecord, normalising_keeps_the_last_op_of_a_row_and_orders_the_groups) {
  std::vector<std::byte> one(8, std::byte{1}), two(8, std::byte{2});
  TransactionRecord record;
  record.ops = {{WriteOp::Kind::insert, ClassId{0}, 0, {}, one},
                {WriteOp::Kind::insert, ClassId{0}, 1, {}, one},
                {WriteOp::Kind::update, ClassId{0}, 0, {}, one},
                {WriteOp::Kind::insert, ClassId{0}, 1, {}, two},
                {WriteOp::Kind::cancel, ClassId{0}, 0, {}, {}},
                {WriteOp::Kind::remove, ClassId{1}, 5, {}, {}}};
  record.normalise_ops();
  ASSERT_EQ(record.ops.size(), 4u);
  record.drop_cancelled();
  ASSERT_EQ(record.ops.size(), 3u);  // insert 0 was cancelled; slot 0 is another row than new row 0
  EXPECT_EQ(record.ops[0].kind, WriteOp::Kind::remove);
  EXPECT_EQ(record.ops[1].kind, WriteOp::Kind::update);
  EXPECT_EQ(record.ops[2].kind, WriteOp::Kind::insert);
  EXPECT_EQ(record.ops[2].bytes[0], std::byte{2});
}

/// By the words of T1: rows in the order of their first op, each with its last one, then by group.
std::vector<WriteOp> normal_form(const std::vector<WriteOp>& ops) {
  const auto same = [](const WriteOp& a, const WriteOp& b) {
    return a.cls == b.cls && a.row == b.row && a.names_slot() == b.names_slot();
  };
  std::vector<WriteOp> merged;
  for (const auto& op : ops) {
    const auto at = std::find_if(merged.begin(), merged.end(),
                                 [&](const WriteOp& seen) { return same(seen, op); });
    if (at == merged.end())
      merged.push_back(op);
    else
      *at = op;
  }
  const auto group = [](const WriteOp& op) {
    return op.kind == WriteOp::Kind::remove ? 0 : op.kind == WriteOp::Kind::update ? 1 : 2;
  };
  std::stable_sort(merged.begin(), merged.end(),
                   [&](const WriteOp& a, const WriteOp& b) { return group(a) < group(b); });
  return merged;
}

TEST(TransactionRecord, any_ops_come_into_the_normal_form) {
  const auto name = [](const WriteOp& op) { return std::tuple(op.kind, op.cls, op.row, op.base); };
  std::mt19937 random(7);
  for (int run = 0; run < 20'000; ++run) {
    TransactionRecord record;
    // Often in order, so that what is in order already, or nearly so, is among them.
    const bool sorted = random() % 2 == 0;
    std::uint64_t csn = 0;
    for (auto count = random() % 7; count > 0; --count)
      record.ops.push_back({WriteOp::Kind(1 + random() % 4),
                            ClassId{std::uint32_t(random() % 2)},
                            random() % 4,
                            Csn{++csn},
                            {}});
    if (sorted)
      std::sort(record.ops.begin(), record.ops.end(), [](const WriteOp& a, const WriteOp& b) {
        const auto order = [](const WriteOp& op) {
          return std::tuple(op.kind == WriteOp::Kind::remove   ? 0
                            : op.kind == WriteOp::Kind::update ? 1
                                                               : 2,
                            op.cls, op.row);
        };
        return order(a) < order(b);
      });
    const auto wanted = normal_form(record.ops);
    record.normalise_ops();
    ASSERT_EQ(record.ops.size(), wanted.size()) << "run " << run;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      ASSERT_EQ(name(record.ops[i]), name(wanted[i])) << "run " << run;
  }
}

TEST(TransactionRecord, normalising_reads_joins_what_overlaps_or_touches) {
  TransactionRecord record;
  record.ranges.push_back({IndexId{0}, key({5}), key({7})});
  record.ranges.push_back({IndexId{0}, key({1}), key({3})});
  record.ranges.push_back({IndexId{0}, key({3}), key({4})});
  record.ranges.push_back({IndexId{0}, key({6}), {}});
  record.ranges.push_back({IndexId{1}, key({1}), key({2})});
  record.rows = {{ClassId{1}, SlotId{4}}, {ClassId{0}, SlotId{9}}, {ClassId{1}, SlotId{4}}};
  record.normalise_reads();
  ASSERT_EQ(record.ranges.size(), 3u);
  EXPECT_EQ(record.ranges[0].low, key({1}));
  EXPECT_EQ(record.ranges[0].high, key({4}));
  EXPECT_EQ(record.ranges[1].low, key({5}));
  EXPECT_TRUE(record.ranges[1].high.empty());
  EXPECT_EQ(record.ranges[2].index, IndexId{1});
  EXPECT_EQ(record.rows.size(), 2u);
}

TEST(TransactionRecord, decoding_survives_any_bytes) {
  const auto schema = dictionary();
  std::vector<std::byte> row, bytes;
  sample(row).encode(bytes);
  std::mt19937 random(1);
  for (int run = 0; run < 50'000; ++run) {
    auto damaged = bytes;
    for (int hit = 0; hit < 3; ++hit) damaged[random() % damaged.size()] = std::byte(random());
    damaged.resize(random() % (damaged.size() + 1));
    TransactionRecord back;
    if (TransactionRecord::decode(*schema, damaged, back).ok()) back.normalise_ops();
  }
}

}  // namespace
}  // namespace exdb
