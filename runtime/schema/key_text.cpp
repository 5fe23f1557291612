// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Keys back to values. Key bytes may come from another node, so nothing here trusts them.
#include <bit>

#include "base/assert.hpp"
#include "schema/key.hpp"

namespace exdb {
namespace {

/// Takes bytes off a key; those of a descending part come out as they were before they were
/// inverted.
class KeyReader {
 public:
  explicit KeyReader(Bytes key) : key_(key) {}

  [[nodiscard]] bool done() const { return at_ == key_.size(); }
  void set_descending(bool descending) { mask_ = descending ? std::byte{0xFF} : std::byte{0}; }

  bool take(std::byte& out) {
    if (done()) return false;
    out = key_[at_++] ^ mask_;
    return true;
  }

  template <class Word>
  std::optional<Word> take_big_endian() {
    Word word = 0;
    for (std::size_t i = 0; i < sizeof(Word); ++i) {
      std::byte byte{};
      if (!take(byte)) return std::nullopt;
      word = Word((std::uint64_t{word} << 8) | std::to_integer<std::uint64_t>(byte));
    }
    return word;
  }

  std::optional<ByteString> take_text() {
    ByteString text;
    std::byte byte{};
    while (take(byte)) {
      if (byte != std::byte{0}) {
        text.push_back(byte);
        continue;
      }
      if (!take(byte)) break;  // behind a zero byte: 01 ends the text, FF was a zero of its own
      if (byte == std::byte{1}) return text;
      if (byte != std::byte{0xFF}) break;
      text.push_back(std::byte{0});
    }
    return std::nullopt;
  }

 private:
  Bytes key_;
  std::size_t at_ = 0;
  std::byte mask_{0};
};

template <class T>
std::optional<Value> take_number(KeyReader& reader) {
  if constexpr (std::is_floating_point_v<T>) {
    using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr auto sign = Word{1} << (sizeof(T) * 8 - 1);
    const auto word = reader.take_big_endian<Word>();
    if (!word) return std::nullopt;
    return Value(std::bit_cast<T>((*word & sign) != 0 ? Word(*word ^ sign) : Word(~*word)));
  } else {
    using Word = std::make_unsigned_t<T>;
    constexpr auto sign = std::is_signed_v<T> ? Word(Word{1} << (sizeof(T) * 8 - 1)) : Word{0};
    const auto word = reader.take_big_endian<Word>();
    if (!word) return std::nullopt;
    return Value(T(*word ^ sign));
  }
}

std::optional<Value> take_enumerator(const FieldDef& field, KeyReader& reader) {
  const auto number = take_number<std::int32_t>(reader);
  if (!number) return std::nullopt;
  const auto* name = field.enumeration->name_of(std::int32_t(number->as_int()));
  return name ? Value(*name) : *number;
}

std::optional<Value> take_boolean(KeyReader& reader) {
  std::byte byte{};
  if (!reader.take(byte) || std::to_integer<unsigned>(byte) > 1) return std::nullopt;
  return Value(byte == std::byte{1});
}

std::optional<Value> take_value(const FieldDef& field, KeyReader& reader) {
  switch (field.type) {
    case FieldType::int8:
      return take_number<std::int8_t>(reader);
    case FieldType::int16:
      return take_number<std::int16_t>(reader);
    case FieldType::int32:
    case FieldType::date:
      return take_number<std::int32_t>(reader);
    case FieldType::int64:
    case FieldType::time:
    case FieldType::datetime:
      return take_number<std::int64_t>(reader);
    case FieldType::uint8:
      return take_number<std::uint8_t>(reader);
    case FieldType::uint16:
      return take_number<std::uint16_t>(reader);
    case FieldType::uint32:
      return take_number<std::uint32_t>(reader);
    case FieldType::uint64:
    case FieldType::autoid:
      return take_number<std::uint64_t>(reader);
    case FieldType::float32:
      return take_number<float>(reader);
    case FieldType::float64:
      return take_number<double>(reader);
    case FieldType::boolean:
      return take_boolean(reader);
    case FieldType::enumeration:
      return take_enumerator(field, reader);
    default:
      break;
  }
  auto text = reader.take_text();
  if (!text) return std::nullopt;
  return field.type == FieldType::binary ? Value(std::move(*text)) : Value(as_text(*text));
}

std::optional<Value> take_part(const IndexPart& part, KeyReader& reader) {
  reader.set_descending(part.descending);
  if (part.nullable()) {
    std::byte mark{};
    if (!reader.take(mark) || std::to_integer<unsigned>(mark) > 1) return std::nullopt;
    if (mark == std::byte{0}) return Value();
  }
  return take_value(*part.place.field, reader);
}

}  // namespace

std::optional<ValueList> decode_key(const IndexDef& index, Bytes key) {
  KeyReader reader(key);
  ValueList values;
  for (const auto& part : index.parts) {
    if (reader.done()) return values;  // the leading parts alone: the bound of a range
    auto value = take_part(part, reader);
    if (!value) return std::nullopt;
    values.push_back(std::move(*value));
  }
  if (!reader.done()) return std::nullopt;
  return values;
}

std::string describe_key(const IndexDef& index, Bytes key) {
  const auto values = decode_key(index, key);
  if (!values) return Value(key).to_text();
  std::string text = "(";
  for (const auto& value : *values) text += (text.size() == 1 ? "" : ", ") + value.to_text();
  if (values->size() < index.parts.size()) text += text.size() == 1 ? "…" : ", …";
  return text + ")";
}

}  // namespace exdb
