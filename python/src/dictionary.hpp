// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Dictionary as Python sees it: mappings of classes and indexes, and per class a table from
// attribute names to places in the row, made once, so that reading an attribute is one look-up by
// pointer and one load.
//
// Invariants
//   I1  Names in a table are interned strings: an attribute name that is interned, as every one in
//       source text is, is found by its address.
//   I2  Tables and handles live as long as their DictionaryHandle; what Python holds of them holds
//       it.
// Threads: filled at the start, then only read; Python objects in it need the GIL.
#pragma once
#include <pybind11/pybind11.h>

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "exdb/schema.hpp"

namespace exdb::python {

struct RecordTable;

/// How a field is read; decided once.
enum class Shape : std::uint8_t {
  scalar,      ///< one machine value, text, bytes or enumerator
  structure,   ///< a struct at a fixed place: a proxy
  numbers,     ///< array or vector of scalars: a NumPy view
  items,       ///< array or vector of text or bytes: a tuple
  structures,  ///< array or vector of structs: a tuple of proxies
};

/// Number to member of the IntEnum made for an enum of the schema.
struct EnumTable {
  pybind11::object type;
  std::unordered_map<std::int32_t, pybind11::object> members;
};

struct FieldEntry {
  const FieldDef* field = nullptr;
  pybind11::str name;  ///< interned
  std::string path;    ///< from the class; within elements of an array or vector from the element
  std::uint32_t offset = 0;  ///< from the start of the row; no meaning within elements
  std::int64_t presence = -1;
  Shape shape = Shape::scalar;
  bool top_level = false;
  const EnumTable* enumeration = nullptr;
  const RecordTable* record = nullptr;  ///< of a struct, or of the elements
};

/// The fields of a class or struct at one place.
struct RecordTable {
  const RecordDef* record = nullptr;
  std::vector<FieldEntry> entries;

  /// Null when there is no such field. `name` is any str.
  [[nodiscard]] const FieldEntry* find(PyObject* name) const;
  [[nodiscard]] const FieldEntry* find(std::string_view name) const;
  void index();

 private:
  std::vector<const FieldEntry*> slots_;  // open addressing by address, at most half full
};

class DictionaryHandle;

struct ClassHandle {
  const ClassDef* definition = nullptr;
  const RecordTable* table = nullptr;
  const DictionaryHandle* dictionary = nullptr;
};

struct IndexHandle {
  const IndexDef* definition = nullptr;
  const ClassHandle* owner_class = nullptr;
  std::vector<const EnumTable*> enumerations;  ///< one a part; null where it is no enum
};

class DictionaryHandle : public std::enable_shared_from_this<DictionaryHandle> {
 public:
  static std::shared_ptr<DictionaryHandle> parse(const std::string& text);

  [[nodiscard]] const std::shared_ptr<const Dictionary>& dictionary() const { return dictionary_; }
  [[nodiscard]] const ClassHandle& class_of(ClassId id) const { return classes_[id.value]; }
  /// A class by name or by object; throws an Error that names the classes there are.
  [[nodiscard]] const ClassHandle& resolve_class(pybind11::handle which) const;
  /// An index of the class, by name or by object.
  [[nodiscard]] const IndexHandle& resolve_index(const ClassHandle& owner,
                                                 pybind11::handle which) const;
  [[nodiscard]] const EnumTable* table_of(const EnumDef* definition);

  /// By name; what is in them keeps this alive.
  [[nodiscard]] pybind11::dict classes() const;
  [[nodiscard]] pybind11::dict enumerations() const;
  [[nodiscard]] pybind11::dict indexes_of(ClassId id) const;

 private:
  void build();
  const RecordTable* make_table(const RecordDef& record, std::uint32_t offset,
                                std::int64_t presence, const std::string& prefix, bool fixed);

  std::shared_ptr<const Dictionary> dictionary_;
  std::deque<RecordTable> tables_;
  std::unordered_map<const EnumDef*, EnumTable> enums_;
  std::deque<ClassHandle> classes_;
  std::deque<IndexHandle> indexes_;
};

void bind_dictionary(pybind11::module_& module);

}  // namespace exdb::python
