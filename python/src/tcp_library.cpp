// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tcp_library.hpp"

#include <dlfcn.h>
#include <pybind11/stl.h>

#include <array>

#include "exdb/tcp_loader.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

exdb_tcp_transport_function* make = nullptr;

}  // namespace

void load_tcp_library(const std::string& path) {
  if (make != nullptr) return;
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const found = handle == nullptr ? nullptr : dlsym(handle, "exdb_tcp_transport");
  if (found == nullptr)
    throw Error(ErrorCode::unsupported,
                std::string("the TCP transport of exdb cannot be loaded: ") + dlerror() +
                    ". It needs OpenSSL 3 (Debian: apt-get install libssl3), and all of exdb must "
                    "be of one build: install it again");
  make = reinterpret_cast<exdb_tcp_transport_function*>(found);
}

Result<std::unique_ptr<Transport>> make_tcp_transport(const tcp::TcpParams& params) {
  std::array<char, 8192> error{};
  Transport* made = nullptr;
  const int code = make(&params, sizeof params, &made, error.data(), error.size());
  if (code != 0) return Status(ErrorCode(code), error.data());
  return std::unique_ptr<Transport>(made);
}

void bind_tcp(py::module_& module) {
  using tcp::TcpParams;
  py::class_<TcpParams>(module, "TcpParams")
      .def_readwrite("connect_timeout_ms", &TcpParams::connect_timeout_ms)
      .def_readwrite("connect_interval_ms", &TcpParams::connect_interval_ms)
      .def_readwrite("socket_send_buf_bytes", &TcpParams::socket_send_buf_bytes)
      .def_readwrite("socket_recv_buf_bytes", &TcpParams::socket_recv_buf_bytes)
      .def_readwrite("socket_domain", &TcpParams::socket_domain)
      .def_readwrite("keep_alive_time_ms", &TcpParams::keep_alive_time_ms)
      .def_readwrite("keep_alive_probes", &TcpParams::keep_alive_probes)
      .def_readwrite("ssl_params", &TcpParams::ssl_params)
      .def_readwrite("cluster_secret_file", &TcpParams::cluster_secret_file)
      .def_readwrite("insecure_network", &TcpParams::insecure_network)
      .def_readwrite("cluster_id", &TcpParams::cluster_id)
      .def_readwrite("receive_buffer_bytes", &TcpParams::receive_buffer_bytes)
      .def_readwrite("send_bound_bytes", &TcpParams::send_bound_bytes);
  module.def("load_tcp_library", load_tcp_library, py::arg("path"));
}

}  // namespace exdb::python
