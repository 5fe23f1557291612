// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <fstream>
#include <sstream>

#include "schema/lexer.hpp"
#include "support.hpp"

namespace exdb {
namespace {

struct Case {
  std::string title;
  std::string ddl;
  std::string message;
};

std::vector<Case> read_cases(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::vector<Case> cases;
  bool in_message = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("### ")) {
      cases.push_back({line.substr(4), "", ""});
      in_message = false;
    } else if (line == "=>") {
      in_message = true;
    } else if (in_message && !line.empty()) {
      cases.back().message = line;
    } else if (!cases.empty() && !in_message) {
      cases.back().ddl += line + "\n";
    }
  }
  return cases;
}

TEST(SchemaParser, says_where_and_what_is_wrong) {
  const auto cases = read_cases(EXDB_TESTDATA "/errors.txt");
  ASSERT_GE(cases.size(), 60U);
  for (const auto& bad : cases) {
    const auto result = Dictionary::parse(bad.ddl);
    EXPECT_EQ(result.status().code(), ErrorCode::schema) << bad.title;
    EXPECT_EQ(result.status().text(), bad.message) << bad.title;
  }
}

TEST(SchemaParser, puts_constants_in_wherever_they_stand) {
  const auto d = test::parse(R"(
    #define WIDTH 4
    #define LENGTH (WIDTH * 2 + 0x10)   // 24
    #define TEXT char<LENGTH>
    #define EMPTY
    #define LONG 1 + \
                 2
    class A { signed<WIDTH> x EMPTY; TEXT text; int4 a[LENGTH - 4 / 2]; uint1 b[LONG]; };)");
  const auto& a = *d->find_class("A");
  EXPECT_EQ(a.find_field("x")->type, FieldType::int32);
  EXPECT_EQ(a.find_field("text")->length, 24U);
  EXPECT_EQ(a.find_field("a")->array_length, 22U);
  EXPECT_EQ(a.find_field("b")->array_length, 3U);
}

TEST(SchemaParser, survives_constants_that_contain_each_other) {
  EXPECT_FALSE(Dictionary::parse("#define A B\n#define B A\nclass C { A x; };").ok());
  std::string bomb = "#define X0\n";
  for (int i = 1; i < 60; ++i) {
    const auto below = " X" + std::to_string(i - 1);
    bomb += "#define X" + std::to_string(i) + below + below + "\n";
  }
  const auto result = Dictionary::parse(bomb + "X59");
  EXPECT_NE(result.status().text().find("at most 1,000,000 words"), std::string::npos);
}

TEST(SchemaParser, survives_structs_that_double_at_every_level) {
  std::string text = "struct S0 { int4 x; };\n";
  for (int i = 1; i < 40; ++i) {
    const auto below = "vector<S" + std::to_string(i - 1) + "> ";
    text += "struct S" + std::to_string(i) + " { " + below + "a; " + below + "b; };\n";
  }
  EXPECT_NE(Dictionary::parse(text).status().text().find("at most 32 structs"), std::string::npos);
}

TEST(SchemaParser, survives_deep_parentheses) {
  const std::string deep(100'000, '(');
  EXPECT_FALSE(Dictionary::parse("class A { char<" + deep + "1> c; };").ok());
  const std::string minus(100'000, '-');
  EXPECT_FALSE(Dictionary::parse("class A { char<" + minus + "1> c; };").ok());
}

TEST(SchemaParser, takes_words_of_the_language_as_names_of_fields) {
  const auto d = test::parse(R"(
    class A { date date; string string; int4 event; int4 tree; int4 unique; double list;
              tree<tree desc, date asc> hash; list list; };)");
  EXPECT_EQ(d->find_class("A")->fields().size(), 6U);
  EXPECT_EQ(d->indexes().size(), 2U);
}

TEST(SchemaParser, accepts_an_empty_text_and_a_byte_order_mark) {
  EXPECT_TRUE(Dictionary::parse("").ok());
  EXPECT_TRUE(Dictionary::parse("\xEF\xBB\xBF class A { int4 x; };\r\n").ok());
}

TEST(SchemaParser, survives_random_changes_to_a_text) {
  test::Random random(7);
  const std::string good(test::everything);
  constexpr std::string_view spice = "<>[]{};,.=#/*\n\\\"'(-+ 0azT\xff\x80";
  for (int i = 0; i < 4'000; ++i) {
    auto text = good;
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      const auto at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = spice[random() % spice.size()];
          break;
        case 1:
          text.erase(at, random() % 20);
          break;
        default:
          text.insert(at, 1, spice[random() % spice.size()]);
      }
    }
    const auto result = Dictionary::parse(text);
    if (!result.ok()) {
      ASSERT_TRUE(result.status().text().starts_with("line ")) << result.status().text();
    }
  }
}

}  // namespace
}  // namespace exdb
