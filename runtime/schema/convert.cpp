// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/convert.hpp"

#include <cmath>
#include <limits>

#include "base/assert.hpp"
#include "schema/utf8.hpp"

namespace exdb {
namespace {

constexpr std::int64_t nanoseconds_a_day = 86'400'000'000'000;

// One set of functions for rows and for search keys: what could not be stored cannot be found
// either, and both say the same.

/// The field's type without what is about the whole of an array or vector: values are checked one
/// by one.
std::string element_type_text(const FieldDef& field) {
  FieldDef element = field;
  element.is_vector = element.nullable = element.optional = false;
  element.array_length = 0;
  return element.type_text();
}

template <class T>
std::string limits_of() {
  return std::to_string(std::numeric_limits<T>::min()) + ".." +
         std::to_string(std::numeric_limits<T>::max());
}

std::string enumerators(const EnumDef& definition) {
  std::string text;
  for (const auto& [name, number] : definition.values)
    text += (text.empty() ? "" : ", ") + name + " = " + std::to_string(number);
  return text;
}

std::string range_text(const FieldDef& field) {
  switch (field.type) {
    case FieldType::int8:
      return limits_of<std::int8_t>();
    case FieldType::int16:
      return limits_of<std::int16_t>();
    case FieldType::int32:
      return limits_of<std::int32_t>();
    case FieldType::int64:
      return limits_of<std::int64_t>();
    case FieldType::uint8:
      return limits_of<std::uint8_t>();
    case FieldType::uint16:
      return limits_of<std::uint16_t>();
    case FieldType::uint32:
      return limits_of<std::uint32_t>();
    case FieldType::uint64:
      return limits_of<std::uint64_t>();
    case FieldType::float32:
      return "a number, finite ones within ±3.4028235e38";
    case FieldType::float64:
      return "a number";
    case FieldType::boolean:
      return "true or false";
    case FieldType::date:
      return limits_of<std::int32_t>() + " days since 1970-01-01";
    case FieldType::time:
      return "0..86399999999999 nanoseconds since midnight";
    case FieldType::datetime:
      return limits_of<std::int64_t>() + " nanoseconds since 1970-01-01 UTC";
    case FieldType::enumeration:
      return enumerators(*field.enumeration);
    case FieldType::autoid:
      return limits_of<std::uint64_t>();
    case FieldType::chars:
      return "UTF-8 text of at most " + std::to_string(field.length) + " bytes, no zero byte last";
    case FieldType::binary:
      return "at most " + std::to_string(field.length) + " bytes";
    case FieldType::string:
      return "UTF-8 text";
    case FieldType::blob:
      return "bytes";
    case FieldType::structure:
      return "a record of its fields";
  }
  return "";
}

bool is_integer(const Value& value) {
  return value.kind() == Value::Kind::integer || value.kind() == Value::Kind::unsigned_integer;
}

/// Whether a value of this kind could fit the field at all, and what would.
bool right_kind(const FieldDef& field, const Value& value) {
  const auto kind = value.kind();
  switch (field.type) {
    case FieldType::float32:
    case FieldType::float64:
      return is_integer(value) || kind == Value::Kind::real;
    case FieldType::enumeration:
      return is_integer(value) || kind == Value::Kind::text;
    case FieldType::chars:
    case FieldType::string:
      return kind == Value::Kind::text;
    case FieldType::binary:
    case FieldType::blob:
      return kind == Value::Kind::bytes;
    case FieldType::structure:
      return kind == Value::Kind::record;
    default:
      return is_integer(value) || kind == Value::Kind::boolean;
  }
}

std::string kind_text(const FieldDef& field) {
  switch (field.type) {
    case FieldType::float32:
    case FieldType::float64:
      return "a number";
    case FieldType::boolean:
      return "true or false";
    case FieldType::enumeration:
      return "one of " + enumerators(*field.enumeration);
    case FieldType::chars:
    case FieldType::string:
      return "text";
    case FieldType::binary:
    case FieldType::blob:
      return "bytes";
    case FieldType::structure:
      return "a record of its fields";
    case FieldType::date:
      return "days since 1970-01-01, an integer";
    case FieldType::time:
      return "nanoseconds since midnight, an integer";
    case FieldType::datetime:
      return "nanoseconds since 1970-01-01 UTC, an integer";
    default:
      return "an integer";
  }
}

template <class T>
bool put(T value, std::byte* out) {
  std::memcpy(out, &value, sizeof value);
  return true;
}

/// Integers of either signedness; a boolean counts as 0 or 1, a real number is never cut.
template <class T>
bool put_integer(const Value& value, std::byte* out) {
  if (value.kind() == Value::Kind::boolean) return put(T(value.as_bool()), out);
  // in_range compares across signedness, where a cast would wrap -1 to a large number.
  if (value.kind() == Value::Kind::integer) {
    const auto number = value.as_int();
    return std::in_range<T>(number) && put(T(number), out);
  }
  if (value.kind() != Value::Kind::unsigned_integer) return false;
  const auto number = value.as_uint();
  return std::in_range<T>(number) && put(T(number), out);
}

bool put_float(const Value& value, std::byte* out) {
  if (!is_integer(value) && value.kind() != Value::Kind::real) return false;
  const double number = value.as_double();
  // What rounds to a finite float fits: the limit is half a unit above the greatest float.
  constexpr double limit = 0x1.ffffffp127;
  if (std::isfinite(number) && std::fabs(number) >= limit) return false;
  return put(float(number), out);
}

bool put_boolean(const Value& value, std::byte* out) {
  if (value.kind() == Value::Kind::boolean) return put(value.as_bool(), out);
  std::uint8_t number = 0;
  if (!put_integer<std::uint8_t>(value, reinterpret_cast<std::byte*>(&number)) || number > 1)
    return false;
  return put(number, out);
}

bool put_enumerator(const FieldDef& field, const Value& value, std::byte* out) {
  if (value.kind() == Value::Kind::text) {
    const auto* number = field.enumeration->find(value.as_text());
    return number != nullptr && put(*number, out);
  }
  // By number too, for data that comes from elsewhere; never one without a name, which no reader
  // could print.
  std::int32_t number = 0;
  return is_integer(value) &&
         put_integer<std::int32_t>(value, reinterpret_cast<std::byte*>(&number)) &&
         field.enumeration->name_of(number) != nullptr && put(number, out);
}

bool put_time(const Value& value, std::byte* out) {
  std::int64_t number = 0;
  return put_integer<std::int64_t>(value, reinterpret_cast<std::byte*>(&number)) && number >= 0 &&
         number < nanoseconds_a_day && put(number, out);
}

bool put_scalar(const FieldDef& field, const Value& value, std::byte* out) {
  switch (field.type) {
    case FieldType::int8:
      return put_integer<std::int8_t>(value, out);
    case FieldType::int16:
      return put_integer<std::int16_t>(value, out);
    case FieldType::int32:
    case FieldType::date:
      return put_integer<std::int32_t>(value, out);
    case FieldType::int64:
    case FieldType::datetime:
      return put_integer<std::int64_t>(value, out);
    case FieldType::uint8:
      return put_integer<std::uint8_t>(value, out);
    case FieldType::uint16:
      return put_integer<std::uint16_t>(value, out);
    case FieldType::uint32:
      return put_integer<std::uint32_t>(value, out);
    case FieldType::uint64:
    case FieldType::autoid:
      return put_integer<std::uint64_t>(value, out);
    case FieldType::float32:
      return put_float(value, out);
    case FieldType::float64:
      return (is_integer(value) || value.kind() == Value::Kind::real) &&
             put(value.as_double(), out);
    case FieldType::boolean:
      return put_boolean(value, out);
    case FieldType::time:
      return put_time(value, out);
    case FieldType::enumeration:
      return put_enumerator(field, value, out);
    default:
      EXDB_ASSERT(false, "not a scalar type");
      return false;
  }
}

}  // namespace

std::string Where::to_text() const {
  if (index >= 0) return (up ? up->to_text() : "") + "[" + std::to_string(index) + "]";
  return up ? up->to_text() + "." + std::string(name) : std::string(name);
}

void throw_misfit(const Where& where, const std::string& value, const FieldDef& field) {
  throw Error(ErrorCode::conversion, where.to_text() + ": " + value + " does not fit " +
                                         element_type_text(field) + " (" + range_text(field) + ")");
}

// Whoever gave the wrong kind of value is not helped by a range: 1.0 lies within every one.
void throw_refused(const Where& where, const Value& value, const FieldDef& field) {
  if (value.is_null() || right_kind(field, value)) throw_misfit(where, value.to_text(), field);
  throw Error(ErrorCode::conversion, where.to_text() + ": " + value.to_text() + " is " +
                                         std::string(name_of(value.kind())) + ", and " +
                                         element_type_text(field) + " takes " + kind_text(field));
}

void convert_scalar(const FieldDef& field, const Value& value, std::byte* out, const Where& where) {
  if (!put_scalar(field, value, out)) throw_refused(where, value, field);
}

const char* scalar_fault(const FieldDef& field, const std::byte* value) {
  const auto load = [value]<class T>(T number) {
    std::memcpy(&number, value, sizeof number);
    return number;
  };
  switch (field.type) {
    case FieldType::boolean:
      return load(std::uint8_t{}) > 1 ? "a boolean that is neither 0 nor 1" : nullptr;
    case FieldType::time: {
      const auto number = load(std::int64_t{});
      return number < 0 || number >= nanoseconds_a_day ? "a time beyond one day" : nullptr;
    }
    case FieldType::enumeration:
      return field.enumeration->name_of(load(std::int32_t{})) ? nullptr
                                                              : "a number that is no enumerator";
    default:
      return nullptr;
  }
}

void check_bytes(const FieldDef& field, Bytes value, const Where& where) {
  const bool is_text = field.type == FieldType::chars || field.type == FieldType::string;
  // char<n> is padded with zero bytes and read up to the last that is none: one at the end of the
  // value would be lost.
  const bool fits =
      (field.length == 0 || value.size() <= field.length) &&
      (!is_text || is_utf8(as_text(value))) &&
      (field.type != FieldType::chars || value.empty() || value.back() != std::byte{0});
  if (fits) return;
  const auto shown = is_text && is_utf8(as_text(value)) ? Value(as_text(value)) : Value(value);
  throw_misfit(where, shown.to_text() + " of " + std::to_string(value.size()) + " bytes", field);
}

Bytes convert_bytes(const FieldDef& field, const Value& value, const Where& where) {
  const bool is_text = field.type == FieldType::chars || field.type == FieldType::string;
  if (value.kind() != (is_text ? Value::Kind::text : Value::Kind::bytes))
    throw_refused(where, value, field);
  const Bytes bytes = is_text ? as_bytes(value.as_text()) : Bytes(value.as_bytes());
  check_bytes(field, bytes, where);
  return bytes;
}

}  // namespace exdb
