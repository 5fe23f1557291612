// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The schema: what a DDL text declares, checked and laid out. A Dictionary is built once from text
// and never changes; everything below it (rows, keys, storage, the wire) is driven by the
// definitions found here.
//
// Invariants
//   S1  Definitions are immutable and live as long as their Dictionary; pointers between them stay
//       valid so long.
//   S2  classes()[i].id == i and indexes()[i].id == i: both ids are plain positions.
//   S3  Every offset is relative to the start of its record; a field lies within [0, record.size)
//       at its alignment.
//   S4  Two texts that differ only in comments, white space, #define names or spelling of types
//       (int4, signed<4>) have the same to_text() and the same hash().
// Threads: immutable, so shared by any number of threads.
// Failure: parse() gives a Status with code `schema`; lookups by a name that does not exist throw
//   Error or give null.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "exdb/errors.hpp"
#include "exdb/types.hpp"

namespace exdb {

enum class FieldType : std::uint8_t {
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float32,
  float64,
  boolean,      ///< one byte, 0 or 1
  date,         ///< int32: days since 1970-01-01
  time,         ///< int64: nanoseconds since midnight, 0 .. 86,399,999,999,999
  datetime,     ///< int64: nanoseconds since 1970-01-01 00:00 UTC
  enumeration,  ///< int32: one of its enumerators
  autoid,       ///< uint64: the id of an object; 0 = none
  chars,   ///< char<n>: at most n bytes of UTF-8, stored padded with zeros, read without trailing
           ///< zeros
  binary,  ///< binary<n>: n bytes; a shorter value is padded with zeros
  string,  ///< UTF-8 of any length
  blob,    ///< bytes of any length (varbinary, blob)
  structure,
};

/// As the schema language spells it, without a length: "signed<4>", "string", "struct".
std::string_view name_of(FieldType type);
/// Fixed-size machine values (int8 … autoid): what vectors and arrays of show as contiguous
/// elements without a copy.
constexpr bool is_scalar(FieldType type) { return type <= FieldType::autoid; }
/// The machine type that holds it: date -> int32, datetime -> int64, autoid -> uint64, … ; only for
/// is_scalar types.
FieldType storage_of(FieldType type);
/// Bytes of one value of a scalar type (1, 2, 4 or 8).
std::uint32_t size_of(FieldType type);

struct RecordDef;

struct EnumDef {
  std::string name;
  std::vector<std::pair<std::string, std::int32_t>> values;  ///< in declaration order

  [[nodiscard]] const std::int32_t* find(std::string_view enumerator) const;
  /// The first enumerator with this number, or null.
  [[nodiscard]] const std::string* name_of(std::int32_t number) const;
};

struct FieldDef {
  std::string name;
  FieldType type = FieldType::int32;
  bool is_vector = false;          ///< vector<T> name
  bool nullable = false;           ///< nullable T name
  bool optional = false;           ///< optional STRUCT name
  bool implicit = false;           ///< not declared: the `autoid` of a class with an autoid index
  std::uint32_t length = 0;        ///< n of char<n> and binary<n>
  std::uint32_t array_length = 0;  ///< n of T name[n]; 0 = not an array
  const EnumDef* enumeration = nullptr;  ///< type enumeration
  const RecordDef* record = nullptr;     ///< type structure
  std::uint32_t offset = 0;              ///< from the start of its record
  std::uint32_t element_size = 0;  ///< of one value, array element or vector element, in bytes
  std::uint32_t element_alignment = 1;
  std::int32_t presence_bit =
      -1;  ///< bit in the bitmap of its record, 1 = has a value; -1 = always has one

  [[nodiscard]] bool is_array() const { return array_length != 0; }
  [[nodiscard]] bool is_single() const { return !is_vector && array_length == 0; }
  /// Its bytes (or its elements') are in the tail of the row.
  [[nodiscard]] bool is_reference() const {
    return is_vector || type == FieldType::string || type == FieldType::blob;
  }
  /// The type as the schema language spells it: "vector<signed<4>>", "char<8>[3]", "nullable date".
  [[nodiscard]] std::string type_text() const;
};

/// The fields of a class or of a struct with their layout. The bitmap of presence bits is at offset
/// 0.
struct RecordDef {
  std::string name;
  std::vector<FieldDef> fields;  ///< in declaration order
  std::uint32_t size = 0;        ///< of the fixed part, a multiple of alignment
  std::uint32_t alignment = 1;
  std::uint32_t presence_bits = 0;
  std::uint32_t nesting = 1;    ///< levels of records within it, itself included
  bool has_references = false;  ///< some field, at any depth, has bytes in the tail
  std::vector<std::byte>
      defaults;  ///< the fixed part of a new record: zeros, nulls, first enumerators

  /// Null when there is none.
  [[nodiscard]] const FieldDef* find(std::string_view field_name) const;
  /// Throws Error 803 that names the record, the field and the fields there are.
  [[nodiscard]] const FieldDef& at(std::string_view field_name) const;
};

/// A field at a place that is the same in every row of its class: top level or within (optional)
/// structs.
struct FieldPlace {
  const FieldDef* field = nullptr;
  std::uint32_t offset = 0;  ///< from the start of the row
  /// Bit (from the start of the row) that says whether there is a value: the field's own, else that
  /// of the innermost optional struct around it; -1 = always. (One is enough: what is absent is all
  /// zero, its own bitmap included.)
  std::int64_t presence = -1;
};

enum class IndexKind : std::uint8_t { tree, hash, list, autoid };
std::string_view name_of(IndexKind kind);

struct IndexPart {
  std::string path;  ///< "origin.airport"
  FieldPlace place;
  bool descending = false;
  [[nodiscard]] bool nullable() const { return place.presence >= 0; }
};

struct IndexDef {
  IndexId id;
  ClassId class_id;
  std::string class_name;
  std::string name;
  IndexKind kind = IndexKind::tree;
  bool unique = false;
  std::vector<IndexPart> parts;  ///< none for a list; the id for an autoid index
  std::uint64_t size_hint = 0;   ///< n of NAME[n]; 0 = none given
  /// No key is longer than this; 0 = no such bound (a string, a long char<n>): each key must be
  /// measured.
  std::uint32_t key_bytes_max = 0;
  [[nodiscard]] bool ordered() const { return kind == IndexKind::tree; }
};

/// Typed access to one field of one class; made by ClassDef::field<T>, which checks T once. T is
/// the exact machine type (std::int32_t for signed<4>, date and enums, bool, double, …),
/// std::string_view (string, char<n>), std::span<const std::byte> (binary<n>, blob) or
/// std::span<const U> (array or vector of the scalar U).
template <class T>
class Field {
 public:
  [[nodiscard]] const FieldPlace& place() const { return place_; }
  [[nodiscard]] std::uint32_t offset() const { return place_.offset; }
  [[nodiscard]] std::int64_t presence() const { return place_.presence; }
  /// Bytes inline in the fixed part; 0 = the fixed part holds a reference into the tail.
  [[nodiscard]] std::uint32_t inline_bytes() const { return inline_bytes_; }

 private:
  friend class ClassDef;
  FieldPlace place_;
  std::uint32_t inline_bytes_ = 0;
};

namespace detail {
template <class T>
struct HandleOf;  // which storage a C++ type stands for; undefined for types that no field has
template <FieldType type>
struct ScalarHandle {
  static constexpr FieldType storage = type;
  static constexpr bool single = true;
};
template <>
struct HandleOf<std::int8_t> : ScalarHandle<FieldType::int8> {};
template <>
struct HandleOf<std::int16_t> : ScalarHandle<FieldType::int16> {};
template <>
struct HandleOf<std::int32_t> : ScalarHandle<FieldType::int32> {};
template <>
struct HandleOf<std::int64_t> : ScalarHandle<FieldType::int64> {};
template <>
struct HandleOf<std::uint8_t> : ScalarHandle<FieldType::uint8> {};
template <>
struct HandleOf<std::uint16_t> : ScalarHandle<FieldType::uint16> {};
template <>
struct HandleOf<std::uint32_t> : ScalarHandle<FieldType::uint32> {};
template <>
struct HandleOf<std::uint64_t> : ScalarHandle<FieldType::uint64> {};
template <>
struct HandleOf<float> : ScalarHandle<FieldType::float32> {};
template <>
struct HandleOf<double> : ScalarHandle<FieldType::float64> {};
template <>
struct HandleOf<bool> : ScalarHandle<FieldType::boolean> {};
template <>
struct HandleOf<std::string_view> : ScalarHandle<FieldType::string> {};
template <>
struct HandleOf<std::span<const std::byte>> : ScalarHandle<FieldType::blob> {};
template <class U>
struct HandleOf<std::span<const U>> {
  static constexpr FieldType storage = HandleOf<U>::storage;
  static constexpr bool single = false;
};
}  // namespace detail

class ClassDef {
 public:
  ClassId id;
  std::string name;
  bool local = false;       ///< never replicated
  bool persistent = false;  ///< declared `persistent`
  bool transient = false;   ///< declared `transient`; neither = as the database is opened
  RecordDef record;         ///< fields and layout; record.size is the size of a row's fixed part
  std::vector<IndexId> indexes;  ///< in declaration order
  const FieldDef* autoid =
      nullptr;  ///< the field that holds the object's own id, given by the database; or null

  [[nodiscard]] std::span<const FieldDef> fields() const { return record.fields; }
  [[nodiscard]] const FieldDef* find_field(std::string_view field_name) const {
    return record.find(field_name);
  }
  /// "month" or "origin.airport" to its place. Throws Error 803 for a name that does not exist or a
  /// path through an array or a vector.
  [[nodiscard]] FieldPlace locate(std::string_view path) const;

  /// Throws Error 803 as locate(), Error 99 when the field is not a T.
  template <class T>
  [[nodiscard]] Field<T> field(std::string_view path) const {
    using Handle = detail::HandleOf<T>;
    Field<T> handle;
    handle.place_ = locate(path);
    handle.inline_bytes_ = check_handle(handle.place_, path, Handle::storage, Handle::single);
    return handle;
  }

 private:
  std::uint32_t check_handle(const FieldPlace& place, std::string_view path, FieldType storage,
                             bool single) const;
};

class Dictionary {
 public:
  /// Parses DDL text. A failure has code `schema` and the text "line L, column C: expected …, found
  /// …".
  static Result<std::shared_ptr<const Dictionary>> parse(std::string_view ddl_text);

  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary();

  /// The NAME of `declare database NAME;`, empty when not declared.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::span<const ClassDef> classes() const { return classes_; }
  [[nodiscard]] std::span<const IndexDef> indexes() const { return indexes_; }
  /// Precondition: the id is one of this dictionary's.
  [[nodiscard]] const ClassDef& class_of(ClassId id) const { return classes_[id.value]; }
  [[nodiscard]] const IndexDef& index_of(IndexId id) const { return indexes_[id.value]; }
  /// Null when there is none.
  [[nodiscard]] const ClassDef* find_class(std::string_view class_name) const;
  [[nodiscard]] const IndexDef* find_index(ClassId owner, std::string_view index_name) const;
  /// Of the canonical description: equal on nodes that may form one cluster.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  /// Canonical DDL: parses to an equal Dictionary.
  [[nodiscard]] const std::string& to_text() const { return text_; }

 private:
  friend class DictionaryBuilder;
  Dictionary();

  std::string name_;
  std::deque<EnumDef> enums_;  // deques: definitions point at each other while more are added
  std::deque<RecordDef> structs_;
  std::vector<ClassDef> classes_;
  std::vector<IndexDef> indexes_;
  std::string text_;
  std::uint64_t hash_ = 0;
};

}  // namespace exdb
