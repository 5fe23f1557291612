// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One value of any field, for programs that learn their schema at run time and for the Python
// bindings. Typed C++ code uses Field<T> and never makes one.
//
// Kinds: null, boolean, integer (signed or unsigned 64 bit), real, text (UTF-8), bytes, list,
// record (a struct: names to values, in declaration order when read from a row). Dates are
// integers: days, or nanoseconds, as FieldType says.
//
// Threads: a plain value.
// Failure: the as_… functions throw Error 99 when the value is of another kind.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "exdb/schema.hpp"

namespace exdb {

class Value;
using ValueList = std::vector<Value>;
using ValueRecord = std::vector<std::pair<std::string, Value>>;
using ByteString = std::vector<std::byte>;

class Value {
 public:
  enum class Kind { null, boolean, integer, unsigned_integer, real, text, bytes, list, record };

  Value() = default;
  Value(std::nullptr_t) {}
  template <std::same_as<bool> T>  // exactly: a pointer must not become a boolean
  Value(T value) : held_(value) {}
  template <std::signed_integral T>
  Value(T value) : held_(std::int64_t{value}) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Value(T value) : held_(std::uint64_t{value}) {}
  template <std::floating_point T>
  Value(T value) : held_(double(value)) {}
  Value(std::string value) : held_(std::move(value)) {}
  Value(std::string_view value) : held_(std::string(value)) {}
  Value(const char* value) : held_(std::string(value)) {}
  Value(ByteString value) : held_(std::move(value)) {}
  Value(std::span<const std::byte> value) : held_(ByteString(value.begin(), value.end())) {}
  Value(ValueList value) : held_(std::move(value)) {}
  Value(ValueRecord value) : held_(std::move(value)) {}

  [[nodiscard]] Kind kind() const { return Kind(held_.index()); }
  [[nodiscard]] bool is_null() const { return kind() == Kind::null; }

  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] std::int64_t as_int() const;    ///< either integer kind, if it fits
  [[nodiscard]] std::uint64_t as_uint() const;  ///< either integer kind, if it fits
  [[nodiscard]] double as_double() const;       ///< real or integer
  [[nodiscard]] const std::string& as_text() const;
  [[nodiscard]] const ByteString& as_bytes() const;
  [[nodiscard]] const ValueList& as_list() const;
  [[nodiscard]] const ValueRecord& as_record() const;
  /// Field of a record; null pointer when it has none of that name.
  [[nodiscard]] const Value* find(std::string_view name) const;

  /// For messages: 12, 1.5, 'text', 0x00ff…, [1, 2, …], {a: 1}; long values are cut.
  [[nodiscard]] std::string to_text() const;

  /// Equal kind and content, except that an integer equals the same integer of the other
  /// signedness. NaN != NaN.
  bool operator==(const Value& other) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, ByteString,
               ValueList, ValueRecord>
      held_;
};

std::string_view name_of(Value::Kind kind);

/// Contiguous elements of a scalar array or vector, as they lie in a row. Valid as long as the
/// row's bytes.
struct RawArray {
  FieldType type =
      FieldType::int8;  ///< declared: date, boolean, … ; storage_of(type) is the machine type
  const std::byte* data =
      nullptr;  ///< aligned for its type; a vector's to 64 bytes from the row's start
  std::size_t count = 0;
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data, count * size_of(type)}; }
};

}  // namespace exdb
