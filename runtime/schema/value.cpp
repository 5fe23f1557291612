// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/value.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>

namespace exdb {
namespace {

constexpr std::size_t shown_bytes = 40;
constexpr std::size_t shown_items = 8;

[[noreturn]] void wrong_kind(const Value& value, std::string_view wanted) {
  throw Error(ErrorCode::conversion, value.to_text() + " is " + std::string(name_of(value.kind())) +
                                         ", not " + std::string(wanted));
}

std::string real_text(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;  // shortest that reads back
  std::string out(text, end);
  return out.find_first_not_of("-0123456789") == std::string::npos ? out + ".0" : out;
}

std::string quoted(const std::string& text) {
  auto length = std::min(text.size(), shown_bytes);
  while (length < text.size() && length > 0 && (text[length] & 0xC0) == 0x80) --length;
  std::string out = "'";
  for (std::size_t i = 0; i < length; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f || c == '\'' || c == '\\') {
      char escape[8];
      std::snprintf(escape, sizeof escape, c == '\'' || c == '\\' ? "\\%c" : "\\x%02x", c);
      out += escape;
    } else {
      out += char(c);
    }
  }
  return out + (length < text.size() ? "…'" : "'");
}

std::string hexadecimal(const ByteString& bytes) {
  std::string out = "0x";
  for (std::size_t i = 0; i < std::min(bytes.size(), shown_bytes); ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(bytes[i]));
    out += digits;
  }
  return bytes.size() > shown_bytes ? out + "…" : out;
}

template <class Items, class Write>
std::string joined(const Items& items, Write write) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != 0) out += ", ";
    if (i == shown_items) return out + "…";
    out += write(items[i]);
  }
  return out;
}

}  // namespace

std::string_view name_of(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::boolean:
      return "a boolean";
    case Value::Kind::integer:
    case Value::Kind::unsigned_integer:
      return "an integer";
    case Value::Kind::real:
      return "a real number";
    case Value::Kind::text:
      return "text";
    case Value::Kind::bytes:
      return "bytes";
    case Value::Kind::list:
      return "a list";
    case Value::Kind::record:
      return "a record";
  }
  return "unknown";
}

bool Value::as_bool() const {
  if (const auto* held = std::get_if<bool>(&held_)) return *held;
  wrong_kind(*this, "a boolean");
}

std::int64_t Value::as_int() const {
  if (const auto* held = std::get_if<std::int64_t>(&held_)) return *held;
  if (const auto* held = std::get_if<std::uint64_t>(&held_);
      held && *held <= std::uint64_t(std::numeric_limits<std::int64_t>::max()))
    return std::int64_t(*held);
  wrong_kind(*this, "a signed 64-bit integer");
}

std::uint64_t Value::as_uint() const {
  if (const auto* held = std::get_if<std::uint64_t>(&held_)) return *held;
  if (const auto* held = std::get_if<std::int64_t>(&held_); held && *held >= 0)
    return std::uint64_t(*held);
  wrong_kind(*this, "an unsigned 64-bit integer");
}

double Value::as_double() const {
  if (const auto* held = std::get_if<double>(&held_)) return *held;
  if (const auto* held = std::get_if<std::int64_t>(&held_)) return double(*held);
  if (const auto* held = std::get_if<std::uint64_t>(&held_)) return double(*held);
  wrong_kind(*this, "a number");
}

const std::string& Value::as_text() const {
  if (const auto* held = std::get_if<std::string>(&held_)) return *held;
  wrong_kind(*this, "text");
}

const ByteString& Value::as_bytes() const {
  if (const auto* held = std::get_if<ByteString>(&held_)) return *held;
  wrong_kind(*this, "bytes");
}

const ValueList& Value::as_list() const {
  if (const auto* held = std::get_if<ValueList>(&held_)) return *held;
  wrong_kind(*this, "a list");
}

const ValueRecord& Value::as_record() const {
  if (const auto* held = std::get_if<ValueRecord>(&held_)) return *held;
  wrong_kind(*this, "a record");
}

const Value* Value::find(std::string_view name) const {
  for (const auto& [field, value] : as_record())
    if (field == name) return &value;
  return nullptr;
}

std::string Value::to_text() const {
  switch (kind()) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return std::get<bool>(held_) ? "true" : "false";
    case Kind::integer:
      return std::to_string(std::get<std::int64_t>(held_));
    case Kind::unsigned_integer:
      return std::to_string(std::get<std::uint64_t>(held_));
    case Kind::real:
      return real_text(std::get<double>(held_));
    case Kind::text:
      return quoted(std::get<std::string>(held_));
    case Kind::bytes:
      return hexadecimal(std::get<ByteString>(held_));
    case Kind::list:
      return "[" + joined(as_list(), [](const Value& item) { return item.to_text(); }) + "]";
    case Kind::record:
      return "{" +
             joined(as_record(),
                    [](const auto& item) { return item.first + ": " + item.second.to_text(); }) +
             "}";
  }
  return "unknown";
}

bool Value::operator==(const Value& other) const {
  const bool mixed = (kind() == Kind::integer && other.kind() == Kind::unsigned_integer) ||
                     (kind() == Kind::unsigned_integer && other.kind() == Kind::integer);
  if (!mixed) return held_ == other.held_;
  const auto& negative = kind() == Kind::integer ? *this : other;
  const auto& positive = kind() == Kind::integer ? other : *this;
  const auto value = std::get<std::int64_t>(negative.held_);
  return value >= 0 && std::uint64_t(value) == std::get<std::uint64_t>(positive.held_);
}

}  // namespace exdb
