// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/lexer.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

namespace exdb {
namespace {

// Bounds on what a few lines of nested #define can expand to.
constexpr std::size_t tokens_max = 1'000'000;
constexpr std::size_t nesting_max = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

// Two stages, as in C: a scanner that knows lines and positions, and a preprocessor that puts
// constants in. One regular expression would do for tokens, but not for the positions of what a
// #define brings in, nor for the bound on how much it brings.

/// Tokens as they stand in the text, before constants are put in.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  struct Raw {
    Token token;
    std::size_t line = 0;  // lines joined by a backslash count as one
    bool first_on_line = false;
    bool after_space = false;
  };

  Raw next() {
    const auto before = at_;
    skip_blank();
    Raw raw;
    raw.after_space = at_ != before;
    raw.line = logical_line_;
    raw.first_on_line = logical_line_ != last_token_line_;
    raw.token.position = position_;
    if (at_ == text_.size()) return raw;
    last_token_line_ = logical_line_;
    const char c = text_[at_];
    if (is_letter(c)) {
      take(raw.token, Token::Kind::identifier,
           length_while([](char d) { return is_letter(d) || is_digit(d); }));
    } else if (is_digit(c)) {
      take(raw.token, Token::Kind::integer,
           length_while([](char d) { return is_letter(d) || is_digit(d); }));
      raw.token.value = number(raw.token);
    } else if (std::string_view("<>[]{}();,.=-+*/#").find(c) != std::string_view::npos) {
      take(raw.token, Token::Kind::symbol, 1);
    } else {
      throw SchemaError(position_,
                        "a name, a number or one of < > [ ] { } ( ) ; , . =", character());
    }
    return raw;
  }

 private:
  void skip_blank() {
    while (at_ < text_.size()) {
      const auto rest = text_.substr(at_);
      if (rest.starts_with("\\\n") || rest.starts_with("\\\r\n")) {
        advance(rest[1] == '\r' ? 2 : 1);
        new_line();
      } else if (rest[0] == '\n') {
        new_line();
        ++logical_line_;
      } else if (is_space(rest[0])) {
        advance(1);
      } else if (rest.starts_with("//")) {
        advance(std::min(rest.find('\n'), rest.size()));
      } else if (rest.starts_with("/*")) {
        skip_comment();
      } else {
        return;
      }
    }
  }

  void skip_comment() {
    const auto start = position_;
    const auto length = text_.substr(at_).find("*/", 2);
    if (length == std::string_view::npos)
      throw SchemaError(start, "*/ at the end of this comment", "the end of the text");
    const auto end = at_ + length + 2;
    while (at_ < end) text_[at_] == '\n' ? new_line() : advance(1);
  }

  void new_line() {
    ++at_;
    ++position_.line;
    position_.column = 1;
  }

  void advance(std::size_t count) {
    for (const auto end = at_ + count; at_ < end; ++at_)
      // A column is a character as an editor counts them, not a byte of UTF-8.
      if ((static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80) ++position_.column;
  }

  template <class Is>
  std::size_t length_while(Is is) const {
    auto end = at_;
    while (end < text_.size() && is(text_[end])) ++end;
    return end - at_;
  }

  void take(Token& token, Token::Kind kind, std::size_t length) {
    token.kind = kind;
    token.text = text_.substr(at_, length);
    advance(length);
  }

  static std::uint64_t number(const Token& token) {
    auto digits = token.text;
    unsigned base = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      base = 16;
      digits.remove_prefix(2);
    }
    std::uint64_t value = 0;
    for (const char c : digits) {
      const unsigned digit = is_digit(c)                          ? unsigned(c - '0')
                             : (c | 32) >= 'a' && (c | 32) <= 'f' ? unsigned((c | 32) - 'a' + 10)
                                                                  : 99;
      // Letters are taken with the digits: "12abc" is a wrong number, not a number and a name.
      if (digit >= base || value > (std::numeric_limits<std::uint64_t>::max() - digit) / base)
        throw SchemaError(token.position, "a decimal or 0x number below 2^64", describe(token));
      value = value * base + digit;
    }
    if (digits.empty()) throw SchemaError(token.position, "digits after 0x", describe(token));
    return value;
  }

  std::string character() const {
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c >= 0x20 && c < 0x7f) return std::string("'") + char(c) + "'";
    constexpr char hex[] = "0123456789abcdef";
    return std::string("the byte 0x") + hex[c >> 4] + hex[c & 15];
  }

  std::string_view text_;
  std::size_t at_ = 0;
  SourcePosition position_;
  std::size_t logical_line_ = 1;
  std::size_t last_token_line_ = 0;
};

class Preprocessor {
 public:
  explicit Preprocessor(std::string_view text) : scanner_(text) {}

  std::vector<Token> run() {
    auto raw = scanner_.next();
    while (raw.token.kind != Token::Kind::end) {
      if (raw.first_on_line && raw.token.is("#")) {
        raw = directive(raw.line);
      } else {
        expand(raw.token, raw.token.position);
        raw = scanner_.next();
      }
    }
    tokens_.push_back(raw.token);
    return std::move(tokens_);
  }

 private:
  struct Constant {
    std::vector<Token> body;
    bool active = false;  // being put in: a constant does not expand within itself
  };

  /// After a '#'; gives the first token behind the directive.
  Scanner::Raw directive(std::size_t line) {
    const auto word = scanner_.next();
    if (word.line != line || !word.token.is("define"))
      throw SchemaError(word.token.position, "define: #define is the only directive",
                        describe(word.token));
    const auto name = scanner_.next();
    if (name.line != line || name.token.kind != Token::Kind::identifier)
      throw SchemaError(name.token.position, "the name of a constant after #define",
                        describe(name.token));
    Constant constant;
    auto raw = scanner_.next();
    if (raw.line == line && raw.token.is("(") && !raw.after_space)
      throw SchemaError(raw.token.position, "a constant: #define with parameters is not supported",
                        describe(raw.token));
    for (; raw.line == line && raw.token.kind != Token::Kind::end; raw = scanner_.next())
      constant.body.push_back(raw.token);
    define(name.token, std::move(constant));
    return raw;
  }

  void define(const Token& name, Constant constant) {
    const auto same_text = [](const Token& a, const Token& b) { return a.text == b.text; };
    const auto [at, added] = constants_.try_emplace(name.text, std::move(constant));
    // The same constant in two included headers is common and harmless; two values are not.
    // try_emplace leaves `constant` alone when the name is taken.
    if (!added && !std::equal(at->second.body.begin(), at->second.body.end(), constant.body.begin(),
                              constant.body.end(), same_text))
      throw SchemaError(name.position, "the same value as in the first #define of this constant",
                        describe(name) + " with another");
  }

  void expand(const Token& token, SourcePosition position) {
    if (++steps_ > tokens_max)
      throw SchemaError(position, "at most 1,000,000 words", "more, with all #define put in");
    if (const auto at = constants_.find(token.text);
        token.kind == Token::Kind::identifier && at != constants_.end() && !at->second.active) {
      if (++depth_ > nesting_max)
        throw SchemaError(position, "at most 64 constants within each other", describe(token));
      at->second.active = true;
      for (const auto& inner : at->second.body) expand(inner, position);
      at->second.active = false;
      --depth_;
      return;
    }
    tokens_.push_back(token);
    tokens_.back().position = position;
  }

  Scanner scanner_;
  std::map<std::string_view, Constant> constants_;
  std::vector<Token> tokens_;
  std::size_t depth_ = 0;
  std::size_t steps_ =
      0;  // not tokens_.size(): constants may expand to nothing, exponentially often
};

}  // namespace

std::string describe(const Token& token) {
  if (token.kind == Token::Kind::end) return "the end of the text";
  constexpr std::size_t shown = 60;
  if (token.text.size() > shown) return "'" + std::string(token.text.substr(0, shown)) + "…'";
  return "'" + std::string(token.text) + "'";
}

SchemaError::SchemaError(SourcePosition position, const std::string& expected,
                         const std::string& found)
    : std::runtime_error("line " + std::to_string(position.line) + ", column " +
                         std::to_string(position.column) + ": expected " + expected + ", found " +
                         found) {}

std::vector<Token> tokenize(std::string_view text) { return Preprocessor(text).run(); }

}  // namespace exdb
