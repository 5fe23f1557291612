// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/value.hpp"

#include "schema/utf8.hpp"
#include "support.hpp"

namespace exdb {
namespace {

TEST(Value, keeps_the_kind_it_was_made_from) {
  EXPECT_EQ(Value().kind(), Value::Kind::null);
  EXPECT_EQ(Value(nullptr).kind(), Value::Kind::null);
  EXPECT_EQ(Value(true).kind(), Value::Kind::boolean);
  EXPECT_EQ(Value(-1).kind(), Value::Kind::integer);
  EXPECT_EQ(Value(1U).kind(), Value::Kind::unsigned_integer);
  EXPECT_EQ(Value(1.0F).kind(), Value::Kind::real);
  EXPECT_EQ(Value("text").kind(), Value::Kind::text);
  EXPECT_EQ(Value(ByteString(3)).kind(), Value::Kind::bytes);
  EXPECT_EQ(Value(ValueList{1, "a"}).kind(), Value::Kind::list);
  EXPECT_EQ(Value(ValueRecord{{"a", 1}}).kind(), Value::Kind::record);
}

TEST(Value, integers_of_both_signednesses_are_equal_when_they_are_the_same_number) {
  EXPECT_EQ(Value(5), Value(5U));
  EXPECT_FALSE(Value(-1) == Value(std::uint64_t{0xFFFF'FFFF'FFFF'FFFF}));
  EXPECT_FALSE(Value(1) == Value(true));
  EXPECT_FALSE(Value(1) == Value(1.0));
}

TEST(Value, conversions_refuse_what_does_not_fit) {
  EXPECT_EQ(Value(7U).as_int(), 7);
  EXPECT_EQ(Value(7).as_uint(), 7U);
  EXPECT_EQ(Value(7).as_double(), 7.0);
  EXPECT_EQ(test::error_of([] { (void)Value(-7).as_uint(); }).text(),
            "-7 is an integer, not an unsigned 64-bit integer");
  EXPECT_EQ(test::error_of([] { (void)Value(~std::uint64_t{0}).as_int(); }).code(),
            ErrorCode::conversion);
  EXPECT_EQ(test::error_of([] { (void)Value("x").as_list(); }).code(), ErrorCode::conversion);
}

TEST(Value, prints_for_messages) {
  EXPECT_EQ(Value("it's\n").to_text(), "'it\\'s\\x0a'");
  EXPECT_EQ(Value(1.5).to_text(), "1.5");
  EXPECT_EQ(Value(300.0).to_text(), "300.0");
  EXPECT_EQ(Value(0.1).to_text(), "0.1");
  EXPECT_EQ(Value(ByteString{std::byte{0}, std::byte{255}}).to_text(), "0x00ff");
  EXPECT_EQ(Value(ValueRecord{{"a", 1}, {"b", ValueList{true, nullptr}}}).to_text(),
            "{a: 1, b: [true, null]}");
  EXPECT_EQ(Value(ValueList(20, 1)).to_text(), "[1, 1, 1, 1, 1, 1, 1, 1, …]");
  std::string umlauts = "x";
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  EXPECT_TRUE(is_utf8(Value(umlauts).to_text())) << "cut between characters";
}

TEST(Utf8, accepts_what_is_well_formed_and_nothing_else) {
  for (const std::string good : {"", "a", "\x7f", "ü", "€", "𝄞", "\xed\x9f\xbf", "\xee\x80\x80",
                                 "\xf4\x8f\xbf\xbf", "12345678ü12345678", "1234567ü"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const std::string bad :
       {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "12345678\xff", "1234567\xc3", "\xe2\x82",
        "\xc3\x28"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

}  // namespace
}  // namespace exdb
