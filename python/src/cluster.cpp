// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "process.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

using Request = ClusterRequest;
using Handle = std::shared_ptr<Request>;
using Window = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;

void add_node(Request& self, std::string addr, std::uint32_t qrank) {
  self.params.nodes.push_back({std::move(addr), qrank});
}

void set_failure(Request& self, int code, std::string text) {
  self.transport.failure = {ErrorCode(code), std::move(text)};
}

void set_timeout(Request& self, std::int64_t milliseconds) {
  self.params.timeout = std::chrono::milliseconds(milliseconds);
  self.callbacks->set_patience(self.params.timeout);
}

/// With `resilient`; over TCP TcpParams has them.
void set_keep_alive(Request& self, std::int64_t time_ms, std::uint32_t probes,
                    std::int64_t connect_timeout_ms) {
  self.params.keep_alive_time = std::chrono::milliseconds(time_ms);
  self.params.keep_alive_probes = probes;
  self.params.connect_timeout = std::chrono::milliseconds(connect_timeout_ms);
}

void use_notify(Request& self) {
  self.params.notify = [calls = self.callbacks](Notification what, const NodeInfo& about) {
    calls->tell(what, about);
  };
}

void use_quorum(Request& self) {
  self.params.quorum = [calls = self.callbacks](const std::vector<std::uint32_t>& neighbours) {
    return calls->ask(neighbours);
  };
}

/// An attribute of ClusterParams, or of the transport's options.
template <auto member>
void attribute(py::class_<Request, Handle>& type, const char* name) {
  using Params = ClusterParams;
  if constexpr (requires(Params params) { params.*member; })
    type.def_property(
        name, [](const Request& self) { return self.params.*member; },
        [](Request& self, std::remove_cvref_t<decltype(Params{}.*member)> value) {
          self.params.*member = value;
        });
  else
    type.def_property(
        name, [](const Request& self) { return self.transport.options.*member; },
        [](Request& self, std::remove_cvref_t<decltype(exdb_mpi_options{}.*member)> value) {
          self.transport.options.*member = value;
        });
}

void bind_request(py::module_& module) {
  py::class_<Request, Handle> type(module, "ClusterRequest");
  type.def(py::init<std::int32_t, std::uint32_t, std::uint32_t>(), py::arg("fortran_handle"),
           py::arg("rank"), py::arg("size"));
  type.def(py::init<>());
  type.def_property_readonly(
      "tcp", [](Request& self) { return self.tcp ? &*self.tcp : nullptr; },
      py::return_value_policy::reference_internal);
  attribute<&ClusterParams::node_id>(type, "node_id");
  attribute<&ClusterParams::conn_pool_factor>(type, "conn_pool_factor");
  attribute<&ClusterParams::sync_msg_objects>(type, "sync_msg_objects");
  attribute<&ClusterParams::sync_msg_bytes>(type, "sync_msg_bytes");
  attribute<&ClusterParams::mode_mask>(type, "mode_mask");
  attribute<&exdb_mpi_options::exchange>(type, "exchange");
  attribute<&exdb_mpi_options::resilient>(type, "resilient");
  type.def("set_keep_alive", set_keep_alive, py::arg("time_ms"), py::arg("probes"),
           py::arg("connect_timeout_ms"));
  attribute<&exdb_mpi_options::send_buffer_bytes>(type, "send_buffer_bytes");
  attribute<&exdb_mpi_options::receive_buffer_bytes>(type, "receive_buffer_bytes");
  type.def_readwrite("shared", &Request::shared);
  type.def_property(
      "window",
      [](const Request& self) {
        const ClusterWindow& window = self.params.window;
        return Window{window.bsize_bytes, window.length_transactions, window.timeout_ms};
      },
      [](Request& self, Window window) {
        self.params.window = {std::get<0>(window), std::get<1>(window), std::get<2>(window)};
      });
  type.def_property(
      "progress", [](const Request& self) { return int(self.params.progress); },
      [](Request& self, int progress) { self.params.progress = Progress(progress); });
  type.def_property(
      "timeout_ms", [](const Request& self) { return self.params.timeout.count(); }, set_timeout);
  type.def_property_readonly("callbacks", [](const Request& self) { return self.callbacks; });
  type.def("add_node", add_node, py::arg("addr"), py::arg("qrank"));
  type.def("set_failure", set_failure, py::arg("code"), py::arg("text"));
  type.def("use_notify", use_notify);
  type.def("use_quorum", use_quorum);
}

py::object next_event(const std::shared_ptr<Callbacks>& self) {
  std::optional<Callbacks::Event> event;
  {
    const Released released;
    event = self->next_event();
  }
  if (!event) return py::none();
  const auto& [what, about] = *event;
  return py::make_tuple(int(what), about.addr, about.qrank, about.node_id);
}

py::object next_question(const std::shared_ptr<Callbacks>& self) {
  std::optional<Callbacks::Question> question;
  {
    const Released released;
    question = self->next_question();
  }
  if (!question) return py::none();
  return py::make_tuple(question->number, question->neighbours);
}

}  // namespace

ClusterRequest::ClusterRequest(std::int32_t fortran_handle, std::uint32_t rank,
                               std::uint32_t size) {
  transport.fortran_handle = fortran_handle;
  transport.rank = rank;
  transport.size = size;
}

/// In the hello: who has another schema is refused before it can send a frame.
std::unique_ptr<Transport> ClusterRequest::tcp_transport(const Dictionary& dictionary) {
  tcp->self = params.node_id.value_or(0);
  tcp->nodes.clear();
  for (const auto& node : params.nodes) tcp->nodes.push_back(node.addr);
  const std::uint64_t hash = dictionary.hash();
  std::memcpy(tcp->schema_hash.data(), &hash, sizeof hash);
  params.connect_timeout = std::chrono::milliseconds(tcp->connect_timeout_ms);
  params.keep_alive_time = std::chrono::milliseconds(tcp->keep_alive_time_ms);
  params.keep_alive_probes = std::uint32_t(
      std::min<std::int64_t>(tcp->keep_alive_probes, std::numeric_limits<std::uint32_t>::max()));
  params.cluster_id = tcp->cluster_id;
  params.cancelled = cancelled;
  auto made = make_tcp_transport(*tcp);
  made.status().or_throw();
  return std::move(made).value();
}

/// What the nodes of a resilient cluster would otherwise find out by never hearing of each other.
void ClusterRequest::agree(const Dictionary& dictionary) {
  params.cancelled = cancelled;
  auto& options = transport.options;
  options.keep_alive_ms = params.keep_alive_time.count() * params.keep_alive_probes;
  options.agreement = dictionary.hash();
  const auto add = [&options](std::uint64_t number) {
    options.agreement = (options.agreement ^ number) * 0x9E3779B97F4A7C15ULL;
  };
  add(std::uint64_t(params.keep_alive_time.count()));
  add(params.keep_alive_probes);
  for (const auto& node : params.nodes) add(node.qrank);
}

ClusterParams ClusterRequest::take(const Dictionary& dictionary) {
  if (tcp) {
    params.transport = tcp_transport(dictionary);
    return std::move(params);
  }
  if (transport.options.resilient != 0) agree(dictionary);
  if (shared) {
    params.hosts = make_host_groups(transport_request()).value();
  } else {
    params.transport = make_transport(transport_request()).value();
  }
  return std::move(params);
}

TransportRequest& ClusterRequest::transport_request() {
  transport.options.progress = std::int32_t(params.progress);
  transport.options.deadline_ms = params.timeout.count();
  return transport;
}

void bind_cluster(py::module_& module) {
  bind_tcp(module);
  py::class_<Callbacks, std::shared_ptr<Callbacks>>(module, "Callbacks")
      .def("next_event", next_event)
      .def("next_question", next_question)
      .def("answer", &Callbacks::answer, py::arg("number"), py::arg("yes"))
      .def("close", &Callbacks::close);
  bind_request(module);
}

}  // namespace exdb::python
