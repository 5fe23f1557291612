// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Puts a Dictionary together: what the parser has read and checked is laid out, numbered and
// described in canonical text. Knows nothing of source positions; what it refuses it refuses by a
// return value, the parser says where.
//
// Threads: one.
// Failure: see each function; a builder that refused something is thrown away.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "exdb/schema.hpp"

namespace exdb {

/// Bounds on the fixed part of a record, and on structs within structs: what a row walker may take
/// for granted.
inline constexpr std::uint64_t record_bytes_max = std::uint64_t{16} << 20;
inline constexpr unsigned struct_nesting_max = 32;

class DictionaryBuilder {
 public:
  DictionaryBuilder() : dictionary_(new Dictionary) {}

  [[nodiscard]] const Dictionary& dictionary() const { return *dictionary_; }
  [[nodiscard]] const EnumDef* find_enum(std::string_view name) const;
  [[nodiscard]] const RecordDef* find_struct(std::string_view name) const;
  [[nodiscard]] bool is_type(std::string_view name) const;

  void set_name(std::string_view name) { dictionary_->name_ = name; }
  void add_enum(EnumDef definition) { dictionary_->enums_.push_back(std::move(definition)); }
  /// False when the record is beyond record_bytes_max or struct_nesting_max.
  [[nodiscard]] bool add_struct(RecordDef definition);
  /// False as add_struct. Indexes come after, by add_index.
  [[nodiscard]] bool add_class(ClassDef definition);
  /// To the class added last. `index` has all but its ids and its bound.
  void add_index(IndexDef index);
  /// The field that holds the id in the class added last.
  void bind_autoid(const FieldDef& field) { dictionary_->classes_.back().autoid = &field; }

  std::shared_ptr<const Dictionary> finish();

 private:
  std::unique_ptr<Dictionary> dictionary_;
};

/// Canonical DDL of a complete dictionary.
std::string canonical_text(const Dictionary& dictionary, const std::deque<EnumDef>& enums,
                           const std::deque<RecordDef>& structs);

}  // namespace exdb
