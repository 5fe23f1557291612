// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Dates and times: the engine's integers (days, nanoseconds) and Python's datetime objects.
//
// Reading gives datetime.date, datetime.time and datetime.datetime in UTC. These know microseconds;
// what is below is cut off in them, and Object.raw(field) has all of it.
// Writing takes those objects (with a time zone: converted to UTC; without: taken as UTC),
// numpy.datetime64, pandas.Timestamp with its nanoseconds, and integers as stored.
//
// Threads: all functions need the GIL.
// Failure: Error 99 for what cannot be represented.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>

#include "exdb/schema.hpp"

namespace exdb::python {

void import_datetime();

/// New references.
PyObject* date_to_python(std::int32_t days);
PyObject* time_to_python(std::int64_t nanoseconds);
PyObject* datetime_to_python(std::int64_t nanoseconds);

/// The integer to store, or nothing when `value` is no kind of date or time (an integer, say).
std::optional<std::int64_t> temporal_from_python(const FieldDef& field, PyObject* value);

}  // namespace exdb::python
