// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// exdb's errors as Python exceptions. The table of classes is in exdb/errors.py; here a code and a
// text become an instance of the right one.
//
// Threads: all functions need the GIL.
#pragma once
#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include "exdb/errors.hpp"
#include "exdb/types.hpp"

namespace exdb::python {

/// Sets the Python error; never throws.
void set_error(ErrorCode code, const std::string& text,
               std::optional<TxnId> id = std::nullopt) noexcept;
/// For the slots of types that pybind11 does not wrap: turns the exception that is being handled
/// into the Python error. Call it in a catch block.
void set_error_from_current() noexcept;
[[noreturn]] void throw_error(ErrorCode code, const std::string& text,
                              std::optional<TxnId> id = std::nullopt);

pybind11::object to_python(TxnId id);

void bind_errors(pybind11::module_& module);

}  // namespace exdb::python
