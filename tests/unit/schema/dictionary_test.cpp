// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "support.hpp"

namespace exdb {
namespace {

constexpr std::string_view flights = R"(
  declare database airline;
  declare auto_oid[1000];
  enum State { planned, boarding = 5, gone };
  struct Airport { char<3> code; nullable string city; };
  local persistent class Log { datetime at; list; };
  transient class Flight {
    unsigned<2> year; char<2> carrier; uint4 number;
    Airport origin; optional Airport stop;
    nullable date day; State state; vector<double> delays;
    unique tree<year, carrier, number desc> by_number;
    tree<origin.code asc, stop.city desc> by_place;
    hash<number> by_hash[5000];
    nonunique hash<state, day> by_state;
    autoid[100];
  };)";

TEST(Dictionary, knows_what_was_declared) {
  const auto d = test::parse(flights);
  EXPECT_EQ(d->name(), "airline");
  ASSERT_EQ(d->classes().size(), 2U);
  EXPECT_EQ(d->find_class("Nothing"), nullptr);
  const auto& log = *d->find_class("Log");
  EXPECT_TRUE(log.local && log.persistent && !log.transient);
  const auto& flight = *d->find_class("Flight");
  EXPECT_TRUE(!flight.local && !flight.persistent && flight.transient);
  EXPECT_EQ(flight.id, ClassId{1});
  EXPECT_EQ(&d->class_of(flight.id), &flight);
  EXPECT_EQ(flight.fields()[1].type_text(), "char<2>");
  EXPECT_TRUE(flight.find_field("day")->nullable);
  EXPECT_TRUE(flight.find_field("stop")->optional);
  EXPECT_TRUE(flight.find_field("delays")->is_vector);
  EXPECT_EQ(*flight.find_field("state")->enumeration->find("gone"), 6);
}

TEST(Dictionary, numbers_indexes_over_all_classes) {
  const auto d = test::parse(flights);
  const auto& flight = *d->find_class("Flight");
  ASSERT_EQ(d->indexes().size(), 6U);
  ASSERT_EQ(flight.indexes.size(), 5U);
  for (std::size_t i = 0; i < d->indexes().size(); ++i) EXPECT_EQ(d->indexes()[i].id.value, i);
  EXPECT_EQ(d->find_index(flight.id, "list"), nullptr);
  EXPECT_EQ(d->find_index(ClassId{99}, "list"), nullptr);
  EXPECT_EQ(d->find_index(ClassId{0}, "list")->kind, IndexKind::list);

  const auto& by_number = *d->find_index(flight.id, "by_number");
  EXPECT_TRUE(by_number.unique && by_number.ordered());
  EXPECT_EQ(by_number.class_name, "Flight");
  ASSERT_EQ(by_number.parts.size(), 3U);
  EXPECT_TRUE(by_number.parts[2].descending);
  EXPECT_EQ(by_number.key_bytes_max, 2U + (2 * 2 + 2) + 4);

  const auto& by_place = *d->find_index(flight.id, "by_place");
  EXPECT_EQ(by_place.parts[1].path, "stop.city");
  EXPECT_TRUE(by_place.parts[1].nullable());
  EXPECT_FALSE(by_place.parts[0].nullable());
  EXPECT_EQ(by_place.key_bytes_max, 0U) << "a string has no bound";

  EXPECT_TRUE(d->find_index(flight.id, "by_hash")->unique) << "a hash is unique unless nonunique";
  EXPECT_EQ(d->find_index(flight.id, "by_hash")->size_hint, 5000U);
  EXPECT_FALSE(d->find_index(flight.id, "by_state")->unique);
}

TEST(Dictionary, gives_a_class_with_an_autoid_index_a_field_for_it) {
  const auto d = test::parse(R"(
    class Hidden  { string name; autoid_t boss; autoid[100]; };
    class Named   { autoid_t id; autoid_t boss; autoid id[100]; };
    class Spelled { autoid_t me; autoid_t boss; autoid<me> by_id; };
    class Usual   { autoid_t autoid; autoid by_id[10]; };
    class None    { autoid_t boss; };)");
  const auto id_of = [&](const char* name) { return d->find_class(name)->autoid; };
  EXPECT_EQ(id_of("Hidden")->name, "autoid");
  EXPECT_TRUE(id_of("Hidden")->implicit);
  EXPECT_EQ(id_of("Named")->name, "id");
  EXPECT_FALSE(id_of("Named")->implicit);
  EXPECT_EQ(id_of("Spelled")->name, "me");
  EXPECT_EQ(id_of("Usual")->name, "autoid");
  EXPECT_EQ(id_of("None"), nullptr);
  EXPECT_EQ(d->find_index(ClassId{0}, "autoid")->parts[0].place.field, id_of("Hidden"));
}

void check_layout(const RecordDef& record) {
  std::size_t end = (record.presence_bits + 7) / 8;
  for (const auto& field : record.fields) {
    EXPECT_GE(field.offset, end) << record.name << "." << field.name;
    EXPECT_EQ(field.offset % (field.is_vector ? 4 : field.element_alignment), 0U) << field.name;
    end =
        field.offset +
        (field.is_vector ? 8 : std::size_t{field.element_size} * std::max(field.array_length, 1U));
    if (field.record != nullptr) check_layout(*field.record);
  }
  EXPECT_LE(end, record.size);
  EXPECT_EQ(record.size % record.alignment, 0U);
  EXPECT_EQ(record.defaults.size(), record.size);
}

TEST(Dictionary, lays_fields_out_without_overlap_at_their_alignment) {
  for (const auto text : {flights, test::everything}) {
    const auto d = test::parse(text);
    for (const auto& definition : d->classes()) check_layout(definition.record);
  }
  const auto d = test::parse("class A { int1 a; int8 b; int2 c; };");
  EXPECT_EQ(d->classes()[0].record.size, 24U);
}

TEST(Dictionary, hash_ignores_comments_spaces_constants_and_spelling) {
  const auto a = test::parse(
      "declare database d; class A { int4 x; uint2 y; blob z; bool q; hash<x> h[10]; };");
  const auto b = test::parse(R"(
    // the same
    #define FOUR 4
    declare database d;
    declare auto_oid[20];
    class A {
      signed<FOUR> x;   /* a number */
      unsigned<2> y;
      varbinary z; boolean q;
      unique hash<x> h[2 * 5];
    };)");
  EXPECT_EQ(a->to_text(), b->to_text());
  EXPECT_EQ(a->hash(), b->hash());
}

TEST(Dictionary, hash_tells_different_schemas_apart) {
  const char* texts[] = {
      "class A { int4 x; int4 y; };",
      "class A { int4 y; int4 x; };",
      "class A { int4 x; uint4 y; };",
      "class A { int4 x; nullable int4 y; };",
      "class A { int4 x; int4 y[1]; };",
      "class A { int4 x; vector<int4> y; };",
      "local class A { int4 x; int4 y; };",
      "class B { int4 x; int4 y; };",
      "class A { int4 x; int4 y; tree<x> t; };",
      "class A { int4 x; int4 y; tree<x desc> t; };",
      "class A { int4 x; int4 y; unique tree<x> t; };",
      "class A { int4 x; int4 y; hash<x> t; };",
      "class A { int4 x; int4 y; nonunique hash<x> t; };",
      "class A { int4 x; int4 y; list; };",
      "declare database d; class A { int4 x; int4 y; };",
  };
  std::vector<std::uint64_t> hashes;
  for (const auto* text : texts) hashes.push_back(test::parse(text)->hash());
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::adjacent_find(hashes.begin(), hashes.end()), hashes.end());
}

TEST(Dictionary, hash_is_the_same_in_every_build) {
  // A literal: nodes of different builds compare this number before they form a cluster.
  const auto d = test::parse("class A { int4 x; };");
  EXPECT_EQ(d->to_text(), "class A {\n  signed<4> x;\n};\n");
  EXPECT_EQ(d->hash(), 11991144705175908953ULL);
}

TEST(Dictionary, canonical_text_parses_to_the_same_dictionary) {
  for (const auto text : {flights, test::everything,
                          std::string_view("class A { autoid_t me; autoid<me>; list l; };")}) {
    const auto first = test::parse(text);
    const auto second = test::parse(first->to_text());
    EXPECT_EQ(first->to_text(), second->to_text());
    EXPECT_EQ(first->hash(), second->hash());
  }
}

TEST(Dictionary, names_the_fields_there_are_when_one_is_unknown) {
  const auto d = test::parse(flights);
  const auto& flight = *d->find_class("Flight");
  const auto status = test::error_of([&] { (void)flight.locate("mont"); });
  EXPECT_EQ(status.code(), ErrorCode::ddl_field_not_found);
  EXPECT_EQ(status.text(),
            "Flight has no field 'mont'; its fields are year, carrier, number, origin, stop, day, "
            "state, delays, autoid");
  EXPECT_EQ(test::error_of([&] { (void)flight.locate("origin.x"); }).text(),
            "Airport has no field 'x'; its fields are code, city");
  EXPECT_EQ(test::error_of([&] { (void)flight.locate("year.x"); }).code(),
            ErrorCode::ddl_field_not_found);
}

TEST(Dictionary, gives_typed_handles_only_for_the_exact_type) {
  const auto d = test::parse(flights);
  const auto& flight = *d->find_class("Flight");
  EXPECT_EQ(flight.field<std::uint16_t>("year").offset(), flight.find_field("year")->offset);
  (void)flight.field<std::string_view>("origin.code");
  (void)flight.field<std::int32_t>("day");
  (void)flight.field<std::int32_t>("state");
  (void)flight.field<std::span<const double>>("delays");
  (void)flight.field<std::uint64_t>("autoid");
  const auto status = test::error_of([&] { (void)flight.field<std::int32_t>("year"); });
  EXPECT_EQ(status.code(), ErrorCode::conversion);
  EXPECT_EQ(status.text(), "Flight.year is unsigned<2>: ask for its exact type, not signed<4>");
  EXPECT_FALSE(test::error_of([&] { (void)flight.field<double>("delays"); }).ok());
  EXPECT_FALSE(test::error_of([&] { (void)flight.field<std::span<const float>>("delays"); }).ok());
}

}  // namespace
}  // namespace exdb
