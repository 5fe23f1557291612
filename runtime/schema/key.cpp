// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/key.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"
#include "schema/convert.hpp"

namespace exdb {
namespace {

// Marks in a key. A zero byte within a text becomes 00 FF and its end is 00 01, so that the end sorts
// before every continuation and no text is a prefix of another (K2). A length in front would be
// shorter but would sort short texts first.
constexpr std::byte null_mark{0};
constexpr std::byte value_mark{1};
constexpr std::byte zero{0};
constexpr std::byte zero_escape{0xFF};
constexpr std::byte text_end{1};

template <class Unsigned>
void put_big_endian(Unsigned value, KeyBytes& out) {
  if constexpr (sizeof value == 2) value = __builtin_bswap16(value);
  if constexpr (sizeof value == 4) value = __builtin_bswap32(value);
  if constexpr (sizeof value == 8) value = __builtin_bswap64(value);
  std::memcpy(out.extend(sizeof value), &value, sizeof value);
}

template <class T>
void put_number(const std::byte* at, KeyBytes& out) {
  T value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (std::is_floating_point_v<T>) {
    using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr auto sign = Word{1} << (sizeof(T) * 8 - 1);
    if (value == 0) value = 0;  // -0.0 equals 0.0, so it has the same key (K1)
    // IEEE numbers order as integers of sign and magnitude: negative ones are inverted as a whole,
    // the others get the sign bit set. NaN has no order; all of them are one key behind the rest, so
    // that a row with one can be found and removed again.
    auto word = std::bit_cast<Word>(value);
    word = (word & sign) != 0 ? Word(~word) : Word(word | sign);
    put_big_endian(value != value ? Word(~Word{0}) : word, out);
  } else {
    using Word = std::make_unsigned_t<T>;
    constexpr auto sign = std::is_signed_v<T> ? Word(Word{1} << (sizeof(T) * 8 - 1)) : Word{0};
    put_big_endian(Word(Word(value) ^ sign), out);  // the least number becomes all zeros
  }
}

void put_scalar(FieldType type, const std::byte* at, KeyBytes& out) {
  switch (storage_of(type)) {
    case FieldType::int8:
      return put_number<std::int8_t>(at, out);
    case FieldType::int16:
      return put_number<std::int16_t>(at, out);
    case FieldType::int32:
      return put_number<std::int32_t>(at, out);
    case FieldType::int64:
      return put_number<std::int64_t>(at, out);
    case FieldType::uint8:
    case FieldType::boolean:
      return put_number<std::uint8_t>(at, out);
    case FieldType::uint16:
      return put_number<std::uint16_t>(at, out);
    case FieldType::uint32:
      return put_number<std::uint32_t>(at, out);
    case FieldType::uint64:
      return put_number<std::uint64_t>(at, out);
    case FieldType::float32:
      return put_number<float>(at, out);
    case FieldType::float64:
      return put_number<double>(at, out);
    default:
      EXDB_ASSERT(false, "not a scalar type");
  }
}

[[noreturn]] void throw_too_long(const IndexDef& index, const IndexPart& part) {
  throw Error(ErrorCode::key_too_long,
              index.class_name + "." + part.path + ": the key in index " + index.name +
                  " of class " + index.class_name + " would be longer than " +
                  std::to_string(key_bytes_limit) + " bytes: index a shorter field");
}

/// Writes one key part by part behind what `out` holds already.
class KeyWriter {
 public:
  KeyWriter(const IndexDef& index, KeyBytes& out) : index_(index), out_(out), begin_(out.size()) {}

  /// What every part begins with; false for null, behind which nothing follows.
  bool begin(const IndexPart& part, bool has_value) {
    part_begin_ = out_.size();
    if (part.nullable()) out_.push_back(has_value ? value_mark : null_mark);
    return has_value;
  }

  void end(const IndexPart& part) {
    // All bytes inverted, marks too: memcmp then orders the part backwards, nulls last.
    if (part.descending)
      for (auto i = part_begin_; i < out_.size(); ++i) out_.data()[i] = ~out_.data()[i];
    if (out_.size() - begin_ <= key_bytes_limit) return;
    out_.truncate(begin_);
    throw_too_long(index_, part);
  }

  /// `terminated` = the whole text; without it the bytes stand for all texts that begin so.
  void put_text(const IndexPart& part, Bytes text, bool terminated) {
    if (text.size() > key_bytes_limit) {  // before anything is copied
      out_.truncate(begin_);
      throw_too_long(index_, part);
    }
    for (auto rest = text; !rest.empty();) {
      const auto length = std::size_t(std::find(rest.begin(), rest.end(), zero) - rest.begin());
      out_.append(rest.first(length));
      if (length == rest.size()) break;
      out_.push_back(zero);
      out_.push_back(zero_escape);
      rest = rest.subspan(length + 1);
    }
    if (!terminated) return;
    out_.push_back(zero);
    out_.push_back(text_end);
  }

 private:
  const IndexDef& index_;
  KeyBytes& out_;
  std::size_t begin_;
  std::size_t part_begin_ = 0;
};

Bytes text_of(const RowView& row, const IndexPart& part) {
  const auto& field = *part.place.field;
  return field.type == FieldType::binary ? row.bytes_at(field, part.place.offset)
                                         : as_bytes(row.text_at(field, part.place.offset));
}

void append_value(const IndexDef& index, const IndexPart& part, const Value& value,
                  const Where& where, KeyWriter& writer, KeyBytes& out) {
  const auto& field = *part.place.field;
  if (value.is_null() && !part.nullable()) throw_misfit(where, "null", field);
  if (writer.begin(part, !value.is_null())) {
    if (is_scalar(field.type)) {
      std::array<std::byte, 8> scalar;
      convert_scalar(field, value, scalar.data(), where);
      put_scalar(field.type, scalar.data(), out);
    } else {
      const auto text = convert_bytes(field, value, where);
      if (field.length > key_bytes_limit && field.type == FieldType::binary)
        throw_too_long(index, part);
      // As the row stores it: a search for a shorter value must meet the padded one.
      ByteString padded;
      if (field.type == FieldType::binary) {
        padded.assign(text.begin(), text.end());
        padded.resize(field.length);
      }
      writer.put_text(part, field.type == FieldType::binary ? Bytes(padded) : text, true);
    }
  }
  writer.end(part);
}

void check_count(const IndexDef& index, std::size_t count) {
  if (count <= index.parts.size()) return;
  std::string parts;
  for (const auto& part : index.parts) parts += (parts.empty() ? "" : ", ") + part.path;
  throw Error(ErrorCode::conversion, "a key of " + std::to_string(count) + " values for index " +
                                         index.name + " of class " + index.class_name +
                                         ", which has " + std::to_string(index.parts.size()) +
                                         " parts (" + parts + ")");
}

/// All values but a last one that is a prefix, if any.
void write_values(const IndexDef& index, std::span<const Value> values, KeyWriter& writer,
                  KeyBytes& out) {
  const Where owner{nullptr, index.class_name};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& part = index.parts[i];
    append_value(index, part, values[i], Where{&owner, part.path}, writer, out);
  }
}

}  // namespace

void KeyBytes::grow(std::size_t needed) {
  const auto capacity = std::max(needed, capacity_ * 2);
  auto bigger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  std::memcpy(bigger.get(), data(), size_);
  heap_ = std::move(bigger);
  capacity_ = capacity;
}

void KeyBytes::take(KeyBytes& other) noexcept {
  size_ = other.size_;
  capacity_ = other.capacity_;
  heap_ = std::move(other.heap_);
  if (!heap_) std::memcpy(inline_.data(), other.inline_.data(), size_);
  other.size_ = 0;
  other.capacity_ = other.inline_.size();
}

void append_key(const IndexDef& index, const RowView& row, KeyBytes& out) {
  KeyWriter writer(index, out);
  for (const auto& part : index.parts) {
    const auto& field = *part.place.field;
    if (writer.begin(part, row.present(part.place.presence))) {
      if (is_scalar(field.type)) {
        put_scalar(field.type, row.bytes().data() + part.place.offset, out);
      } else {
        writer.put_text(part, text_of(row, part), true);
      }
    }
    writer.end(part);
  }
}

std::size_t key_size(const IndexDef& index, const RowView& row) {
  std::size_t size = 0;
  for (const auto& part : index.parts) {
    const auto& field = *part.place.field;
    if (part.nullable()) ++size;
    if (!row.present(part.place.presence)) continue;
    if (is_scalar(field.type)) {
      size += size_of(field.type);
    } else {
      const auto text = text_of(row, part);
      size += text.size() + std::size_t(std::count(text.begin(), text.end(), zero)) + 2;
    }
  }
  return size;
}

void make_key(const IndexDef& index, std::span<const Value> values, KeyBytes& out) {
  check_count(index, values.size());
  out.clear();
  KeyWriter writer(index, out);
  write_values(index, values, writer, out);
}

KeyBytes key_successor(Bytes key) {
  // FF cannot be counted up: what follows all keys that begin so follows those of the shorter
  // beginning. An empty result means that nothing follows.
  while (!key.empty() && key.back() == std::byte{0xFF}) key = key.first(key.size() - 1);
  KeyBytes next(key);
  if (!next.empty()) {
    auto& last = next.data()[next.size() - 1];
    last = std::byte(std::to_integer<unsigned>(last) + 1);
  }
  return next;
}

KeyRange prefix_range(const IndexDef& index, std::span<const Value> values) {
  check_count(index, values.size());
  const auto* part = values.empty() ? nullptr : &index.parts[values.size() - 1];
  if (part == nullptr || is_scalar(part->place.field->type))
    throw Error(ErrorCode::conversion,
                "a prefix search in index " + index.name + " of class " + index.class_name +
                    " needs the beginning of a text as its last value" +
                    (part ? ", and " + part->path + " is " + part->place.field->type_text() : ""));
  KeyRange range;
  KeyWriter writer(index, range.low);
  write_values(index, values.first(values.size() - 1), writer, range.low);
  const Where owner{nullptr, index.class_name};
  const auto text = convert_bytes(*part->place.field, values.back(), Where{&owner, part->path});
  writer.begin(*part, true);
  writer.put_text(*part, text, false);
  writer.end(*part);
  range.high = key_successor(range.low);
  return range;
}

}  // namespace exdb
