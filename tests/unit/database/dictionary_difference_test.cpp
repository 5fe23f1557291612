// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/dictionary_difference.hpp"

#include <gtest/gtest.h>

namespace exdb {
namespace {

constexpr std::size_t plenty = 1 << 20;

std::string difference(const std::string& a, const std::string& b, std::size_t bytes_max = plenty) {
  const auto of = [&](const std::string& schema) {
    return outline_of(*Dictionary::parse(schema).value(), bytes_max);
  };
  return first_difference(of(a), of(b), "node 0", "node 2");
}

TEST(DictionaryDifference, names_the_first_class_and_what_differs_in_it) {
  const std::string flight = "class Flight { int4 id; unsigned<1> month; tree<id> by_id; };";
  struct {
    std::string other, text;
  } const cases[] = {
      {flight, ""},
      {"class Flight { int4 id; unsigned<2> month; tree<id> by_id; };",
       "class Flight, field month is unsigned<1> on node 0 and unsigned<2> on node 2"},
      {"class Flight { int4 id; unsigned<1> month[3]; tree<id> by_id; };",
       "class Flight, field month is unsigned<1> on node 0 and unsigned<1>[3] on node 2"},
      {"class Flight { int4 id; unsigned<1> month; int4 day; tree<id> by_id; };",
       "class Flight, field day is on node 2 and not on node 0"},
      {"class Flight { int4 id; tree<id> by_id; };",
       "class Flight, field month is on node 0 and not on node 2"},
      {"class Flight { unsigned<1> month; int4 id; tree<id> by_id; };",
       "class Flight has id on node 0 where it has month on node 2 (the order counts)"},
      {"class Flight { int4 id; unsigned<1> month; unique tree<id> by_id; };",
       "class Flight, index by_id is tree<id> on node 0 and unique tree<id> on node 2"},
      {"class Flight { int4 id; unsigned<1> month; tree<id, month desc> by_id; };",
       "class Flight, index by_id is tree<id> on node 0 and tree<id, month desc> on node 2"},
      {"class Flight { int4 id; unsigned<1> month; };",
       "class Flight, index by_id is on node 0 and not on node 2"},
      {"local class Flight { int4 id; unsigned<1> month; tree<id> by_id; };",
       "class Flight is 'class Flight' on node 0 and 'local class Flight' on node 2"},
      {"class Other { int4 id; };", "class Flight is on node 0 and not on node 2"},
      {flight + "class Other { int4 id; };", "class Other is on node 2 and not on node 0"},
      {"declare database x;" + flight, "declare database x is on node 2 and not on node 0"},
  };
  for (const auto& each : cases) EXPECT_EQ(difference(flight, each.other), each.text);
}

TEST(DictionaryDifference, a_schema_that_is_too_long_to_be_told_is_compared_class_by_class) {
  std::string one, other;
  for (int i = 0; i < 50; ++i) {
    const auto head = "class C" + std::to_string(i) + " { int4 id; int4 some_longer_name; ";
    one += head + "int4 more; int4 and_more; int4 still_more; };";
    other += head + (i == 33 ? "int8" : "int4") + " more; int4 and_more; int4 still_more; };";
  }
  EXPECT_EQ(difference(one, other),
            "class C33, field more is signed<4> on node 0 and signed<8> on "
            "node 2");
  EXPECT_EQ(difference(one, other, 4'000), "class C33 differs");
  EXPECT_EQ(difference(one, other, 100), "") << "what was cut off may differ";
  EXPECT_LE(outline_of(*Dictionary::parse(one).value(), 100).size(), 100U);
}

}  // namespace
}  // namespace exdb
