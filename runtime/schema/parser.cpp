// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/parser.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "schema/lexer.hpp"

namespace exdb {
namespace {

/// Words of the published language that mean something exdb does not have.
constexpr std::string_view unsupported_words[] = {
    "rtree", "trie",  "trigram", "kdtree",  "userdef",    "event",    "sequence",  "collate",
    "oid",   "ref",   "history", "compact", "compressed", "inmemory", "encrypted", "voluntary",
    "nchar", "wchar", "nstring", "wstring", "interface",  "import"};

/// Those of them that would begin an index.
constexpr std::string_view unsupported_index_words[] = {"rtree", "trie", "trigram", "kdtree",
                                                        "userdef"};

constexpr std::string_view index_words[] = {"unique", "nonunique", "tree",
                                            "hash",   "list",      "autoid"};

/// Cannot be the name of an enum, a struct or a class: each begins something else where a type may
/// stand.
constexpr std::string_view reserved_words[] = {
    "signed",   "unsigned", "int1",     "int2",       "int4",      "int8",     "uint1",
    "uint2",    "uint4",    "uint8",    "float",      "double",    "boolean",  "bool",
    "char",     "string",   "binary",   "blob",       "varbinary", "date",     "time",
    "datetime", "enum",     "autoid_t", "vector",     "optional",  "nullable", "struct",
    "class",    "declare",  "local",    "persistent", "transient"};

template <class Words>
bool is_one_of(std::string_view word, const Words& words) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

bool is_unsupported(const Token& token) {
  return token.kind == Token::Kind::identifier && is_one_of(token.text, unsupported_words);
}

struct NamedType {
  std::string_view word;
  FieldType type;
};
constexpr NamedType plain_types[] = {
    {"int1", FieldType::int8},       {"int2", FieldType::int16},
    {"int4", FieldType::int32},      {"int8", FieldType::int64},
    {"uint1", FieldType::uint8},     {"uint2", FieldType::uint16},
    {"uint4", FieldType::uint32},    {"uint8", FieldType::uint64},
    {"float", FieldType::float32},   {"double", FieldType::float64},
    {"boolean", FieldType::boolean}, {"bool", FieldType::boolean},
    {"string", FieldType::string},   {"blob", FieldType::blob},
    {"varbinary", FieldType::blob},  {"date", FieldType::date},
    {"time", FieldType::time},       {"datetime", FieldType::datetime},
    {"autoid_t", FieldType::autoid}};

// Recursive descent with one token of look-ahead, written by hand: the grammar is small, and a
// generator's messages could not say what would have been right.

/// An index as written; its field names are looked up when the class is complete.
struct IndexText {
  struct Part {
    std::vector<Token> path;
    bool descending = false;
  };
  IndexDef index;
  Token kind_word;
  Token name_word;
  std::vector<Part> parts;
};

class Parser {
 public:
  Parser(std::string_view text, DictionaryBuilder& builder)
      : tokens_(tokenize(text)), builder_(builder) {}

  void parse_file() {
    while (peek().kind != Token::Kind::end) {
      if (accept(";")) continue;
      if (accept("declare")) {
        parse_declare();
      } else if (accept("enum")) {
        parse_enum();
      } else if (accept("struct")) {
        parse_struct();
      } else {
        parse_class();
      }
    }
  }

 private:
  // ---- tokens ----

  const Token& peek() const { return tokens_[at_]; }

  Token take() {
    const auto token = tokens_[at_];
    if (token.kind != Token::Kind::end) ++at_;
    return token;
  }

  bool accept(std::string_view text) {
    if (!peek().is(text)) return false;
    ++at_;
    return true;
  }

  [[noreturn]] static void fail(const Token& token, const std::string& expected,
                                const std::string& remark = "") {
    // A word that exdb leaves out says so itself: its user has a schema that works elsewhere.
    std::string why = remark.empty() ? "" : ", " + remark;
    if (why.empty() && token.kind == Token::Kind::identifier &&
        is_one_of(token.text, unsupported_index_words))
      why = ", an index kind that exdb does not support: use tree, hash, list or autoid";
    else if (why.empty() && is_unsupported(token))
      why = ", which is not supported";
    throw SchemaError(token.position, expected, describe(token) + why);
  }

  void expect(std::string_view text) {
    if (!accept(text)) fail(peek(), "'" + std::string(text) + "'");
  }

  Token expect_name(const std::string& what) {
    if (peek().kind != Token::Kind::identifier) fail(peek(), what);
    return take();
  }

  Token expect_type_name(const std::string& what) {
    const auto name = expect_name(what);
    if (is_one_of(name.text, reserved_words) || is_one_of(name.text, index_words) ||
        is_one_of(name.text, unsupported_words))
      fail(name, what, "which is a word of the language");
    if (builder_.is_type(name.text)) fail(name, "a new name", "which is declared above");
    return name;
  }

  // ---- numbers ----

  /// An integer constant expression of + - * / and parentheses; `what` is what the number is for.
  std::int64_t parse_sum(const std::string& what) {
    auto value = parse_product(what);
    while (peek().is("+") || peek().is("-")) {
      const auto sign = take();
      const auto right = parse_product(what);
      const bool bad = sign.is("+") ? __builtin_add_overflow(value, right, &value)
                                    : __builtin_sub_overflow(value, right, &value);
      if (bad) fail(sign, what + " that fits 64 bits");
    }
    return value;
  }

  std::int64_t parse_product(const std::string& what) {
    auto value = parse_factor(what);
    while (peek().is("*") || peek().is("/")) {
      const auto sign = take();
      const auto right = parse_factor(what);
      const bool multiply = sign.is("*");
      if (!multiply && (right == 0 || right == -1))
        fail(sign, what, "a division by " + std::to_string(right));
      if (multiply ? __builtin_mul_overflow(value, right, &value) : (value /= right, false))
        fail(sign, what + " that fits 64 bits");
    }
    return value;
  }

  std::int64_t parse_factor(const std::string& what) {
    const auto token = take();
    if (token.kind == Token::Kind::integer) {
      if (token.value > std::uint64_t(std::numeric_limits<std::int64_t>::max()))
        fail(token, what + " that fits 64 bits");
      return std::int64_t(token.value);
    }
    if (!token.is("-") && !token.is("(")) fail(token, what);
    if (++depth_ > nesting_max) fail(token, "at most 64 signs and parentheses within each other");
    // The least 64-bit number is refused everywhere, so that no negation and no division overflows.
    std::int64_t value = 0;
    if (token.is("-")) {
      value = -parse_factor(what);  // no overflow: a factor is never the least 64-bit number
      if (value == std::numeric_limits<std::int64_t>::min())
        fail(token, what + " that fits 64 bits");
    } else {
      value = parse_sum(what);
      expect(")");
      if (value == std::numeric_limits<std::int64_t>::min())
        fail(token, what + " that fits 64 bits");
    }
    --depth_;
    return value;
  }

  std::int64_t parse_number(const std::string& what, std::int64_t low, std::int64_t high) {
    const auto start = peek();
    const auto value = parse_sum(what);
    if (value < low || value > high)
      fail(start, what + " from " + std::to_string(low) + " to " + std::to_string(high),
           "which makes " + std::to_string(value));
    return value;
  }

  // ---- declarations ----

  void parse_declare() {
    if (accept("database")) {
      const auto name = expect_name("the name of the database");
      if (!builder_.dictionary().name().empty())
        fail(name, "one 'declare database' only", "the second");
      builder_.set_name(name.text);
    } else if (accept("auto_oid")) {
      if (accept("[")) {
        parse_number("a number of objects", 1, std::numeric_limits<std::int64_t>::max());
        expect("]");
      }
    } else {
      fail(peek(), "'database' or 'auto_oid' after 'declare'");
    }
    expect(";");
  }

  void parse_enum() {
    EnumDef definition;
    definition.name = expect_type_name("the name of the enum").text;
    expect("{");
    std::int64_t next = 0;
    do {
      const auto name = expect_name("the name of an enumerator");
      if (definition.find(name.text) != nullptr)
        fail(name, "a new enumerator", "which " + definition.name + " already has");
      constexpr auto low = std::numeric_limits<std::int32_t>::min();
      constexpr auto high = std::numeric_limits<std::int32_t>::max();
      if (accept("=")) {
        next = parse_number("an enumerator's number", low, high);
      } else if (next > high) {
        fail(name, "an enumerator's number of at most " + std::to_string(high));
      }
      definition.values.emplace_back(name.text, std::int32_t(next));
      ++next;
    } while (accept(",") && !peek().is("}"));
    if (!accept("}")) fail(peek(), "',' or '}'");
    expect(";");
    builder_.add_enum(std::move(definition));
  }

  void parse_struct() {
    RecordDef record;
    const auto name = expect_type_name("the name of the struct");
    record.name = name.text;
    expect("{");
    do parse_field(record);
    while (!accept("}"));
    expect(";");
    if (!builder_.add_struct(std::move(record))) fail_size(name, "struct");
  }

  void parse_class() {
    ClassDef definition;
    bool flagged = false;
    for (;; flagged = true) {
      const bool storage_given = definition.persistent || definition.transient;
      if (!definition.local && accept("local")) {
        definition.local = true;
      } else if (!storage_given && accept("persistent")) {
        definition.persistent = true;
      } else if (!storage_given && accept("transient")) {
        definition.transient = true;
      } else {
        break;
      }
    }
    if (!accept("class"))
      fail(peek(), flagged ? "'class'" : "'declare', 'enum', 'struct' or 'class'");
    const auto name = expect_type_name("the name of the class");
    definition.name = name.text;
    definition.record.name = name.text;
    parse_class_body(name, std::move(definition));
  }

  void parse_class_body(const Token& name, ClassDef definition) {
    expect("{");
    std::vector<IndexText> indexes;
    while (!accept("}")) {
      if (peek().kind == Token::Kind::identifier && is_one_of(peek().text, unsupported_index_words))
        fail(peek(), "a field or an index");
      if (is_one_of(peek().text, index_words) && peek().kind == Token::Kind::identifier) {
        indexes.push_back(parse_index(indexes));
      } else {
        parse_field(definition.record);
      }
    }
    expect(";");
    // The id field may be made by its index, and the layout needs all fields: so first the fields,
    // then the class, then the indexes.
    const auto autoid = std::find_if(indexes.begin(), indexes.end(), [](const IndexText& text) {
      return text.index.kind == IndexKind::autoid;
    });
    if (autoid != indexes.end()) declare_autoid(*autoid, definition.record);
    if (definition.record.fields.empty())
      fail(name, "a class with at least one field", "which has none");
    if (!builder_.add_class(std::move(definition))) fail_size(name, "class");
    for (auto& text : indexes) add_index(std::move(text));
  }

  [[noreturn]] void fail_size(const Token& name, const std::string& what) {
    fail(name,
         "a " + what + " of at most " + std::to_string(record_bytes_max >> 20) +
             " MiB without the contents of its vectors, strings and blobs, and at most " +
             std::to_string(struct_nesting_max) + " structs within each other",
         "which is larger");
  }

  // ---- fields ----

  void parse_field(RecordDef& record) {
    FieldDef field;
    const auto start = peek();
    field.nullable = accept("nullable");
    field.optional = !field.nullable && accept("optional");
    const auto type_word = peek();
    if (accept("vector")) {
      expect("<");
      field.is_vector = true;
      if (peek().is("vector") || peek().is("nullable") || peek().is("optional"))
        fail(peek(), "the type of one element", "which no element can be");
      parse_type(field);
      expect(">");
    } else {
      parse_type(field);
    }
    const auto name = expect_name("the name of the field");
    field.name = name.text;
    if (record.find(name.text) != nullptr)
      fail(name, "a new field name", "which " + record.name + " already has");
    if (!field.is_vector && accept("[")) {
      field.array_length =
          std::uint32_t(parse_number("an array length", 1, std::int64_t(record_bytes_max)));
      expect("]");
    }
    if (!accept(";")) fail(peek(), field.is_array() || field.is_vector ? "';'" : "'[' or ';'");
    check_modifiers(field, start, type_word);
    record.fields.push_back(std::move(field));
  }

  void check_modifiers(const FieldDef& field, const Token& start, const Token& type_word) {
    if (field.optional && (field.type != FieldType::structure || !field.is_single()))
      fail(type_word, "a struct after 'optional'",
           field.is_single() ? "which is none: 'nullable' is for fields" : "an array or vector");
    if (field.nullable && (field.type == FieldType::structure || !field.is_single()))
      fail(start, "'nullable' before a single field",
           field.is_single() ? "before a struct: 'optional' is for structs"
                             : "before an array or vector");
  }

  void parse_type(FieldDef& field) {
    const auto word = peek();
    if (word.is("signed") || word.is("unsigned")) return parse_sized_integer(field);
    if (word.is("char") || word.is("binary")) {
      take();
      field.type = word.is("char") ? FieldType::chars : FieldType::binary;
      expect("<");
      field.length = std::uint32_t(parse_number("a length", 1, std::int64_t(record_bytes_max)));
      return expect(">");
    }
    for (const auto& [name, type] : plain_types) {
      if (!accept(name)) continue;
      field.type = type;
      return;
    }
    if (word.kind != Token::Kind::identifier) fail(word, "a type");
    accept("struct") || accept("enum");  // as C allows: struct Name field;
    parse_declared_type(field);
  }

  void parse_sized_integer(FieldDef& field) {
    const bool is_signed = take().is("signed");
    expect("<");
    const auto start = peek();
    switch (parse_sum("1, 2, 4 or 8")) {
      case 1:
        field.type = is_signed ? FieldType::int8 : FieldType::uint8;
        break;
      case 2:
        field.type = is_signed ? FieldType::int16 : FieldType::uint16;
        break;
      case 4:
        field.type = is_signed ? FieldType::int32 : FieldType::uint32;
        break;
      case 8:
        field.type = is_signed ? FieldType::int64 : FieldType::uint64;
        break;
      default:
        fail(start, "1, 2, 4 or 8");
    }
    expect(">");
  }

  void parse_declared_type(FieldDef& field) {
    const auto name = take();
    if (const auto* definition = builder_.find_enum(name.text)) {
      field.type = FieldType::enumeration;
      field.enumeration = definition;
    } else if (const auto* record = builder_.find_struct(name.text)) {
      field.type = FieldType::structure;
      field.record = record;
    } else if (builder_.dictionary().find_class(name.text) != nullptr) {
      fail(name, "a type", "which is a class: refer to its objects by autoid_t");
    } else {
      fail(name, "a type", is_unsupported(name) ? "" : "which is not declared above");
    }
  }

  // ---- indexes ----

  IndexText parse_index(const std::vector<IndexText>& others) {
    IndexText text;
    const auto modifier = peek();
    const bool unique = accept("unique");
    const bool nonunique = !unique && accept("nonunique");
    text.kind_word = take();
    const auto& word = text.kind_word;
    const bool plain = !unique && !nonunique;
    if (word.is("tree")) {
      text.index.kind = IndexKind::tree;
      text.index.unique = unique;
      parse_parts(text);
      text.name_word = expect_name("the name of the index");
    } else if (word.is("hash")) {
      text.index.kind = IndexKind::hash;
      text.index.unique = !nonunique;
      parse_parts(text);
      text.name_word = expect_name("the name of the index");
      parse_size_hint(text);
    } else if (word.is("list") || word.is("autoid")) {
      if (!plain)
        fail(modifier,
             "no '" + std::string(modifier.text) + "' before '" + std::string(word.text) + "'");
      parse_unkeyed(text);
    } else {
      fail(word, "'tree' or 'hash'");
    }
    expect(";");
    text.index.name = text.name_word.text;
    check_index_name(text, others);
    return text;
  }

  /// list and autoid: the name may be left out.
  void parse_unkeyed(IndexText& text) {
    text.index.kind = text.kind_word.is("list") ? IndexKind::list : IndexKind::autoid;
    text.index.unique = text.index.kind == IndexKind::autoid;
    if (text.index.unique && peek().is("<")) {
      parse_parts(text);
      if (text.parts.size() != 1 || text.parts[0].path.size() != 1 || text.parts[0].descending)
        fail(text.kind_word, "one field of the class as the id");
    }
    // "list;" is common in schemas: the index is then called list.
    text.name_word = peek().kind == Token::Kind::identifier ? take() : text.kind_word;
    if (text.index.unique) parse_size_hint(text);
  }

  void parse_size_hint(IndexText& text) {
    if (!accept("[")) return;
    text.index.size_hint = std::uint64_t(
        parse_number("a number of objects", 1, std::numeric_limits<std::int64_t>::max()));
    expect("]");
  }

  void parse_parts(IndexText& text) {
    expect("<");
    do {
      IndexText::Part part;
      do part.path.push_back(expect_name("the name of a field"));
      while (accept("."));
      const bool tree = text.index.kind == IndexKind::tree;
      part.descending = tree && accept("desc");
      if (tree && !part.descending) accept("asc");
      text.parts.push_back(std::move(part));
    } while (accept(","));
    if (!accept(">")) fail(peek(), "',' or '>'");
  }

  static void check_index_name(const IndexText& text, const std::vector<IndexText>& others) {
    for (const auto& other : others) {
      if (other.index.name == text.index.name)
        fail(text.name_word, "a new index name", "which this class already has");
      if (text.index.kind == IndexKind::autoid && other.index.kind == IndexKind::autoid)
        fail(text.kind_word, "one autoid index a class", "the second");
    }
  }

  /// The field that holds the object's own id: the one named in autoid<…>, else an autoid_t field
  /// with the name of the index or named `autoid`; else one is added. Other autoid_t fields refer
  /// to other objects.
  void declare_autoid(IndexText& text, RecordDef& record) {
    Token field_word = text.name_word;
    const FieldDef* field = nullptr;
    if (!text.parts.empty()) {
      field_word = text.parts[0].path[0];
      field = record.find(field_word.text);
      if (field == nullptr) fail(field_word, "a field of " + record.name, "which it does not have");
    } else {
      field = record.find(text.index.name);
      if (field == nullptr || field->type != FieldType::autoid) field = record.find("autoid");
    }
    if (field == nullptr) {
      FieldDef hidden;
      hidden.name = "autoid";
      hidden.type = FieldType::autoid;
      hidden.implicit = true;
      record.fields.push_back(hidden);
      field = &record.fields.back();
    }
    if (field->type != FieldType::autoid || !field->is_single() || field->nullable)
      fail(field_word, "a single autoid_t field as the id",
           "with '" + field->name + "' of type " + field->type_text());
    field_word.kind = Token::Kind::identifier;
    autoid_name_ = field->name;
    text.parts.assign(1, IndexText::Part{{field_word}, false});
  }

  void add_index(IndexText text) {
    const auto& owner = builder_.dictionary().classes().back();
    if (text.index.kind == IndexKind::autoid) {
      const auto* field = owner.find_field(autoid_name_);
      builder_.bind_autoid(*field);
      text.index.parts.push_back({field->name, owner.locate(field->name), false});
    } else {
      for (const auto& part : text.parts) text.index.parts.push_back(resolve(part, owner));
    }
    builder_.add_index(std::move(text.index));
  }

  static IndexPart resolve(const IndexText::Part& part, const ClassDef& owner) {
    const auto* inside = &owner.record;
    const FieldDef* field = nullptr;
    std::string path;
    for (const auto& name : part.path) {
      if (inside == nullptr)
        fail(name, "no field within '" + path + "'", "but " + path + " is " + field->type_text());
      field = inside->find(name.text);
      if (field == nullptr) fail(name, "a field of " + inside->name, "which it does not have");
      if (!field->is_single())
        fail(name, "a single field as index part", "which is " + field->type_text());
      path += (path.empty() ? "" : ".") + field->name;
      inside = field->record;
    }
    if (field->type == FieldType::structure || field->type == FieldType::blob)
      fail(part.path.back(), "a field with an order as index part",
           "which is " + field->type_text());
    return {path, owner.locate(path), part.descending};
  }

  static constexpr int nesting_max = 64;

  std::vector<Token> tokens_;
  DictionaryBuilder& builder_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string autoid_name_;
};

}  // namespace

void parse_schema(std::string_view ddl_text, DictionaryBuilder& builder) {
  Parser(ddl_text, builder).parse_file();
}

}  // namespace exdb
