// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster.hpp"

#include <pybind11/stl.h>

#include "process.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

/// A Python function that is let go under the GIL, or not at all when there is none any more.
class Callback {
 public:
  explicit Callback(py::object function) : function_(std::move(function)) {}
  ~Callback() {
    if (ending() || forked()) {
      function_.release();
      return;
    }
    const py::gil_scoped_acquire gil;
    function_ = py::object();
  }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  /// `use` calls the function and gives what the engine wants; `otherwise` when that failed.
  template <class Use, class Answer>
  Answer call(Use use, Answer otherwise) const {
    if (ending() || forked()) return otherwise;
    const py::gil_scoped_acquire gil;
    try {
      return use(function_);
    } catch (py::error_already_set& error) {
      error.restore();
      PyErr_WriteUnraisable(function_.ptr());
    } catch (const std::exception& error) {  // an answer of the wrong type
      PyErr_SetString(PyExc_TypeError, error.what());
      PyErr_WriteUnraisable(function_.ptr());
    }
    return otherwise;
  }

 private:
  py::object function_;
};

std::function<void(Notification, const NodeInfo&)> notify_function(const py::object& function) {
  if (function.is_none()) return {};
  auto callback = std::make_shared<const Callback>(function);
  return [callback](Notification code, const NodeInfo& info) {
    callback->call(
        [&](const py::object& notify) {
          const py::object type = py::module_::import("exdb.types").attr("NodeInfo");
          notify(int(code), type(info.addr, info.qrank, info.node_id));
          return true;
        },
        false);
  };
}

std::function<bool(const std::vector<std::uint32_t>&)> quorum_function(const py::object& function) {
  if (function.is_none()) return {};
  auto callback = std::make_shared<const Callback>(function);
  return [callback](const std::vector<std::uint32_t>& neighbours) {
    return callback->call(
        [&](const py::object& quorum) {
          const int answer = PyObject_IsTrue(quorum(py::cast(neighbours)).ptr());
          if (answer < 0) throw py::error_already_set();
          return answer == 1;
        },
        false);
  };
}

template <class T>
T take(const py::dict& values, const char* name) {
  return values[name].cast<T>();
}

Status failure_of(const py::dict& values) {
  const py::object failure = values["failure"];
  if (failure.is_none()) return {};
  const auto [code, text] = failure.cast<std::pair<int, std::string>>();
  return {ErrorCode(code), text};
}

TransportRequest parse_transport(const py::dict& values, const ClusterParams& params) {
  TransportRequest request;
  request.fortran_handle = take<std::int32_t>(values, "handle");
  request.size = take<std::uint32_t>(values, "size");
  request.rank = take<std::uint32_t>(values, "rank");
  request.options.exchange = take<std::int32_t>(values, "exchange");
  request.options.progress = std::int32_t(params.progress);
  request.options.send_buffer_bytes = take<std::uint64_t>(values, "send_buffer_bytes");
  request.options.receive_buffer_bytes = take<std::uint64_t>(values, "receive_buffer_bytes");
  request.options.deadline_ms = params.timeout.count();
  request.failure = failure_of(values);
  return request;
}

}  // namespace

ClusterRequest parse_cluster(const py::dict& values) {
  ClusterRequest request;
  ClusterParams& params = request.params;
  params.node_id = take<std::optional<std::uint32_t>>(values, "node_id");
  using Nodes = std::vector<std::pair<std::string, std::uint32_t>>;
  for (auto& [addr, qrank] : take<Nodes>(values, "nodes")) params.nodes.push_back({addr, qrank});
  const auto [bytes, length, timeout] =
      take<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>>(values, "window");
  params.window = {bytes, length, timeout};
  params.conn_pool_factor = take<std::uint32_t>(values, "conn_pool_factor");
  params.sync_msg_objects = take<std::uint64_t>(values, "sync_msg_objects");
  params.sync_msg_bytes = take<std::uint64_t>(values, "sync_msg_bytes");
  params.mode_mask = take<unsigned>(values, "mode_mask");
  params.progress = Progress(take<int>(values, "progress"));
  params.timeout = std::chrono::milliseconds(take<std::int64_t>(values, "timeout_ms"));
  params.notify = notify_function(values["notify"]);
  params.quorum = quorum_function(values["quorum"]);
  request.transport = parse_transport(values, params);
  return request;
}

}  // namespace exdb::python
