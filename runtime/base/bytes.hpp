// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Writing and reading of little-endian byte strings: the one way in which anything is laid out that
// leaves the process. A reader never reads past its end: it goes into a failed state instead, which
// the caller asks for once.
//
// Threads: none of these types is shared between threads.
#pragma once
#include <bit>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/types.hpp"

namespace exdb {

static_assert(std::endian::native == std::endian::little,
              "exdb's frames and rows are little-endian; so must the host be");

inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Makes it empty, and gives its memory back if that is more than `bytes_kept`. (An assignment of {}
/// is one of an empty list, and keeps all memory.)
template <class T>
void empty_keeping(std::vector<T>& of, std::size_t bytes_kept) {
  if (of.capacity() * sizeof(T) > bytes_kept) std::vector<T>().swap(of);
  of.clear();
}

/// Bytes that put_varint() writes.
constexpr std::size_t varint_bytes(std::uint64_t value) {
  return (std::size_t(std::bit_width(value | 1)) + 6) / 7;
}

/// Appends to a byte vector it does not own.
class ByteWriter {
 public:
  explicit ByteWriter(std::vector<std::byte>& out) : out_(out) {}

  template <class T>
  requires std::is_arithmetic_v<T>
  void put(T value) {
    const auto at = out_.size();
    out_.resize(at + sizeof(T));
    std::memcpy(out_.data() + at, &value, sizeof(T));
  }

  /// Unsigned LEB128: 1 byte below 128, at most 10.
  void put_varint(std::uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(std::byte(value | 0x80));
      value >>= 7;
    }
    out_.push_back(std::byte(value));
  }

  void put_raw(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  /// Length as a varint, then the bytes.
  void put_bytes(Bytes bytes) {
    put_varint(bytes.size());
    put_raw(bytes);
  }

  void put_text(std::string_view text) { put_bytes(as_bytes(text)); }

  /// Overwrites bytes written before; `at` + sizeof(T) must lie within them.
  template <class T>
  requires std::is_arithmetic_v<T>
  void patch(std::size_t at, T value) { std::memcpy(out_.data() + at, &value, sizeof(T)); }

  [[nodiscard]] std::size_t size() const { return out_.size(); }

 private:
  std::vector<std::byte>& out_;
};

/// Reads a byte span it does not own. After a read past the end every read gives zero or an empty
/// span and ok() is false.
class ByteReader {
 public:
  explicit ByteReader(Bytes in) : in_(in) {}

  template <class T>
  requires std::is_arithmetic_v<T> T get() {
    T value{};
    if (!need(sizeof(T))) return value;
    std::memcpy(&value, in_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::uint64_t get_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (!need(1)) return 0;
      const auto byte = std::to_integer<std::uint64_t>(in_[at_++]);
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }

  Bytes get_raw(std::size_t length) {
    if (!need(length)) return {};
    const auto bytes = in_.subspan(at_, length);
    at_ += length;
    return bytes;
  }

  /// A view into the input: valid as long as the input is.
  Bytes get_bytes() {
    const auto length = get_varint();
    return failed_ || length > remaining() ? fail() : get_raw(static_cast<std::size_t>(length));
  }

  std::string_view get_text() { return as_text(get_bytes()); }

  [[nodiscard]] bool ok() const { return !failed_; }
  [[nodiscard]] std::size_t remaining() const { return in_.size() - at_; }
  [[nodiscard]] std::size_t position() const { return at_; }

 private:
  bool need(std::size_t length) {
    if (failed_ || length > in_.size() - at_) failed_ = true;
    return !failed_;
  }
  Bytes fail() {
    failed_ = true;
    return {};
  }

  Bytes in_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace exdb
