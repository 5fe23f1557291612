// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Reading and writing one field of a row, by its entry in the class's table.
//
// Threads: all functions need the GIL.
// Failure: the engine's Error; the row stays as it was.
#pragma once
#include <pybind11/pybind11.h>

#include <string>

#include "dictionary.hpp"
#include "exdb/connection.hpp"

namespace exdb::python {

/// New reference to the value of a field at a fixed place. `owner` is the Python Object.
PyObject* read_field(PyObject* owner, const Object& object, const FieldEntry& entry);
/// The same for a field of an element of an array or a vector: `prefix` ends with a dot.
pybind11::object read_element_field(PyObject* owner, const Object& object, const FieldEntry& entry,
                                    const std::string& prefix);

void write_field(Object& object, const FieldEntry& entry, pybind11::handle value);
void write_element_field(Object& object, const FieldEntry& entry, const std::string& prefix,
                         pybind11::handle value);

/// As stored: days, nanoseconds, the number of an enumerator. By path: "when", "origin.when",
/// "legs[2].when" (where an enumerator is its name).
pybind11::object raw_field(const Object& object, const RecordTable& table, const std::string& path);

}  // namespace exdb::python
