// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// DDL text to tokens: comments dropped, #define constants put in, positions kept. A token that
// comes out of a constant has the position where the constant was used, because that is the line
// its user has to mend.
//
// Threads: pure.
// Failure: SchemaError with its position; input of any bytes ends in tokens or in a SchemaError.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace exdb {

/// Counted from 1; a column is a character (UTF-8), a tab is one column.
struct SourcePosition {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};

struct Token {
  enum class Kind { identifier, integer, symbol, end };
  Kind kind = Kind::end;
  std::string_view text;    ///< in the DDL text
  std::uint64_t value = 0;  ///< of an integer
  SourcePosition position;

  [[nodiscard]] bool is(std::string_view what) const {
    return kind != Kind::end && kind != Kind::integer && text == what;
  }
};

/// "'signed'", "the end of the text": for "expected …, found …".
std::string describe(const Token& token);

/// Travels from the lexer or the parser to Dictionary::parse and no further.
class SchemaError : public std::runtime_error {
 public:
  SchemaError(SourcePosition position, const std::string& expected, const std::string& found);
};

/// All tokens of the text, the last of kind `end`. The text must outlive them.
std::vector<Token> tokenize(std::string_view text);

}  // namespace exdb
