// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rows for people, in repr(): "key=1 stamp=2013-01-01 05:15:00+00:00". Values as Python gives
// them, long ones cut.
//
// Threads: all functions need the GIL.
#pragma once
#include <string>

#include "dictionary.hpp"
#include "exdb/value.hpp"

namespace exdb::python {

std::string shown_fields(const RecordTable& table, const ValueRecord& values);

}  // namespace exdb::python
