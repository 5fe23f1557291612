// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Index keys as byte strings whose memcmp order is the order of the index, so that no index ever
// needs a comparator.
//
// Encoding of a key: its parts one after the other. A part that can be null starts with 00 (null,
// nothing follows) or 01. Then: unsigned big-endian; signed the same with the sign bit flipped;
// floats by the sign trick, -0.0 as 0.0, one NaN above all; boolean one byte; strings, char<n>,
// binary<n> and blobs with 00 written as 00 FF and 00 01 at the end. A descending part has every
// byte of that inverted.
//
// Invariants
//   K1  a < b as tuples of values  <=>  memcmp order of their keys; equal values <=> equal bytes.
//   K2  No key is a proper prefix of another key of the same index with the same number of parts.
//   K3  The key of the first k parts is a prefix of exactly the keys that begin with those k
//       values.
//   K4  No key is longer than key_bytes_limit.
// A null is a value like another: nulls are equal to each other and come first (last when
// descending).
// Threads: pure functions.
// Failure: Error 1010 beyond K4 (never for rows that passed validate_row), Error 99 for a search
//   value that does not fit its field.
#pragma once
#include <array>
#include <compare>
#include <cstring>
#include <memory>

#include "schema/row.hpp"

namespace exdb {

inline constexpr std::size_t key_bytes_limit = 1024;

/// A byte vector that holds up to 32 bytes in place: a key of a few integers never allocates, and
/// clear() keeps what was allocated.
class KeyBytes {
 public:
  KeyBytes() = default;
  explicit KeyBytes(Bytes bytes) { append(bytes); }
  KeyBytes(const KeyBytes& other) { append(other); }
  KeyBytes(KeyBytes&& other) noexcept { take(other); }
  KeyBytes& operator=(const KeyBytes& other) {
    if (this != &other) clear(), append(other);
    return *this;
  }
  KeyBytes& operator=(KeyBytes&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }

  [[nodiscard]] const std::byte* data() const { return heap_ ? heap_.get() : inline_.data(); }
  [[nodiscard]] std::byte* data() { return heap_ ? heap_.get() : inline_.data(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] Bytes bytes() const { return {data(), size_}; }
  operator Bytes() const { return bytes(); }

  void clear() { size_ = 0; }
  /// Only ever shortens.
  void truncate(std::size_t size) { size_ = size < size_ ? size : size_; }
  void push_back(std::byte byte) { *extend(1) = byte; }
  void append(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }
  /// Makes room for `count` more bytes and gives the place to write them.
  std::byte* extend(std::size_t count) {
    if (size_ + count > capacity_) grow(size_ + count);
    auto* at = data() + size_;
    size_ += count;
    return at;
  }

  bool operator==(const KeyBytes& other) const { return (*this <=> other) == 0; }
  std::strong_ordering operator<=>(const KeyBytes& other) const;

 private:
  void grow(std::size_t needed);
  void take(KeyBytes& other) noexcept;

  std::size_t size_ = 0;
  std::size_t capacity_ = 32;
  std::array<std::byte, 32> inline_;
  std::unique_ptr<std::byte[]> heap_;
};

/// memcmp, the shorter first.
inline std::strong_ordering compare_keys(Bytes a, Bytes b) {
  const auto common = a.size() < b.size() ? a.size() : b.size();
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  return order != 0 ? order <=> 0 : a.size() <=> b.size();
}
inline std::strong_ordering KeyBytes::operator<=>(const KeyBytes& other) const {
  return compare_keys(*this, other);
}

/// Appends the key that this index has for this row. Nothing for a list.
void append_key(const IndexDef& index, const RowView& row, KeyBytes& out);
/// Bytes that append_key would write, without the limit.
std::size_t key_size(const IndexDef& index, const RowView& row);

/// Sets `out` to the key of these values, one a part; fewer values than parts make a prefix (K3).
/// Values are checked as by RowBuilder::set; an integer beyond the field's range is an error, not a
/// search that finds nothing.
void make_key(const IndexDef& index, std::span<const Value> values, KeyBytes& out);

/// "(2013, 'UA', 1545)" for messages; bytes that are no key of this index show as hexadecimal.
std::string describe_key(const IndexDef& index, Bytes key);
/// The values of the parts, for tests and messages; fewer for a prefix. Nothing when the bytes are
/// no key.
std::optional<ValueList> decode_key(const IndexDef& index, Bytes key);

/// The least byte string above every key that starts with `key`; empty = there is none (no upper
/// bound).
KeyBytes key_successor(Bytes key);

/// Keys in [low, high); an empty `high` = no upper bound.
struct KeyRange {
  KeyBytes low;
  KeyBytes high;
};
/// The keys whose leading parts equal all values but the last, and whose next part (string,
/// char<n>, binary<n> or blob) starts with the last value. Throws Error 99 when that part is no
/// text or bytes, or there is no value.
KeyRange prefix_range(const IndexDef& index, std::span<const Value> values);

}  // namespace exdb
