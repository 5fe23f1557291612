// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// libexdb_tcp.so, loaded when a cluster over TCP is first opened: OpenSSL is not needed otherwise.
//
// Threads: load_tcp_library and bind_tcp need the GIL; make_tcp_transport must not have it.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "exdb/tcp.hpp"

namespace exdb::python {

/// Throws Error unsupported when the library does not load: names the path.
void load_tcp_library(const std::string& path);

/// Waits for nobody. REQUIRES: the library was loaded.
Result<std::unique_ptr<Transport>> make_tcp_transport(const tcp::TcpParams& params);

/// TcpParams, as exdb/_tcp.py fills them in.
void bind_tcp(pybind11::module_& module);

}  // namespace exdb::python
