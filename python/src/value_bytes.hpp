// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How large a Python value is, before it is converted: what is too large is refused without a copy.
//
// Threads: need the GIL.
// Failure: a value that does not fit the field counts as 0; who converts it says what is wrong.
#pragma once
#include <pybind11/pybind11.h>

#include "exdb/schema.hpp"

namespace exdb::python {

/// Bytes that this value of the field takes in a row, or fewer; 0 for fields of fixed size. Cost: a
/// length, or one look at each element of a list of texts or bytes. Copies nothing.
std::size_t least_value_bytes(const FieldDef& field, pybind11::handle value);

}  // namespace exdb::python
