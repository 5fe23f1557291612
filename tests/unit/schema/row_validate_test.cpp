// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Bytes that another node sent: whatever they are, validate_row answers without reading beyond
// them, and what it lets through can be read, indexed and written again.
#include "support.hpp"

namespace exdb {
namespace {

ByteString random_row(const ClassDef& type, test::Random& random) {
  RowBuilder row(type);
  for (const auto& field : type.fields())
    if (random() % 3 != 0) row.set(field, test::random_field_value(field, random));
  return test::copy_of(row.finish());
}

void mutate(ByteString& row, test::Random& random) {
  for (auto changes = 1 + random() % 3; changes > 0 && !row.empty(); --changes) {
    const auto at = random() % row.size();
    switch (random() % 6) {
      case 0:
        row[at] = std::byte(random());
        break;
      case 1:
        row[at] ^= std::byte(1U << (random() % 8));
        break;
      case 2:
        row.resize(at);
        break;
      case 3:
        row.insert(row.end(), random() % 70, std::byte{0});
        break;
      case 4: {  // a small number where a reference may be
        const auto word = std::uint32_t(random() % (row.size() + 2));
        const auto place = at / 4 * 4;
        if (place + 4 <= row.size()) std::memcpy(row.data() + place, &word, 4);
        break;
      }
      default: {
        const auto word = random() % 2 == 0 ? ~std::uint32_t{0} : std::uint32_t(random());
        const auto place = at / 4 * 4;
        if (place + 4 <= row.size()) std::memcpy(row.data() + place, &word, 4);
      }
    }
  }
}

TEST(ValidateRow, survives_any_change_of_bytes) {
  const auto d = test::parse(test::everything);
  const auto& all = *d->find_class("All");
  test::Random random(2024);
  std::vector<ByteString> rows;
  for (int i = 0; i < 50; ++i) rows.push_back(random_row(all, random));
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    auto row = rows[random() % rows.size()];
    mutate(row, random);
    row.shrink_to_fit();  // so that the sanitizer sees one byte too far
    if (!validate_row(*d, all.id, row).ok()) continue;
    ++accepted;
    if (i % 4 != 0) continue;
    EXPECT_EQ(RowView(all, row).values().size(), all.fields().size());  // reads every byte
    // What was accepted is canonical: writing a value anew and the old one back gives the same
    // bytes.
    RowBuilder same(all, row);
    ASSERT_EQ(test::copy_of(same.finish()), row);
    same.set("s", "a change that moves the tail");
    same.set("s", RowView(all, row).value("s"));
    ASSERT_EQ(test::copy_of(same.finish()), row) << "not canonical, but accepted";
  }
  EXPECT_GT(accepted, 1'000) << "mutations of numbers alone leave a row valid";
}

TEST(ValidateRow, survives_random_bytes) {
  const auto d = test::parse(test::everything);
  const auto& all = *d->find_class("All");
  test::Random random(5);
  for (int i = 0; i < 5'000; ++i) {
    const auto row = test::random_bytes(random, random() % (2 * all.record.size));
    EXPECT_FALSE(validate_row(*d, all.id, row).ok());
  }
}

class ValidateOne : public testing::Test {
 protected:
  std::shared_ptr<const Dictionary> dictionary_ = test::parse(R"(
    enum E { a, b }; struct S { int1 x; nullable int4 y; };
    class A { nullable int4 n; boolean b; E e; time t; char<4> c; string s; vector<int4> v;
              vector<string> vs; optional S os; tree<s> by_s; };)");
  const ClassDef& type_ = dictionary_->classes()[0];

  ByteString row() {
    RowBuilder builder(type_);
    builder.set("s", "text");
    builder.set("v", ValueList{1, 2});
    builder.set("vs", ValueList{"one", "two"});
    return test::copy_of(builder.finish());
  }

  template <class T>
  static void put(ByteString& row, std::size_t at, T value) {
    std::memcpy(row.data() + at, &value, sizeof value);
  }
  std::size_t at(const char* name) { return type_.find_field(name)->offset; }
  std::string fault(const ByteString& row) {
    const auto status = validate_row(*dictionary_, type_.id, row);
    const std::string prefix = "not a row of class A: A";
    if (!status.ok()) {
      EXPECT_EQ(status.text().substr(0, prefix.size()), prefix);
    }
    return status.ok() ? "" : status.text().substr(prefix.size());
  }
};

TEST_F(ValidateOne, names_each_fault) {
  EXPECT_EQ(fault(row()), "");
  auto bad = row();
  put<std::uint8_t>(bad, at("b"), 2);
  EXPECT_EQ(fault(bad), ".b has a boolean that is neither 0 nor 1");
  bad = row();
  put<std::int32_t>(bad, at("e"), 2);
  EXPECT_EQ(fault(bad), ".e has a number that is no enumerator");
  bad = row();
  put<std::int64_t>(bad, at("t"), -1);
  EXPECT_EQ(fault(bad), ".t has a time beyond one day");
  bad = row();
  put<std::uint8_t>(bad, at("c"), 0xff);
  EXPECT_EQ(fault(bad), ".c has text that is not UTF-8");
  bad = row();
  put<std::uint8_t>(bad, type_.record.size, 0xff);
  EXPECT_EQ(fault(bad), ".s has text that is not UTF-8");
  bad = row();
  put<std::int32_t>(bad, at("n"), 1);
  EXPECT_EQ(fault(bad), ".n has a null that is not zero");
  bad = row();
  put<std::uint8_t>(bad, 0, 0x80);
  EXPECT_EQ(fault(bad), " has presence bits of no field");
  bad = row();
  put<std::uint32_t>(bad, at("v") + 4, 0xffff'ffff);
  EXPECT_EQ(fault(bad), ".v has a reference beyond the end of the row");
  bad = row();
  put<std::uint32_t>(bad, at("vs"), type_.record.size);
  EXPECT_EQ(fault(bad), ".vs has a reference out of order");
  bad = row();
  bad.push_back(std::byte{0});
  EXPECT_EQ(fault(bad), " has bytes behind the last value");
  bad = row();
  put<std::uint32_t>(bad, at("v") + 4, 0);
  EXPECT_EQ(fault(bad), ".v has an empty reference with an offset");
  EXPECT_EQ(fault({}), " has a length of 0 bytes");
  EXPECT_FALSE(validate_row(*dictionary_, ClassId{7}, row()).ok());
}

TEST_F(ValidateOne, refuses_a_key_that_no_index_could_hold) {
  RowBuilder builder(type_);
  builder.set("s", std::string(1'022, 'x'));
  EXPECT_TRUE(validate_row(*dictionary_, type_.id, builder.finish()).ok());
  builder.set("s", std::string(1'023, 'x'));
  EXPECT_EQ(validate_row(*dictionary_, type_.id, builder.finish()).code(), ErrorCode::key_too_long);
  EXPECT_EQ(validate_row(type_, dictionary_->indexes(), builder.finish()).code(),
            ErrorCode::key_too_long);
}

}  // namespace
}  // namespace exdb
