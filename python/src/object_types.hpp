// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The memory of Object and Struct, for the files that make up these two types.
#pragma once
#include <pybind11/pybind11.h>

#include <string>

#include "handles.hpp"
#include "object.hpp"

namespace exdb::python {

struct ObjectBody {
  PyObject_HEAD Object row;
  std::shared_ptr<ConnectionHandle> connection;
  const RecordTable* table;

  static constexpr const char* kind = "";
  [[nodiscard]] PyObject* read(const FieldEntry& entry) const;
  void write(const FieldEntry& entry, pybind11::handle value);
  [[nodiscard]] bool valid() const { return row.valid(); }
  [[nodiscard]] ValueRecord values() const;
};

struct StructBody {
  PyObject_HEAD ObjectBody* owner;  // a reference is held
  const RecordTable* table;
  std::string prefix;  // empty at a fixed place; else the path to the element, with its dot

  static constexpr const char* kind = "struct ";
  [[nodiscard]] PyObject* read(const FieldEntry& entry) const;
  void write(const FieldEntry& entry, pybind11::handle value);
  [[nodiscard]] bool valid() const { return owner->row.valid(); }
  [[nodiscard]] ValueRecord values() const;
};

pybind11::object make_struct(PyObject* owner, const RecordTable& table, std::string prefix);

extern PyTypeObject* object_type;
extern PyTypeObject* struct_type;

/// Why there is no such attribute: sets UnknownFieldError that names the fields there are, unless
/// the name is one of Python's own (__array__, …), which is asked for by the dozen.
void set_unknown_field(const RecordTable& table, PyObject* name);

/// The names that dir() gives for the type itself.
pybind11::list list_type_names(PyTypeObject* type);

/// Ready-made types cannot be called to make an instance.
#if PY_VERSION_HEX >= 0x030A0000
constexpr unsigned no_constructor = Py_TPFLAGS_DISALLOW_INSTANTIATION;
#else
constexpr unsigned no_constructor = 0;
#endif

}  // namespace exdb::python
