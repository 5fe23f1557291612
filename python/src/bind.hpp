// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What each file of the module adds to it.
#pragma once
#include <pybind11/pybind11.h>

#include <chrono>
#include <optional>

#include "handles.hpp"

namespace exdb::python {

void bind_archive(pybind11::module_& module);
void bind_database(pybind11::module_& module);
void bind_connection(pybind11::module_& module);
void bind_cursor(pybind11::module_& module);
void bind_topology(pybind11::module_& module);

/// Database::cluster_info as exdb/cluster_info.py takes it.
pybind11::dict cluster_info(const std::shared_ptr<DatabaseHandle>& self);

/// Of close() and stop(): how long living nodes are waited for.
inline std::optional<std::chrono::milliseconds> deadline_of(std::optional<std::int64_t> ms) {
  return ms ? std::optional(std::chrono::milliseconds(*ms)) : std::nullopt;
}

/// A cursor as Python has it; `index` is the one that searches of it use, or null.
pybind11::object wrap_cursor(const std::shared_ptr<ConnectionHandle>& connection,
                             const IndexHandle* index, Cursor cursor);
pybind11::object open_cursor(const std::shared_ptr<ConnectionHandle>& connection,
                             pybind11::handle cls, pybind11::handle index);

}  // namespace exdb::python
