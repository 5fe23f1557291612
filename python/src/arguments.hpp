// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Arguments that are no values of fields, checked by hand: pybind11's own conversions answer a
// wrong one with the C++ signatures of the private module, and take a float, None or 'x' for a
// bool.
//
// Threads: all functions need the GIL.
// Failure: Error conversion, which names the argument, what was given and what is wanted.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

namespace exdb::python {

/// At most `bytes` of UTF-8, not cutting a character.
std::string cut_text(const std::string& text, std::size_t bytes);
/// "'x' of type str", shortened, for messages.
std::string shown(pybind11::handle value);

/// int, or what says that it is one by __index__; no bool.
std::int64_t integer_argument(pybind11::handle value, const char* name, std::int64_t low,
                              std::int64_t high);
std::uint64_t unsigned_argument(pybind11::handle value, const char* name, std::uint64_t high);
bool bool_argument(pybind11::handle value, const char* name);
std::string text_argument(pybind11::handle value, const char* name);

}  // namespace exdb::python
