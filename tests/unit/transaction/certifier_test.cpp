// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/certifier.hpp"

#include <gtest/gtest.h>

#include "schema/row.hpp"
#include "storage/snapshot.hpp"

namespace exdb {
namespace {

/// One class with a unique key and an ordered one, and a way to commit records against it at chosen
/// snapshots.
class CertifierTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema =
      Dictionary::parse("class A { int4 id; int4 v; unique hash<id> by_id; tree<v> by_v; };")
          .value();
  std::unique_ptr<Storage> storage = Storage::create(schema, {}).value();
  ConflictLog log{*schema};
  Certifier certifier{*storage, log};
  const ClassDef& type = schema->classes()[0];
  std::deque<std::vector<std::byte>> rows;

  void SetUp() override { storage->set_index_changes(&log); }

  Bytes row(int id, int v) {
    RowBuilder builder(type);
    builder.set("id", id);
    builder.set("v", v);
    const auto bytes = builder.finish();
    rows.emplace_back(bytes.begin(), bytes.end());
    return rows.back();
  }
  TransactionRecord record(Csn snapshot, std::vector<WriteOp> ops) {
    TransactionRecord made;
    made.snapshot = snapshot;
    made.ops = std::move(ops);
    return made;
  }
  WriteOp insert(int id, int v) { return {WriteOp::Kind::insert, type.id, 0, {}, row(id, v)}; }
  WriteOp update(SlotId slot, Csn base, int id, int v) {
    return {WriteOp::Kind::update, type.id, slot.value, base, row(id, v)};
  }
  WriteOp remove(SlotId slot, Csn base) {
    return {WriteOp::Kind::remove, type.id, slot.value, base, {}};
  }
  KeyBytes key(const char* index, int value) {
    KeyBytes out;
    const Value values[] = {value};
    make_key(*schema->find_index(type.id, index), values, out);
    return out;
  }
  SlotId slot_of(int id) {
    return storage->newest_owner(schema->find_index(type.id, "by_id")->id, key("by_id", id));
  }

  Verdict commit(TransactionRecord made) {
    made.normalise_ops();
    made.normalise_reads();
    auto verdict = certifier.certify(made, true);
    if (verdict.code != ErrorCode::ok) return verdict;
    certifier.apply(made, storage->applied().next());
    storage->publish();
    return verdict;
  }
};

TEST_F(CertifierTest, first_committer_wins_on_a_row) {
  ASSERT_EQ(commit(record(Csn{0}, {insert(1, 10)})).code, ErrorCode::ok);
  const auto slot = slot_of(1);
  const auto pinned = storage->pin().value();
  EXPECT_EQ(commit(record(Csn{1}, {update(slot, Csn{1}, 1, 11)})).code, ErrorCode::ok);
  const auto late = commit(record(Csn{1}, {update(slot, Csn{1}, 1, 12)}));
  EXPECT_EQ(late.code, ErrorCode::conflict);
  EXPECT_NE(late.text.find("class A, index by_id, key (1) was changed by"), std::string::npos)
      << late.text;
  EXPECT_EQ(commit(record(Csn{2}, {update(slot, Csn{2}, 1, 12)})).code, ErrorCode::ok);
}

TEST_F(CertifierTest, a_removed_row_conflicts_with_its_update) {
  commit(record(Csn{0}, {insert(1, 10)}));
  const auto slot = slot_of(1);
  ASSERT_EQ(commit(record(Csn{1}, {remove(slot, Csn{1})})).code, ErrorCode::ok);
  EXPECT_EQ(commit(record(Csn{1}, {update(slot, Csn{1}, 1, 5)})).code, ErrorCode::conflict);
}

// The key by which the program knows the row is the one that it has read.
TEST_F(CertifierTest, a_conflict_names_the_row_as_the_transaction_that_lost_has_read_it) {
  commit(record(Csn{0}, {insert(1, 10)}));
  const auto slot = slot_of(1);
  const auto late_text = [&] { return commit(record(Csn{1}, {update(slot, Csn{1}, 1, 5)})).text; };
  {
    const auto pinned = storage->pin().value();
    commit(record(Csn{1}, {remove(slot, Csn{1})}));
    EXPECT_EQ(late_text(),
              "conflict: class A, index by_id, key (1) was removed by a transaction that committed "
              "first; run the transaction again");
    commit(record(storage->published(), {insert(99, 10)}));  // takes the slot
    ASSERT_EQ(slot_of(99), slot);
    EXPECT_EQ(
        late_text(),
        "conflict: class A, index by_id, key (1) was changed or removed by a transaction that "
        "committed first; run the transaction again");
    auto reader = record(Csn{1}, {insert(7, 7)});
    reader.serializable = true;
    reader.rows.push_back({type.id, slot});
    EXPECT_EQ(
        commit(reader).text,
        "conflict: class A, index by_id, key (1) was changed or removed by a transaction that "
        "committed first, and this serializable transaction has read it; run the transaction "
        "again");
  }
  EXPECT_EQ(
      late_text(),  // nobody knows any more which row it was
      "conflict: class A, row number 0 was changed or removed by a transaction that committed "
      "first; run the transaction again");
}

TEST_F(CertifierTest, two_inserts_of_one_unique_key_race_to_a_conflict_and_then_to_a_duplicate) {
  ASSERT_EQ(commit(record(Csn{0}, {insert(1, 10)})).code, ErrorCode::ok);
  const auto raced = commit(record(Csn{0}, {insert(1, 20)}));
  EXPECT_EQ(raced.code, ErrorCode::conflict);
  EXPECT_NE(raced.text.find("by_id, key (1)"), std::string::npos) << raced.text;
  EXPECT_EQ(commit(record(Csn{1}, {insert(1, 20)})).code, ErrorCode::duplicate);
}

TEST_F(CertifierTest, a_transaction_may_move_a_unique_key_between_its_own_rows) {
  commit(record(Csn{0}, {insert(1, 10), {WriteOp::Kind::insert, type.id, 1, {}, row(2, 20)}}));
  const auto one = slot_of(1), two = slot_of(2);
  EXPECT_EQ(commit(record(Csn{1}, {update(one, Csn{1}, 2, 10), update(two, Csn{1}, 1, 20)})).code,
            ErrorCode::ok);
  EXPECT_EQ(slot_of(1), two);
  EXPECT_EQ(slot_of(2), one);
  EXPECT_EQ(commit(record(Csn{2}, {remove(one, Csn{2}), insert(2, 30)})).code, ErrorCode::ok);
}

TEST_F(CertifierTest, serializable_sees_rows_phantoms_and_departures_in_what_it_read) {
  const auto by_v = schema->find_index(type.id, "by_v")->id;
  commit(record(Csn{0}, {insert(1, 10)}));  // csn 1
  const auto reader = [&](int from, int to) {
    auto made = record(Csn{1}, {insert(100 + from, 1000 + from)});
    made.serializable = true;
    made.ranges.push_back({by_v, key("by_v", from), key("by_v", to)});
    return made;
  };
  commit(record(Csn{1}, {insert(2, 15)}));  // csn 2: a phantom for 10..20
  EXPECT_EQ(commit(reader(10, 20)).code, ErrorCode::conflict);
  EXPECT_EQ(commit(reader(16, 20)).code, ErrorCode::ok);
  commit(record(storage->published(), {remove(slot_of(1), storage->published())}));
  EXPECT_EQ(commit(reader(5, 11)).code, ErrorCode::conflict);
  auto whole = record(Csn{1}, {insert(500, 0)});
  whole.serializable = true;
  whole.classes.push_back(type.id);
  EXPECT_EQ(commit(whole).code, ErrorCode::conflict);
  auto row_read = record(Csn{1}, {insert(501, 0)});
  row_read.serializable = true;
  row_read.rows.push_back({type.id, SlotId{0}});
  EXPECT_EQ(commit(row_read).code, ErrorCode::conflict);
}

TEST_F(CertifierTest, a_serializable_snapshot_below_the_floor_is_too_old) {
  commit(record(Csn{0}, {insert(1, 10)}));
  commit(record(Csn{1}, {insert(2, 10)}));
  log.prune(Csn{2});
  auto old = record(Csn{1}, {insert(3, 10)});
  old.serializable = true;
  EXPECT_EQ(commit(old).code, ErrorCode::snapshot_too_old);
  EXPECT_EQ(commit(record(Csn{1}, {insert(3, 10)})).code, ErrorCode::ok);
}

TEST_F(CertifierTest, exclusive_conflicts_with_any_commit) {
  commit(record(Csn{0}, {insert(1, 10)}));
  auto alone = record(Csn{0}, {insert(2, 10)});
  alone.exclusive = true;
  EXPECT_EQ(commit(alone).code, ErrorCode::conflict);
  alone.snapshot = Csn{1};
  EXPECT_EQ(commit(alone).code, ErrorCode::ok);
}

}  // namespace
}  // namespace exdb
