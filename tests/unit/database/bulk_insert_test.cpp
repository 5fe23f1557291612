// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rows by columns: the same rows as one by one, all of them or none.
#include "database_fixture.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {
namespace {

constexpr const char* wide_schema = R"(
  enum Color { red = 1, blue = 4 };
  class Wide {
    int8 id; nullable int4 n; char<5> code; string name; double pair[2]; vector<double> samples;
    time at; Color color; blob raw; binary<4> mark; nullable string note; boolean yes; autoid;
    unique hash<id> by_id; unique tree<code> by_code; tree<n> by_n; tree<name> by_name;
  };
)";

class BulkInsertTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(wide_schema).value();
  std::unique_ptr<Database> db = Database::open("bulk", schema, {});
  const ClassDef& wide = schema->classes()[0];
  std::unique_ptr<Connection> con = db->connect();

  template <class T>
  Column fixed(const char* field, const std::vector<T>& values, std::size_t rows) {
    return {wide.find_field(field),
            std::as_bytes(std::span(values)),
            rows == 0 ? 0 : values.size() * sizeof(T) / rows,
            {}};
  }
  Column ids(const std::vector<std::int64_t>& values) { return fixed("id", values, values.size()); }
  /// With codes, which are unique too.
  void insert(const std::vector<std::int64_t>& values) {
    std::string codes;
    for (const auto id : values) {
      auto code = std::to_string(id);
      code.resize(5);
      codes += code;
    }
    const Column columns[] = {ids(values),
                              {wide.find_field("code"), std::as_bytes(std::span(codes)), 5, {}}};
    con->insert_many(wide, values.size(), columns);
  }
  std::string refusal(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(BulkInsertTest, rows_are_those_that_setting_the_fields_one_by_one_makes) {
  const std::vector<std::int64_t> id{7, 8, 9};
  const std::vector<std::int32_t> n{-1, 0, 5};
  const std::string codes("ab\0\0\0\0cdefg\0\0\0\0\0\0\0", 18), names = "einszwei", raw("r\0\0", 3);
  const std::vector<std::uint64_t> name_ends{4, 8, 8}, sample_ends{0, 16, 24}, raw_ends{0, 1, 3};
  const std::vector<double> pairs{1, 2, 3, 4, 5, 6}, samples{0.5, 1.5, -2};
  const std::vector<std::int64_t> at{0, 1, 86'399'999'999'999};
  const std::vector<std::int32_t> colors{1, 4, 1};
  const std::vector<std::byte> marks(6, std::byte{3});
  const auto bytes_of = [](const auto& of) { return std::as_bytes(std::span(of)); };
  const Column columns[] = {
      {wide.find_field("raw"), bytes_of(raw), 0, raw_ends},  // in another order than the fields
      ids(id),
      fixed("n", n, 3),
      {wide.find_field("code"), bytes_of(codes), 6, {}},
      {wide.find_field("name"), bytes_of(names), 0, name_ends},
      fixed("pair", pairs, 3),
      {wide.find_field("samples"), bytes_of(samples), 0, sample_ends},
      fixed("at", at, 3),
      fixed("color", colors, 3),
      fixed("mark", marks, 3)};
  con->start();
  con->insert_many(wide, 3, columns);
  ASSERT_TRUE(con->commit());

  auto other = Database::open("one by one", schema, {});
  const auto each = other->connect();
  each->start();
  const char* code[] = {"ab", "cdefg", ""};
  const char* name[] = {"eins", "zwei", ""};
  const std::size_t sample_from[] = {0, 0, 2}, sample_to[] = {0, 2, 3};
  const std::size_t raw_from[] = {0, 0, 1}, raw_to[] = {0, 1, 3};
  for (std::size_t i = 0; i < 3; ++i) {
    auto row = each->create(wide);
    row.set("id", id[i]);
    row.set("n", n[i]);
    row.set("code", code[i]);
    row.set("name", name[i]);
    row.set_raw(*wide.find_field("pair"), FieldType::float64, bytes_of(pairs).subspan(i * 16, 16));
    row.set_raw(*wide.find_field("samples"), FieldType::float64,
                bytes_of(samples).subspan(sample_from[i] * 8, 8 * (sample_to[i] - sample_from[i])));
    row.set(wide.field<std::int64_t>("at"), at[i]);
    row.set(wide.field<std::int32_t>("color"), colors[i]);
    row.set_bytes(*wide.find_field("raw"),
                  bytes_of(raw).subspan(raw_from[i], raw_to[i] - raw_from[i]));
    row.set_bytes(*wide.find_field("mark"), Bytes(marks).first(2));
  }
  ASSERT_TRUE(each->commit());
  EXPECT_EQ(db->digest(), other->digest());
}

TEST_F(BulkInsertTest, a_transaction_sees_changes_and_removes_them_as_its_own) {
  con->start();
  insert({1, 2, 3});
  const auto find = [&](std::int64_t id) {
    const Value key[] = {id};
    return con->find(*schema->find_index(wide.id, "by_id"), key);
  };
  auto two = find(2);
  ASSERT_TRUE(two);
  EXPECT_EQ(two->get("code").as_text(), "2");
  two->set("name", "another");
  two->set("id", 20);
  find(3)->remove();
  ASSERT_TRUE(con->commit());
  con->start();
  EXPECT_EQ(con->count(wide), 2u);
  EXPECT_EQ(find(20)->get("name").as_text(), "another");
  EXPECT_NE(find(1)->get("autoid"), find(20)->get("autoid"));
  EXPECT_FALSE(find(2) || find(3));
}

TEST_F(BulkInsertTest, a_key_that_is_taken_is_refused_and_none_of_the_rows_is_there) {
  con->start();
  insert({1, 2});
  ASSERT_TRUE(con->commit());
  con->start();
  insert({3});
  EXPECT_EQ(refusal([&] {
              insert({4, 2});
            }),
            "duplicate key: class Wide, index by_id, key (2) is taken by another row");
  EXPECT_EQ(refusal([&] {
              insert({5, 6, 5});
            }),
            "duplicate key: class Wide, index by_id, key (5) is carried by another row of this "
            "transaction");
  EXPECT_EQ(refusal([&] { insert({3}); }),
            "duplicate key: class Wide, index by_id, key (3) is carried by another row of this "
            "transaction");
  EXPECT_EQ(con->count(wide), 3u);
  insert({4, 5});  // what was refused holds no key
  ASSERT_TRUE(con->commit());
  con->start();
  EXPECT_EQ(con->count(wide), 5u);
}

// Rows by columns are looked at when they come, and not again: those that change later are.
TEST_F(BulkInsertTest, a_commit_finds_keys_that_two_rows_have_come_to_carry) {
  con->start();
  insert({1});
  ASSERT_TRUE(con->commit());
  con->start();
  const Value one[] = {1};
  con->find(*schema->find_index(wide.id, "by_id"), one)->set("id", 2);  // not looked at before
  EXPECT_EQ(refusal([&] { insert({2}); }), "");
  EXPECT_EQ(con->commit().code, ErrorCode::duplicate);
}

TEST_F(BulkInsertTest, two_transactions_that_load_one_key_conflict) {
  const auto other = db->connect();
  con->start();
  other->start();
  insert({1, 2});
  std::swap(con, const_cast<std::unique_ptr<Connection>&>(other));
  insert({3, 2});
  EXPECT_TRUE(con->commit());
  EXPECT_EQ(other->commit().code, ErrorCode::conflict);
}

TEST_F(BulkInsertTest, what_does_not_fit_is_refused_by_name) {
  con->start();
  const std::vector<std::int32_t> narrow{1, 2};
  const std::vector<std::int64_t> one{1}, late{86'400'000'000'000};
  const std::vector<char> bad{'\xff'};
  const std::string long_code = "abcdef";
  const auto insert_one = [&](const Column& column) {
    return refusal([&] { con->insert_many(wide, 1, std::span(&column, 1)); });
  };
  EXPECT_NE(insert_one(fixed("id", narrow, 2)).find("Wide.id (signed<8>)"), std::string::npos);
  EXPECT_NE(insert_one(fixed("at", late, 1)).find("Wide.at (time)"), std::string::npos);
  EXPECT_NE(insert_one(fixed("name", bad, 1)).find("Wide.name[0]"), std::string::npos);
  EXPECT_NE(insert_one({wide.find_field("code"), std::as_bytes(std::span(long_code)), 6, {}})
                .find("Wide.code[0]"),
            std::string::npos);
  EXPECT_NE(insert_one({wide.autoid, std::as_bytes(std::span(one)), 8, {}}).find("database gives"),
            std::string::npos);
  const Column twice[] = {ids(one), ids(one)};
  EXPECT_NE(refusal([&] { con->insert_many(wide, 1, twice); }).find("two columns"),
            std::string::npos);
  const std::vector<std::uint64_t> ends{3};
  const std::string long_name(3, 'x'), longer(2000, 'x');
  EXPECT_NE(insert_one({wide.find_field("name"), std::as_bytes(std::span(longer)), 2000, {}})
                .find("1024"),
            std::string::npos);
  EXPECT_EQ(insert_one({wide.find_field("name"), std::as_bytes(std::span(long_name)), 0, ends}),
            "");
  EXPECT_EQ(con->count(wide), 1u);
}

TEST(LargeBuffers, are_used_again_up_to_a_bound_and_let_go_when_idle) {
  LargeBuffers buffers;
  buffers.give(std::vector<std::byte>(1 << 20));
  EXPECT_EQ(buffers.kept_bytes(), 0u) << "nobody would let go of it";
  const LargeBuffers::Keeper keeper(buffers);
  auto one = buffers.bytes(1 << 20);
  const auto* at = one.data();
  buffers.give(std::move(one));
  EXPECT_GE(buffers.kept_bytes(), std::size_t{1} << 20);
  EXPECT_NE(buffers.room(1 << 10).data(), at);  // too small for so large a one
  auto again = buffers.room(900'000);
  EXPECT_EQ(again.data(), at);
  EXPECT_TRUE(again.empty());
  EXPECT_EQ(buffers.kept_bytes(), 0u);
  buffers.give(std::move(again));
  buffers.give(std::vector<std::byte>(100));
  for (int i = 0; i < 3; ++i)
    buffers.give(std::vector<std::byte>(LargeBuffers::kept_bytes_max / 2));
  EXPECT_LE(buffers.kept_bytes(), LargeBuffers::kept_bytes_max);
  const auto now = LargeBuffers::Clock::now();
  buffers.drop_idle(now);
  EXPECT_GT(buffers.kept_bytes(), 0u);
  buffers.drop_idle(now + 2 * LargeBuffers::idle_for);
  EXPECT_EQ(buffers.kept_bytes(), 0u);
}

}  // namespace
}  // namespace exdb
