// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the storage asks of an index again and again, prepared once from its definition: its
// structure, the key of a row, and whether a row carries a key. An index over one integer that is
// always there (most primary keys) needs no key to be built for any of these: one load and one
// comparison.
//
// Invariants
//   I1  carries(row, key) <=> the bytes that append_key writes for the row are those of `key`.
// Threads: immutable.
#pragma once
#include <optional>

#include "schema/key.hpp"

namespace exdb {

/// What holds the entries of an index.
enum class IndexForm : std::uint8_t {
  none,            ///< list: the slots themselves
  hash,            ///< unique hash, autoid: HashIndex
  ordered_hashes,  ///< non-unique hash: OrderedIndex over the 8 bytes of the hash
  ordered          ///< tree: OrderedIndex over the key
};

class IndexKeys {
 public:
  IndexKeys(const Dictionary& dictionary, IndexId id);

  [[nodiscard]] const IndexDef& definition() const { return *index_; }
  [[nodiscard]] IndexForm form() const { return form_; }

  /// Sets `out` to the key of the row.
  void key_of(Bytes row, KeyBytes& out) const;
  /// The integer that is the key, zero-extended; none for another kind of key.
  [[nodiscard]] std::optional<std::uint64_t> integer_of(Bytes row) const {
    if (width_ == 0) return std::nullopt;
    return load(row);
  }
  /// Whether the key's fields are certainly equal in both rows, by their bytes in the fixed part.
  [[nodiscard]] bool unchanged(Bytes before, Bytes after) const;

  /// Asks many rows for one key.
  class Matcher {
   public:
    Matcher(const IndexKeys& keys, Bytes key) : keys_(keys), key_(key) {
      if (keys.width_ == 0) return;
      // A key of another length (the leading part of nothing) is carried by no row.
      possible_ = key.size() == keys.width_;
      if (!possible_) return;
      const auto big_endian = keys.load_at(key.data());
      word_ = (__builtin_bswap64(big_endian) >> (64 - 8 * keys.width_)) ^ keys.flip_;
    }
    /// The key as integer_of() gives it for the rows that carry it; none for another kind of key.
    [[nodiscard]] std::optional<std::uint64_t> integer() const {
      if (keys_.width_ == 0 || !possible_) return std::nullopt;
      return word_;
    }
    [[nodiscard]] bool operator()(Bytes row) const {
      if (keys_.width_ == 0) return compare(row);
      return possible_ && keys_.load(row) == word_;
    }

   private:
    [[nodiscard]] bool compare(Bytes row) const;
    const IndexKeys& keys_;
    Bytes key_;
    std::uint64_t word_ = 0;
    bool possible_ = true;
  };

 private:
  struct Range {  // of the fixed part
    std::uint32_t offset, bytes;
  };

  /// The integer field; width_ bytes of it.
  [[nodiscard]] std::uint64_t load(Bytes row) const { return load_at(row.data() + offset_); }
  /// width_ bytes, as this machine reads them.
  [[nodiscard]] std::uint64_t load_at(const std::byte* at) const {
    switch (width_) {
      case 8:
        return load_as<std::uint64_t>(at);
      case 4:
        return load_as<std::uint32_t>(at);
      case 2:
        return load_as<std::uint16_t>(at);
      default:
        return load_as<std::uint8_t>(at);
    }
  }
  template <class T>
  static std::uint64_t load_as(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  const IndexDef* index_;
  const ClassDef* class_;
  IndexForm form_;
  unsigned width_ = 0;  ///< of the one integer that is the key; 0 = another kind of key
  std::uint32_t offset_ = 0;
  std::uint64_t flip_ = 0;  ///< key, as a big-endian number, = field ^ flip_
  bool fixed_ = true;       ///< all parts lie in the fixed part, in ranges_
  std::vector<Range> ranges_;
};

}  // namespace exdb
