// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Arrays and vectors of scalars as NumPy arrays: read without a copy, written without a Python
// object for each element.
//
// dtype by field type: intN and uintN, float32, float64 as they are; boolean bool; date int32 (days
// since 1970-01-01; NumPy has no 4-byte date); time timedelta64[ns]; datetime datetime64[ns];
// enumeration int32; autoid uint64.
//
// Threads: all functions need the GIL.
// Failure: Error 99 for elements that do not fit.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "exdb/columns.hpp"
#include "exdb/connection.hpp"
#include "exdb/schema.hpp"
#include "exdb/value.hpp"

namespace exdb::python {

/// A read-only view; `hold` keeps the bytes for as long as the array lives.
pybind11::object number_view(const RawArray& elements, std::shared_ptr<const void> hold);

/// Writes an array, buffer or other object with a dtype in one piece. False when `value` is not of
/// this kind (a list, a tuple): it then goes element by element.
bool write_numbers(Object& object, const FieldDef& field, pybind11::handle value);

/// Connection::insert_many of a dict from field names to columns, whatever exdb/_columns.py takes.
/// Gives the number of rows. The GIL is let go.
std::size_t insert_columns(Connection& connection, const ClassDef& type,
                           const pybind11::dict& columns);

}  // namespace exdb::python
