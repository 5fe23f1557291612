// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/key.hpp"

#include <cmath>

#include "support.hpp"

namespace exdb {
namespace {

KeyBytes key_of(const IndexDef& index, const ValueList& values) {
  KeyBytes key;
  make_key(index, values, key);
  return key;
}

/// -1, 0, 1 as the values of one field are ordered: the model, which knows nothing of bytes.
int compare(const FieldDef& field, const Value& a, const Value& b) {
  const auto three_way = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (a.is_null() || b.is_null()) return int(b.is_null()) - int(a.is_null());
  switch (a.kind()) {
    case Value::Kind::boolean:
      return three_way(a.as_bool(), b.as_bool());
    case Value::Kind::integer:
      return three_way(a.as_int(), b.as_int());
    case Value::Kind::unsigned_integer:
      return three_way(a.as_uint(), b.as_uint());
    case Value::Kind::bytes:
      return three_way(a.as_bytes(), b.as_bytes());
    case Value::Kind::real:
      if (std::isnan(a.as_double()) || std::isnan(b.as_double()))
        return int(std::isnan(a.as_double())) - int(std::isnan(b.as_double()));
      return three_way(a.as_double(), b.as_double());
    default:
      break;
  }
  if (field.type != FieldType::enumeration) return three_way(a.as_text(), b.as_text());
  return three_way(*field.enumeration->find(a.as_text()), *field.enumeration->find(b.as_text()));
}

int compare(const IndexDef& index, const ValueList& a, const ValueList& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const auto& part = index.parts[i];
    const int order = compare(*part.place.field, a[i], b[i]);
    if (order != 0) return part.descending ? -order : order;
  }
  return 0;
}

Value random_part(const IndexPart& part, test::Random& random) {
  if (part.nullable() && random() % 4 == 0) return {};
  const auto& field = *part.place.field;
  if (field.type == FieldType::float64 && random() % 8 == 0) return std::nan("");
  return test::random_one(field, random);
}

ValueList random_key(const IndexDef& index, test::Random& random) {
  ValueList values;
  for (const auto& part : index.parts) values.push_back(random_part(part, random));
  return values;
}

/// Every type alone in both directions, and tuples of up to four random parts.
std::shared_ptr<const Dictionary> dictionary_of_indexes(test::Random& random) {
  std::string text(test::everything.substr(0, test::everything.rfind("};")));
  const char* fields[] = {"i1",
                          "i2",
                          "i4",
                          "i8",
                          "u1",
                          "u2",
                          "u4",
                          "u8",
                          "f4",
                          "f8",
                          "b",
                          "d",
                          "t",
                          "dt",
                          "color",
                          "ref",
                          "c",
                          "bin",
                          "s",
                          "ni",
                          "nf",
                          "ns",
                          "nc",
                          "ncolor",
                          "nbool",
                          "nt",
                          "leg.name",
                          "leg.at.x",
                          "leg.at.label",
                          "oleg.name",
                          "oleg.via.x",
                          "oleg.via.label",
                          "odeep.spare.tag",
                          "odeep.color"};
  int number = 0;
  const auto add = [&](const std::string& parts) {
    text += "tree<" + parts + "> t" + std::to_string(number++) + ";\n";
  };
  for (const auto* field : fields) {
    add(field);
    add(std::string(field) + " desc");
  }
  for (int i = 0; i < 150; ++i) {
    std::string parts;
    for (auto left = 2 + random() % 3; left > 0; --left) {
      parts += (parts.empty() ? "" : ", ") + std::string(fields[random() % std::size(fields)]);
      if (random() % 2 == 0) parts += " desc";
    }
    add(parts);
  }
  return test::parse(text + "};");
}

int sign(std::strong_ordering order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }

TEST(Key, order_of_bytes_is_order_of_values) {
  test::Random random(11);
  const auto d = dictionary_of_indexes(random);
  for (const auto& index : d->indexes()) {
    for (int i = 0; i < 400; ++i) {
      const auto a = random_key(index, random);
      auto b = random_key(index, random);
      for (std::size_t same = random() % (a.size() + 1); same > 0; --same)
        b[same - 1] = a[same - 1];
      const auto key_a = key_of(index, a);
      const auto key_b = key_of(index, b);
      const int expected = compare(index, a, b);
      ASSERT_EQ(sign(key_a <=> key_b), expected)
          << index.name << ": " << Value(a).to_text() << " and " << Value(b).to_text();
      if (expected != 0 && key_a.size() < key_b.size()) {
        ASSERT_NE(std::memcmp(key_a.data(), key_b.data(), key_a.size()), 0) << "K2";
      }
      if (index.key_bytes_max != 0) {
        ASSERT_LE(key_a.size(), index.key_bytes_max);
      }
    }
  }
}

TEST(Key, a_partial_key_is_the_prefix_of_those_that_begin_with_its_values) {
  test::Random random(12);
  const auto d = dictionary_of_indexes(random);
  for (const auto& index : d->indexes()) {
    for (int i = 0; i < 200; ++i) {
      const auto whole = random_key(index, random);
      auto some = random_key(index, random);
      some.resize(random() % (some.size() + 1));
      for (std::size_t same = random() % (some.size() + 1); same > 0; --same)
        some[same - 1] = whole[same - 1];
      const auto low = key_of(index, some);
      const auto high = key_successor(low);
      const auto key = key_of(index, whole);
      const int expected = compare(index, whole, some);
      const bool within = low <= key && (high.empty() || key < high);
      ASSERT_EQ(within, expected == 0) << index.name;
      if (expected > 0) {
        ASSERT_GE(key, high);
      }
      if (expected < 0) {
        ASSERT_LT(key, low);
      }
    }
  }
}

TEST(Key, rows_have_the_key_of_their_values) {
  test::Random random(13);
  const auto d = dictionary_of_indexes(random);
  const auto& all = d->classes()[0];
  for (int i = 0; i < 30; ++i) {
    RowBuilder row(all);
    for (const auto& field : all.fields()) row.set(field, test::random_field_value(field, random));
    const RowView view(all, row.finish());
    for (const auto& index : d->indexes()) {
      ValueList values;
      for (const auto& part : index.parts) values.push_back(view.value(part.path));
      KeyBytes key;
      append_key(index, view, key);
      ASSERT_EQ(key, key_of(index, values)) << index.name;
      ASSERT_EQ(key.size(), key_size(index, view));
      const auto back = decode_key(index, key);
      ASSERT_TRUE(back.has_value());
      for (std::size_t p = 0; p < values.size(); ++p)
        ASSERT_EQ(compare(*index.parts[p].place.field, (*back)[p], values[p]), 0);
    }
  }
}

TEST(Key, negative_zero_is_zero_and_nan_comes_last) {
  const auto d = test::parse("class A { double x; float y; tree<x> t; tree<y desc> u; };");
  const auto& t = d->indexes()[0];
  EXPECT_EQ(key_of(t, {-0.0}), key_of(t, {0.0}));
  EXPECT_EQ(key_of(t, {std::nan("1")}), key_of(t, {-std::nan("2")}));
  EXPECT_GT(key_of(t, {std::nan("")}), key_of(t, {std::numeric_limits<double>::infinity()}));
  EXPECT_LT(key_of(d->indexes()[1], {std::nan("")}), key_of(d->indexes()[1], {1.0}));
}

TEST(Key, text_with_zero_bytes_keeps_its_place) {
  const auto d = test::parse("class A { string s; int1 n; tree<s, n> t; };");
  const auto& t = d->indexes()[0];
  const std::string zero(1, '\0');
  const ValueList ordered[] = {
      {"", 9},   {zero, 1},       {zero + zero, 0},         {zero + "a", 0},
      {"a", 9},  {"a" + zero, 0}, {"a" + zero + "\x01", 0}, {"a\x01", 0},
      {"aa", 0}, {"b", -128}};
  for (std::size_t i = 1; i < std::size(ordered); ++i)
    EXPECT_LT(key_of(t, ordered[i - 1]), key_of(t, ordered[i])) << i;
}

TEST(Key, is_described_for_messages) {
  const auto d = test::parse(R"(enum E { low, high };
    class Flight { uint2 year; char<2> carrier; uint4 number; nullable E e; binary<2> b;
      tree<year, carrier desc, number> by_number; hash<number> h; tree<e desc, b> e; list l; };)");
  const auto& by_number = d->indexes()[0];
  EXPECT_EQ(describe_key(by_number, key_of(by_number, {2013, "UA", 1545})), "(2013, 'UA', 1545)");
  EXPECT_EQ(describe_key(by_number, key_of(by_number, {2013})), "(2013, …)");
  EXPECT_EQ(describe_key(by_number, {}), "(…)");
  EXPECT_EQ(describe_key(d->indexes()[1], key_of(d->indexes()[1], {7})), "(7)");
  const auto& e = d->indexes()[2];
  EXPECT_EQ(describe_key(e, key_of(e, {"high", ByteString(2)})), "('high', 0x0000)");
  EXPECT_EQ(describe_key(e, key_of(e, {nullptr, ByteString(1)})), "(null, 0x0000)");
  EXPECT_EQ(describe_key(by_number, as_bytes("x")), "0x78");
  EXPECT_EQ(describe_key(d->indexes()[3], {}), "()");
}

TEST(Key, describing_survives_any_bytes) {
  test::Random random(14);
  const auto d = dictionary_of_indexes(random);
  for (const auto& index : d->indexes())
    for (int i = 0; i < 100; ++i) {
      auto key = key_of(index, random_key(index, random));
      if (key.empty()) continue;
      key.data()[random() % key.size()] = std::byte(random());
      if (random() % 2 == 0) key.truncate(random() % key.size());
      EXPECT_FALSE(describe_key(index, ByteString(key.data(), key.data() + key.size())).empty());
    }
}

TEST(Key, says_what_does_not_fit) {
  const auto d = test::parse("class Flight { uint1 month; string s; tree<month, s> t; };");
  const auto& t = d->indexes()[0];
  EXPECT_EQ(test::error_of([&] { key_of(t, {300}); }).text(),
            "Flight.month: 300 does not fit unsigned<1> (0..255)");
  EXPECT_EQ(test::error_of([&] { key_of(t, {nullptr}); }).text(),
            "Flight.month: null does not fit unsigned<1> (0..255)");
  EXPECT_EQ(test::error_of([&] {
              key_of(t, {1, "a", 2});
            }).text(),
            "a key of 3 values for index t of class Flight, which has 2 parts (month, s)");
  const auto status = test::error_of([&] { key_of(t, {1, std::string(1022, 'x')}); });
  EXPECT_EQ(status.code(), ErrorCode::key_too_long);
  EXPECT_EQ(status.text(),
            "Flight.s: the key in index t of class Flight would be longer than 1024 bytes: index a "
            "shorter field");
  EXPECT_EQ(key_of(t, {1, std::string(1021, 'x')}).size(), key_bytes_limit);
}

TEST(Key, a_row_beyond_the_limit_leaves_what_was_there_before) {
  const auto d = test::parse("class A { string s; nullable int4 n; tree<n, s> t; };");
  RowBuilder row(d->classes()[0]);
  for (const auto size : {1'024U, 2'000U}) {
    row.set("s", std::string(size, 'x'));
    KeyBytes key(as_bytes("before"));
    EXPECT_EQ(test::error_of([&] { append_key(d->indexes()[0], row.view(), key); }).code(),
              ErrorCode::key_too_long);
    EXPECT_EQ(as_text(key), "before");
  }
}

TEST(Key, prefix_range_holds_exactly_the_texts_that_begin_so) {
  test::Random random(15);
  const auto d = test::parse(R"(
    class A { uint1 n; string s; nullable char<12> c; binary<3> b; nullable string ns;
      tree<n, s> t0; tree<s desc> t1; tree<n, c> t2; tree<c desc, n> t3; tree<b> t4;
      tree<ns> t5; };)");
  for (const auto& index : d->indexes()) {
    std::size_t last = 0;
    while (is_scalar(index.parts[last].place.field->type)) ++last;
    const auto& field = *index.parts[last].place.field;
    for (int i = 0; i < 2'000; ++i) {
      const auto whole = random_key(index, random);
      ValueList asked(whole.begin(), whole.begin() + std::ptrdiff_t(last) + 1);
      asked[last] = field.type == FieldType::binary
                        ? Value(test::random_bytes(random, random() % 3))
                        : Value(test::random_text(random, 4));
      const auto text = [](const Value& value) {
        return value.kind() == Value::Kind::bytes ? std::string(as_text(value.as_bytes()))
                                                  : value.as_text();
      };
      const auto range = prefix_range(index, asked);
      const auto key = key_of(index, whole);
      const bool within = range.low <= key && (range.high.empty() || key < range.high);
      const bool expected =
          !whole[last].is_null() && text(whole[last]).starts_with(text(asked[last]));
      ASSERT_EQ(within, expected) << index.name << Value(whole).to_text() << Value(asked).to_text();
    }
  }
  EXPECT_EQ(test::error_of([&] { (void)prefix_range(d->indexes()[0], ValueList{1}); }).text(),
            "a prefix search in index t0 of class A needs the beginning of a text as its last "
            "value, and n is unsigned<1>");
  EXPECT_FALSE(test::error_of([&] { (void)prefix_range(d->indexes()[0], {}); }).ok());
}

TEST(KeyBytes, grows_copies_and_moves) {
  KeyBytes a(as_bytes("short"));
  KeyBytes b = a;
  EXPECT_EQ(as_text(b), "short");
  for (int i = 0; i < 1000; ++i) a.push_back(std::byte(i));
  EXPECT_EQ(a.size(), 1005U);
  const auto* where = a.data();
  KeyBytes c = std::move(a);
  EXPECT_EQ(c.data(), where);
  EXPECT_TRUE(a.empty());
  a.append(as_bytes("again"));
  EXPECT_EQ(as_text(a), "again");
  b = std::move(a);
  EXPECT_EQ(as_text(b), "again");
  b = c;
  EXPECT_EQ(b, c);
  c.clear();
  c.append(as_bytes("x"));
  EXPECT_EQ(c.data(), where) << "clear keeps the memory";
  EXPECT_LT(KeyBytes(as_bytes("a")), KeyBytes(as_bytes("ab")));
  EXPECT_TRUE(key_successor(as_bytes("\xff\xff")).empty());
  EXPECT_EQ(as_text(key_successor(as_bytes("a\xff"))), "b");
}

}  // namespace
}  // namespace exdb
