// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What is refused where it is assigned: unique keys that are taken, and values beyond a limit.
#include "fake_route.hpp"

namespace exdb {
namespace {

constexpr const char* schema_text = R"(
  struct Place { char<3> airport; int4 gate; vector<double> spots; };
  class Pair {
    int4 a; string b; int4 other; nullable datetime when; Place origin; optional Place target;
    vector<double> samples; vector<int1> octets;
    unique hash<a> by_a;
    unique tree<b, other> by_pair;
    unique tree<origin.airport, origin.gate> by_origin;
    unique tree<target.gate> by_target;
    tree<other> by_other;
  };
)";

/// Rows get an `a` of their own, and nothing else in common unless a test says so.
class AssignedKeysTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(schema_text).value();
  std::unique_ptr<Database> db = Database::open("keys", schema, {});
  const ClassDef& pair = *schema->find_class("Pair");
  std::unique_ptr<Connection> con = db->connect();
  int next = 0;

  Object create() {
    auto made = con->create(pair);
    made.set("a", ++next);
    made.set("b", "row " + std::to_string(next));
    made.set("other", next);
    made.set("origin.airport", std::to_string(next));
    made.set("origin.gate", next);
    made.set("target.gate", next);
    return made;
  }
  /// What the call is refused with, or nothing.
  static std::string refusal(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::duplicate || error.code() == ErrorCode::too_large)
          << error.what();
      return error.what();
    }
    return {};
  }
};

TEST_F(AssignedKeysTest, a_key_that_the_snapshot_shows_is_refused_and_the_row_stays_as_it_was) {
  con->start();
  create();
  ASSERT_TRUE(con->commit());
  con->start();
  auto row = create();
  const auto before = row.row().values();
  EXPECT_EQ(refusal([&] { row.set("a", 1); }),
            "duplicate key: class Pair, index by_a, key (1) is taken by another row");
  EXPECT_EQ(refusal([&] { row.set(pair.record.at("a"), 1); }),
            "duplicate key: class Pair, index by_a, key (1) is taken by another row");
  EXPECT_EQ(refusal([&] { row.set(pair.field<std::int32_t>("a"), 1); }),
            "duplicate key: class Pair, index by_a, key (1) is taken by another row");
  EXPECT_EQ(row.row().values(), before);
  row.set("a", 7);
  EXPECT_TRUE(con->commit());
}

TEST_F(AssignedKeysTest, a_key_of_another_new_row_is_refused_and_can_be_given_up) {
  con->start();
  auto one = create(), other = create();
  EXPECT_EQ(refusal([&] { other.set("a", 1); }),
            "duplicate key: class Pair, index by_a, key (1) is carried by another row of this "
            "transaction");
  other.set("a", 2);  // its own
  one.set("a", 3);
  other.set("a", 1);
  one.remove();
  create().set("a", 3);
  EXPECT_TRUE(con->commit());
}

TEST_F(AssignedKeysTest, what_the_transaction_removed_or_moved_is_free) {
  con->start();
  create(), create();
  ASSERT_TRUE(con->commit());
  con->start();
  const auto& by_a = *schema->find_index(pair.id, "by_a");
  con->find(by_a, std::vector<Value>{1})->remove();
  con->find(by_a, std::vector<Value>{2})->set("a", 20);
  create().set("a", 1);
  create().set("a", 2);
  create().set("a", 20);  // of a row that was there, and may move on
  EXPECT_EQ(con->commit().code, ErrorCode::duplicate);
}

TEST_F(AssignedKeysTest, a_key_of_several_parts_is_looked_at_when_all_of_them_are_assigned) {
  con->start();
  create();  // ("row 1", 1)
  auto half = create();
  half.set("b", "row 1");
  EXPECT_EQ(refusal([&] { half.set("other", 1); }),
            "duplicate key: class Pair, index by_pair, key ('row 1', 1) is carried by another row "
            "of this transaction");
  EXPECT_EQ(half.get("other"), Value(2));
  half.set("other", 5);  // ("row 1", 5)
  half.set("other", 1);  // half set: ("row 1", 1) meanwhile
  half.set("b", "row 9");
  EXPECT_TRUE(con->commit());
}

TEST_F(AssignedKeysTest,
       keys_within_structs_are_looked_at_by_path_and_when_the_struct_is_assigned) {
  con->start();
  create();
  auto row = create();
  row.set("origin.spots", Value(ValueList{1.0, 2.0}));
  const auto before = row.row().values();
  const Value taken(ValueRecord{{"airport", "1"}, {"gate", 1}});
  EXPECT_NE(refusal([&] { row.set("origin", taken); }).find("by_origin, key ('1', 1)"),
            std::string::npos);
  EXPECT_EQ(row.row().values(), before);
  row.set("origin.airport", "1");
  EXPECT_NE(refusal([&] { row.set("origin.gate", 1); }).find("by_origin"), std::string::npos);
  row.set("origin.airport", "2");
  EXPECT_EQ(row.row().values(), before);
}

TEST_F(AssignedKeysTest, a_struct_that_a_refused_write_made_present_is_absent_again) {
  con->start();
  create();
  auto row = con->create(pair);
  row.set("a", ++next);
  EXPECT_NE(refusal([&] { row.set("target.gate", 1); }).find("by_target, key (1)"),
            std::string::npos);
  EXPECT_TRUE(row.get("target").is_null());
}

TEST_F(AssignedKeysTest, other_fields_and_rows_that_were_there_are_not_looked_at) {
  con->start();
  create(), create();
  ASSERT_TRUE(con->commit());
  con->start();
  const auto& by_a = *schema->find_index(pair.id, "by_a");
  auto one = *con->find(by_a, std::vector<Value>{1}), two = *con->find(by_a, std::vector<Value>{2});
  one.set("a", 2);  // they swap
  two.set("a", 1);
  create().set("when", Value(std::int64_t{5}));
  EXPECT_TRUE(con->commit());
}

TEST_F(AssignedKeysTest, among_many_rows_a_key_is_found_and_forgotten_at_the_end) {
  constexpr int rows = 5'000;
  for (int turn = 0; turn < 2; ++turn) {
    con->start();
    for (int i = 0; i < rows; ++i) con->create(pair).set("a", i);
    for (int i = 0; i < rows; i += 7)
      EXPECT_NE(refusal([&] { con->create(pair).set("a", i); }), "") << i;
    con->rollback();
  }
}

TEST_F(AssignedKeysTest, a_serializable_transaction_has_read_the_key_it_was_refused) {
  con->start();
  create();
  ASSERT_TRUE(con->commit());
  TransactionOptions options;
  options.isolation = Isolation::serializable;
  con->start(options);
  auto row = create();
  EXPECT_NE(refusal([&] { row.set("a", 1); }), "");
  auto other = db->connect();
  other->start();
  const auto& by_a = *schema->find_index(pair.id, "by_a");
  other->find(by_a, std::vector<Value>{1})->remove();
  ASSERT_TRUE(other->commit());
  EXPECT_EQ(con->commit().code, ErrorCode::conflict);
}

TEST_F(AssignedKeysTest, a_row_whose_key_is_too_long_hinders_no_other) {
  con->start();
  auto bad = create();
  bad.set("b", std::string(2'000, 'x'));
  for (int i = 0; i < 10; ++i) create();
  EXPECT_EQ(con->commit().code, ErrorCode::key_too_long);
}

/// Bytes that nobody may read: there are none.
Bytes nowhere(std::size_t bytes) { return {reinterpret_cast<const std::byte*>(4096), bytes}; }

TEST_F(AssignedKeysTest, a_value_beyond_what_a_row_holds_is_refused_before_it_is_looked_at) {
  con->start();
  auto row = create();
  const auto text = refusal([&] {
    row.set_raw(pair.record.at("samples"), FieldType::float64, nowhere(std::size_t{5} << 30));
  });
  row.set_bytes(pair.record.at("b"), as_bytes(std::string_view("new")));
  EXPECT_EQ(row.get("b"), Value("new"));
  EXPECT_ERROR(row.set_bytes(pair.record.at("a"), nowhere(4)), conversion);
  EXPECT_ERROR(row.set_bytes(pair.record.at("origin").record->at("airport"), nowhere(1)),
               conversion);
  EXPECT_EQ(text,
            "Pair.samples: a value of 5368709120 bytes is more than the 4294967295 that one "
            "row may have: store it as several rows");
  EXPECT_NE(refusal([&] { row.require_fits("target.spots", std::size_t{1} << 32); }), "");
  row.require_fits("samples", (std::size_t{1} << 32) - 1);
  EXPECT_TRUE(con->commit());
}

using ValueLimitTest = FakeRouteTest;

TEST_F(ValueLimitTest, a_value_beyond_what_a_commit_carries_names_field_size_and_limit) {
  route.record_bytes_max_ = 10'000;
  Transaction transaction(core);
  transaction.begin({});
  try {
    transaction.require_fits(item, "samples", 10'001);
    FAIL() << "10,001 bytes were taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::too_large);
    EXPECT_STREQ(error.what(),
                 "Item.samples: a value of 10001 bytes is more than the 10000 that one commit may "
                 "carry: store it as several rows, in several transactions");
  }
  transaction.require_fits(item, "samples", 10'000);
  transaction.require_fits(scratch, "v", 10'001);  // travels nowhere
}

}  // namespace
}  // namespace exdb
