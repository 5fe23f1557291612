// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/row.hpp"

#include <cmath>

#include "support.hpp"

namespace exdb {
namespace {

class Row : public testing::Test {
 protected:
  std::shared_ptr<const Dictionary> dictionary_ = test::parse(test::everything);
  const ClassDef& all_ = *dictionary_->find_class("All");
  RowBuilder row_{all_};

  Value get(std::string_view path) { return row_.view().value(path); }

  /// Setting this must fail with this text and leave every byte as it was.
  void expect_refused(std::string_view path, const Value& value, const std::string& text,
                      ErrorCode code = ErrorCode::conversion) {
    const auto before = test::copy_of(row_.finish());
    const auto status = test::error_of([&] { row_.set(path, value); });
    EXPECT_EQ(status.code(), code) << path;
    EXPECT_EQ(status.text(), text);
    EXPECT_EQ(test::copy_of(row_.finish()), before) << path;
  }

  void expect_valid() {
    const auto status = validate_row(*dictionary_, all_.id, row_.finish());
    EXPECT_TRUE(status.ok()) << status.text();
  }
};

TEST_F(Row, begins_with_defaults) {
  for (const auto& field : all_.fields()) {
    if (field.presence_bit >= 0) {
      EXPECT_TRUE(get(field.name).is_null()) << field.name;
    }
  }
  EXPECT_EQ(get("i4"), Value(0));
  EXPECT_EQ(get("s"), Value(""));
  EXPECT_EQ(get("color"), Value("red"));
  EXPECT_EQ(get("deep.color"), Value("red"));
  EXPECT_EQ(get("ai"), Value(ValueList{0, 0, 0}));
  EXPECT_EQ(get("vf"), Value(ValueList{}));
  EXPECT_EQ(row_.finish().size(), all_.record.size);
  expect_valid();
}

TEST_F(Row, the_first_enumerator_is_the_default_even_when_it_is_not_zero) {
  const auto d = test::parse(
      "enum E { a = 7, b }; struct S { E e; }; class A { E e; E es[2]; S s; optional S os; "
      "nullable E ne; };");
  RowBuilder row(d->classes()[0]);
  EXPECT_EQ(row.view().value("e"), Value("a"));
  EXPECT_EQ(row.view().value("es"), Value(ValueList{"a", "a"}));
  EXPECT_EQ(row.view().value("s.e"), Value("a"));
  EXPECT_TRUE(row.view().value("ne").is_null());
  row.set("os", ValueRecord{});
  EXPECT_EQ(row.view().value("os.e"), Value("a"));
  EXPECT_TRUE(validate_row(*d, ClassId{0}, row.finish()).ok());
}

TEST_F(Row, gives_back_every_type) {
  test::Random random(1);
  for (int i = 0; i < 300; ++i) {
    for (const auto& field : all_.fields()) {
      const auto value = test::random_field_value(field, random);
      row_.set(field, value);
      EXPECT_EQ(row_.view().value(field), value) << field.name;
    }
    expect_valid();
  }
}

TEST_F(Row, reaches_into_structs_arrays_and_vectors_by_path) {
  row_.set("leg.at.x", 1.5);
  row_.set("deep.notes[1]", "second");
  row_.set("deep.legs", ValueList{ValueRecord{{"name", "a"}}, ValueRecord{{"name", "b"}}});
  row_.set("deep.legs[1].codes", ValueList{1, 2, 3});
  row_.set("deep.legs[1].codes[2]", 30);
  row_.set("deep.legs[1].name", "a longer name than there was");
  EXPECT_EQ(get("leg.at.x"), Value(1.5));
  EXPECT_EQ(get("deep.notes"), Value(ValueList{"", "second"}));
  EXPECT_EQ(get("deep.legs[0].name"), Value("a"));
  EXPECT_EQ(get("deep.legs[1].name"), Value("a longer name than there was"));
  EXPECT_EQ(get("deep.legs[1].codes"), Value(ValueList{1U, 2U, 30U}));
  expect_valid();
}

TEST_F(Row, an_absent_struct_reads_as_null_and_appears_when_written_into) {
  EXPECT_TRUE(get("odeep.spare.via.x").is_null());
  EXPECT_TRUE(get("odeep.legs[7].name").is_null());
  EXPECT_EQ(row_.view().raw("oleg.codes").count, 0U);
  row_.set("odeep.spare.via.label", nullptr);
  EXPECT_TRUE(get("odeep").is_null()) << "null into an absent struct changes nothing";
  row_.set("odeep.spare.via.x", 2.0);
  EXPECT_EQ(get("odeep.spare.via.x"), Value(2.0));
  EXPECT_EQ(get("odeep.spare.via.y"), Value(0.0));
  EXPECT_EQ(get("odeep.color"), Value("red"));
  expect_valid();
  row_.set("odeep", nullptr);
  EXPECT_TRUE(get("odeep.spare.via.x").is_null());
  EXPECT_EQ(test::copy_of(row_.finish()), all_.record.defaults);
}

TEST_F(Row, a_refused_write_makes_no_struct_present) {
  expect_refused("odeep.spare.via.x", "text",
                 "All.odeep.spare.via.x: 'text' is text, and double takes a number");
  EXPECT_TRUE(get("odeep").is_null());
}

TEST_F(Row, says_what_does_not_fit_and_what_would) {
  expect_refused("u1", 300, "All.u1: 300 does not fit unsigned<1> (0..255)");
  expect_refused("u1", -1, "All.u1: -1 does not fit unsigned<1> (0..255)");
  expect_refused("i1", 128, "All.i1: 128 does not fit signed<1> (-128..127)");
  expect_refused("i2", 40000, "All.i2: 40000 does not fit signed<2> (-32768..32767)");
  expect_refused("i8", ~std::uint64_t{0},
                 "All.i8: 18446744073709551615 does not fit signed<8> "
                 "(-9223372036854775808..9223372036854775807)");
  expect_refused("u8", -1, "All.u8: -1 does not fit unsigned<8> (0..18446744073709551615)");
  expect_refused("i4", 1.0, "All.i4: 1.0 is a real number, and signed<4> takes an integer");
  expect_refused("i4", "1", "All.i4: '1' is text, and signed<4> takes an integer");
  expect_refused("i4", 3.5, "All.i4: 3.5 is a real number, and signed<4> takes an integer");
  expect_refused("i4", ValueList{1}, "All.i4: [1] is a list, and signed<4> takes an integer");
  expect_refused("t", "noon",
                 "All.t: 'noon' is text, and time takes nanoseconds since midnight, an integer");
  expect_refused("color", 1.5,
                 "All.color: 1.5 is a real number, and Color takes one of red = 0, green = 5, "
                 "blue = -3");
  expect_refused("f4", 1e39,
                 "All.f4: 1e+39 does not fit float (a number, finite ones within ±3.4028235e38)");
  expect_refused("f8", true, "All.f8: true is a boolean, and double takes a number");
  expect_refused("b", 2, "All.b: 2 does not fit boolean (true or false)");
  expect_refused("t", 86'400'000'000'000,
                 "All.t: 86400000000000 does not fit time "
                 "(0..86399999999999 nanoseconds since midnight)");
  expect_refused("color", "purple",
                 "All.color: 'purple' does not fit Color (red = 0, green = 5, blue = -3)");
  expect_refused("color", 1, "All.color: 1 does not fit Color (red = 0, green = 5, blue = -3)");
  expect_refused("c", "toolong",
                 "All.c: 'toolong' of 7 bytes does not fit char<5> "
                 "(UTF-8 text of at most 5 bytes, no zero byte last)");
  expect_refused("c", "üüü",
                 "All.c: 'üüü' of 6 bytes does not fit char<5> "
                 "(UTF-8 text of at most 5 bytes, no zero byte last)");
  expect_refused("c", std::string("a\0", 2),
                 "All.c: 'a\\x00' of 2 bytes does not fit char<5> "
                 "(UTF-8 text of at most 5 bytes, no zero byte last)");
  expect_refused("s", "\xff", "All.s: 0xff of 1 bytes does not fit string (UTF-8 text)");
  expect_refused("bin", ByteString(5),
                 "All.bin: 0x0000000000 of 5 bytes does not fit binary<4> (at most 4 bytes)");
  expect_refused("bl", "text", "All.bl: 'text' is text, and blob takes bytes");
}

TEST_F(Row, says_which_element_or_field_does_not_fit) {
  row_.set("vl", ValueList{ValueRecord{{"name", "old"}}});
  row_.set("as", ValueList{"one", "two"});
  expect_refused("vf", ValueList{1.0, "x"}, "All.vf[1]: 'x' is text, and double takes a number");
  expect_refused("vf", 1.0, "All.vf: 1.0 does not fit vector<double> (a list of its elements)");
  expect_refused("ai", ValueList{1, 2},
                 "All.ai: a list of 2 does not fit signed<2>[3] (exactly 3 elements)");
  expect_refused("as", ValueList{"new", 2}, "All.as[1]: 2 is an integer, and string takes text");
  expect_refused("vl", ValueList{ValueRecord{{"name", "new"}, {"codes", ValueList{1, 99999}}}},
                 "All.vl[0].codes[1]: 99999 does not fit unsigned<2> (0..65535)");
  expect_refused("vl[0]", ValueRecord{{"name", "new"}, {"tag", 1}},
                 "All.vl[0].tag: 1 is an integer, and char<3> takes text");
  expect_refused("leg", ValueRecord{{"name", "new"}, {"via", ValueRecord{{"x", "?"}}}},
                 "All.leg.via.x: '?' is text, and double takes a number");
  expect_refused("vl[1]", ValueRecord{}, "All.vl[1]: 'vl' has 1 elements, counted from 0");
  expect_refused("i4", nullptr, "All.i4: null does not fit signed<4> (declare it 'nullable')");
  expect_refused("leg", nullptr, "All.leg: null does not fit Leg (declare it 'optional')");
  EXPECT_EQ(get("as"), Value(ValueList{"one", "two"}));
}

TEST_F(Row, names_the_fields_there_are_when_one_is_unknown) {
  const auto code = ErrorCode::ddl_field_not_found;
  expect_refused("leg.nam", "x", "Leg has no field 'nam'; its fields are name, at, via, codes, tag",
                 code);
  expect_refused("leg", ValueRecord{{"nam", "x"}},
                 "Leg has no field 'nam'; its fields are name, at, via, codes, tag", code);
  expect_refused("i4.x", 1, "All: 'i4.x' goes on behind 'i4', which is signed<4>", code);
  expect_refused("i4[0]", 1, "All: 'i4[0]' has an index, but 'i4' is signed<4>", code);
  expect_refused("vl.name", 1, "All: 'vl.name' goes on behind 'vl', which is vector<Leg>", code);
  for (const char* path : {"", ".", "leg.", "leg..name", "vf[", "vf[]", "vf[x]", "vf[-1]", "vf[1",
                           "vf[0]x", "vf[99999999999999999999]", "[0]"})
    EXPECT_EQ(test::error_of([&] { row_.set(path, 1); }).code(), code) << path;
}

TEST_F(Row, accepts_the_limits) {
  row_.set("i8", std::numeric_limits<std::int64_t>::min());
  row_.set("u8", ~std::uint64_t{0});
  row_.set("u8", std::int64_t{5});
  row_.set("i8", std::uint64_t{5});
  row_.set("f4", double(std::numeric_limits<float>::max()));
  row_.set("f4", std::numeric_limits<double>::infinity());
  row_.set("f4", std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(std::isnan(get("f4").as_double()));
  row_.set("f8", 3);
  EXPECT_EQ(get("f8"), Value(3.0));
  row_.set("i1", true);
  EXPECT_EQ(get("i1"), Value(1));
  row_.set("color", 5);
  EXPECT_EQ(get("color"), Value("green"));
  row_.set("bin", ByteString{std::byte{1}});
  EXPECT_EQ(get("bin").as_bytes().size(), 4U);
  row_.set("t", 86'399'999'999'999);
  expect_valid();
}

TEST_F(Row, typed_handles_read_and_write_in_place) {
  const auto i4 = all_.field<std::int32_t>("i4");
  const auto color = all_.field<std::int32_t>("color");
  const auto c = all_.field<std::string_view>("c");
  const auto s = all_.field<std::string_view>("s");
  const auto bl = all_.field<Bytes>("bl");
  const auto vf = all_.field<std::span<const double>>("vf");
  const auto ai = all_.field<std::span<const std::int16_t>>("ai");
  const auto vb = all_.field<std::span<const bool>>("vb");
  const auto ni = all_.field<std::int32_t>("ni");
  const auto deep = all_.field<double>("odeep.spare.via.x");
  const std::vector<double> samples{1, 2, 3};
  const std::array<std::int16_t, 3> three{7, 8, 9};
  const std::array<bool, 2> booleans{true, false};

  EXPECT_TRUE(row_.view().is_null(ni) && row_.view().is_null(deep));
  row_.set(i4, -5);
  row_.set(color, -3);
  row_.set(c, "abc");
  row_.set(s, "text");
  row_.set(bl, as_bytes("bytes"));
  row_.set(vf, samples);
  row_.set(ai, three);
  row_.set(vb, booleans);
  row_.set(ni, 4);
  row_.set(deep, 2.5);

  const RowView view(all_, row_.finish());
  EXPECT_EQ(view.get(i4), -5);
  EXPECT_EQ(view.get(color), -3);
  EXPECT_EQ(view.get(c), "abc");
  EXPECT_EQ(view.get(s), "text");
  EXPECT_EQ(as_text(view.get(bl)), "bytes");
  EXPECT_TRUE(std::ranges::equal(view.get(vf), samples));
  EXPECT_TRUE(std::ranges::equal(view.get(ai), three));
  EXPECT_TRUE(std::ranges::equal(view.get(vb), booleans));
  EXPECT_FALSE(view.is_null(ni));
  EXPECT_EQ(view.get(ni), 4);
  EXPECT_EQ(view.get(deep), 2.5);
  EXPECT_EQ(view.value("odeep.color"), Value("red"));
  expect_valid();

  EXPECT_EQ(test::error_of([&] { row_.set(color, 1); }).code(), ErrorCode::conversion);
  EXPECT_EQ(test::error_of([&] { row_.set(c, "abcdef"); }).code(), ErrorCode::conversion);
  EXPECT_EQ(test::error_of([&] { row_.set(s, "\xff"); }).code(), ErrorCode::conversion);
  const std::array<std::int16_t, 2> two{1, 2};
  EXPECT_EQ(test::error_of([&] { row_.set(ai, two); }).code(), ErrorCode::conversion);
}

TEST_F(Row, vectors_of_numbers_lie_aligned_and_are_read_without_a_copy) {
  row_.set("s", "x");  // moves the tail off its alignment
  row_.set("vf", ValueList{1, 2, 3});
  row_.set("vi", ValueList{1});
  const auto bytes = row_.finish();
  const RowView view(all_, bytes);
  const auto raw = view.raw("vf");
  EXPECT_EQ(raw.type, FieldType::float64);
  ASSERT_EQ(raw.count, 3U);
  EXPECT_EQ((raw.data - bytes.data()) % 64, 0);
  EXPECT_EQ((view.raw("vi").data - bytes.data()) % 64, 0);
  EXPECT_EQ(view.raw("ai").count, 3U);
  EXPECT_EQ(test::error_of([&] { (void)view.raw("vs"); }).code(), ErrorCode::conversion);
  EXPECT_EQ(test::error_of([&] { (void)view.raw("vf[0]"); }).code(), ErrorCode::conversion);
}

TEST_F(Row, takes_raw_elements_of_exactly_the_right_type) {
  const std::vector<double> samples{1, -2, 1e300};
  row_.set_raw("vf", FieldType::float64, std::as_bytes(std::span(samples)));
  EXPECT_EQ(get("vf"), Value(ValueList{1.0, -2.0, 1e300}));
  const std::vector<std::int32_t> colors{5, -3};
  row_.set_raw("vcolor", FieldType::int32, std::as_bytes(std::span(colors)));
  EXPECT_EQ(get("vcolor"), Value(ValueList{"green", "blue"}));
  row_.set_raw(*all_.find_field("vf"), FieldType::float64, {});
  EXPECT_EQ(get("vf"), Value(ValueList{}));
  const auto refused = [&](std::string_view path, FieldType type, Bytes bytes) {
    return test::error_of([&] { row_.set_raw(path, type, bytes); }).text();
  };
  EXPECT_EQ(refused("vf", FieldType::float32, {}),
            "All.vf is vector<double>: it cannot be set from float elements");
  EXPECT_EQ(refused("vf", FieldType::float64, as_bytes("12345")),
            "All.vf: 5 bytes of elements does not fit double (a number)");
  EXPECT_NE(refused("ai", FieldType::int16, as_bytes("1234")), "");
  EXPECT_NE(refused("vs", FieldType::float64, {}), "");
  EXPECT_NE(refused("i4", FieldType::int32, as_bytes("1234")), "");
  EXPECT_EQ(refused("vb", FieldType::boolean, as_bytes("\x01\x02")),
            "All.vb[1]: a boolean that is neither 0 nor 1 does not fit boolean (true or false)");
  expect_valid();
}

TEST_F(Row, texts_of_every_length_end_where_they_end) {
  constexpr int longest = 26;
  std::string text = "class Texts { ";
  for (int size = 1; size <= longest; ++size)
    text += "char<" + std::to_string(size) + "> c" + std::to_string(size) + "; ";
  const auto dictionary = test::parse(text + "};");
  const auto& type = *dictionary->find_class("Texts");
  for (int shorter = 0; shorter <= longest; ++shorter) {
    RowBuilder row(type);
    const auto text_of = [&](int size) {
      const auto length = std::size_t(std::max(size - shorter, 0));
      std::string made(length, 'x');
      if (length > 2) made[length / 2] = '\0';  // one within is part of it
      return made;
    };
    for (int size = 1; size <= longest; ++size) row.set("c" + std::to_string(size), text_of(size));
    for (int size = 1; size <= longest; ++size)
      EXPECT_EQ(row.view().value("c" + std::to_string(size)), Value(text_of(size)))
          << size << " with " << shorter << " unused";
  }
}

TEST_F(Row, may_be_set_from_its_own_bytes) {
  row_.set("s", std::string(500, 'x'));
  row_.set("as[0]", "short");
  const auto s = all_.field<std::string_view>("s");
  const auto ns = all_.field<std::string_view>("ns");
  for (int i = 0; i < 20; ++i) {
    row_.set(ns, row_.view().get(s));
    row_.set(s, row_.view().get(ns).substr(1));
  }
  EXPECT_EQ(get("s"), Value(std::string(480, 'x')));
  EXPECT_EQ(get("ns"), Value(std::string(481, 'x')));
  expect_valid();
}

TEST_F(Row, does_not_grow_when_the_same_field_is_set_again_and_again) {
  std::size_t largest = 0;
  for (int i = 0; i < 20'000; ++i) {
    row_.set("s", std::string(std::size_t(i % 300), 'x'));
    row_.set("vl", ValueList{ValueRecord{{"name", std::string(std::size_t(i % 70), 'y')}}});
    row_.set("oleg.codes", ValueList(std::size_t(i % 20), 1));
    if (i % 7 == 0) row_.set("oleg", nullptr);
    largest = std::max(largest, row_.view().bytes().size());
  }
  EXPECT_LT(largest, 16'384U);
  expect_valid();
}

TEST_F(Row, starts_from_existing_bytes_and_keeps_them_when_nothing_changes) {
  test::Random random(3);
  for (const auto& field : all_.fields()) row_.set(field, test::random_field_value(field, random));
  const auto bytes = test::copy_of(row_.finish());
  RowBuilder again(all_, bytes);
  EXPECT_EQ(test::copy_of(again.finish()), bytes);
  again.set("i4", 77);
  again.set("s", "something else");
  again.set("s", row_.view().value("s"));
  again.set("i4", row_.view().value("i4"));
  EXPECT_EQ(test::copy_of(again.finish()), bytes) << "the same values give the same bytes";
}

TEST_F(Row, the_id_is_only_given_by_the_database) {
  const auto d = test::parse("class A { int4 x; autoid[10]; };");
  const auto& a = d->classes()[0];
  RowBuilder row(a);
  EXPECT_EQ(test::error_of([&] { row.set("autoid", 5); }).text(),
            "A.autoid is given by the database: do not set it");
  EXPECT_EQ(test::error_of([&] { row.set(a.field<std::uint64_t>("autoid"), 5); }).code(),
            ErrorCode::access);
  row.set_autoid(42);
  EXPECT_EQ(row.view().value("autoid"), Value(42U));
  row_.set_autoid(42);  // a class without one
  expect_valid();
}

TEST_F(Row, a_field_of_another_class_is_refused) {
  const auto d = test::parse("class A { int4 x; };");
  EXPECT_EQ(test::error_of([&] { row_.set(d->classes()[0].fields()[0], 1); }).code(),
            ErrorCode::ddl_field_not_found);
}

}  // namespace
}  // namespace exdb
