// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <cstdio>
#include <exception>

#include "exdb/tcp_loader.hpp"

namespace {

using namespace exdb;

int failed(const Status& status, char* error, std::size_t error_bytes) {
  std::snprintf(error, error_bytes, "%s", status.text().c_str());
  return static_cast<int>(status.code());
}

}  // namespace

extern "C" int exdb_tcp_transport(const tcp::TcpParams* params, std::size_t params_bytes,
                                  Transport** transport, char* error, std::size_t error_bytes) {
  try {
    if (params_bytes != sizeof *params) {
      return failed(
          {ErrorCode::launcher,
           "libexdb_tcp.so and its caller are of different versions: install them together"},
          error, error_bytes);
    }
    auto made = tcp::transport(*params);
    if (!made) return failed(made.status(), error, error_bytes);
    *transport = made->release();
    return 0;
  } catch (const std::exception& failure) {
    std::snprintf(error, error_bytes, "%s", failure.what());
    return static_cast<int>(ErrorCode::no_memory);
  }
}
