// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Object and Struct: one row in Python, its fields as attributes.
//
// Types of their own rather than pybind11's, because an attribute must cost one C++ call: the name
// is looked up by address in the class's table, and a scalar is one load from the row.
//
// A Struct is a struct within a row, and writes to it go to the row. One at a fixed place has the
// table of that place; an element of an array or a vector has a prefix like "legs[2]." and goes by
// path.
//
// Threads: as Connection; all functions need the GIL.
// Failure: a field that does not exist raises UnknownFieldError, which is an AttributeError too.
#pragma once
#include <pybind11/pybind11.h>

#include <optional>

#include "handles.hpp"

namespace exdb::python {

void make_object_types(pybind11::module_& module);

/// A new Object, or None.
pybind11::object wrap(const std::shared_ptr<ConnectionHandle>& connection, const Object& object);
pybind11::object wrap(const std::shared_ptr<ConnectionHandle>& connection,
                      const std::optional<Object>& object);
/// The row that a Python Object stands for; throws Error 99 when `value` is none.
Object& unwrap(pybind11::handle value);
/// Writes the given fields; the same as one assignment each.
void assign_fields(pybind11::handle object, const pybind11::dict& fields);

/// A Python Object or Struct.
bool is_record(pybind11::handle value);
pybind11::dict record_to_dict(pybind11::handle value);

}  // namespace exdb::python
