// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Values: Python objects to exdb::Value by the field they are for, and back.
//
// What a type takes and gives:
//   integers    int, anything with __index__ (numpy integers)    -> int
//   float       the same and float, numpy.float32                -> float
//   boolean     bool, numpy.bool                                 -> bool
//   enumeration member, its name, its number                     -> member of the IntEnum
//   string      str                                              -> str
//   binary      bytes, or a contiguous buffer                    -> bytes
//   date …      see temporal.hpp
//   struct      dict, or another object's struct                 -> dict (a proxy: object.hpp)
//   nullable    and None
// Range, length and UTF-8 are the engine's to check.
//
// Threads: all functions need the GIL.
// Failure: Error 99 that names the field and the value.
#pragma once
#include <pybind11/pybind11.h>

#include <functional>
#include <vector>

#include "dictionary.hpp"
#include "exdb/value.hpp"

namespace exdb::python {

/// For the whole field: a sequence when it is an array or a vector.
Value to_value(const FieldDef& field, pybind11::handle value);
/// For one value or one element of it.
Value to_element(const FieldDef& field, pybind11::handle value);
/// Calls `use` with the UTF-8 or the bytes of a value for a text or bytes field, in place; it may not
/// be kept.
void with_bytes(const FieldDef& field, pybind11::handle value,
                const std::function<void(Bytes)>& use);
/// The parts of a key, or its leading ones: a tuple, or the value itself when it is one part. At
/// least one; whether the index takes fewer than all is the engine's to say.
std::vector<Value> to_key(const IndexHandle& index, pybind11::handle key);

/// Whole field and one element. `enumeration` may be null: then enumerators are their names.
pybind11::object from_value(const FieldDef& field, const EnumTable* enumeration,
                            const RecordTable* record, const Value& value);
pybind11::object from_element(const FieldDef& field, const EnumTable* enumeration,
                              const RecordTable* record, const Value& value);
/// A whole struct as a dict.
pybind11::dict from_record(const RecordTable& table, const ValueRecord& values);

}  // namespace exdb::python
