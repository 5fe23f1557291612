// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/stl.h>

#include <future>
#include <limits>
#include <thread>

#include "arguments.hpp"
#include "bind.hpp"
#include "cluster.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

using Handle = std::shared_ptr<DatabaseHandle>;

/// DiskOptions, in their order.
/// path, fsync, checkpoint_bytes, checkpoint_every in ms, copies.
using DiskArguments =
    std::tuple<std::string, bool, std::uint64_t, std::int64_t, std::uint32_t>;

DiskOptions disk_options(const DiskArguments& of) {
  const auto& [path, fsync, bytes, every_ms, copies] = of;
  return {path, fsync, bytes, std::chrono::milliseconds(every_ms), copies};
}


constexpr std::chrono::milliseconds signal_slice{50};
/// How long an open that was asked to give up is waited for.
constexpr std::chrono::milliseconds cancel_cap{3000};

struct OpenRequest {
  std::string name;
  std::shared_ptr<const Dictionary> dictionary;
  DatabaseOptions options;
  std::shared_ptr<ClusterRequest> cluster;
};

std::unique_ptr<Database> open_now(OpenRequest& request) {
  std::optional<ClusterParams> params;
  if (request.cluster) params = request.cluster->take(*request.dictionary);
  return Database::open(request.name, request.dictionary, request.options, std::move(params));
}

// Ctrl-C has come. Over TCP the open can be asked to give up, and is waited for: its port is free
// again then. Over MPI the thread is left behind, with the request: exdb/_lifetime.py ends the
// process without waiting for it.
void give_up_open(const std::shared_ptr<OpenRequest>& request,
                  std::future<std::unique_ptr<Database>>& answer) {
  bool over = false;
  if (request->cluster && request->cluster->tcp) {
    *request->cluster->cancelled = true;
    const Released released;
    over = answer.wait_for(cancel_cap) == std::future_status::ready;
    if (over) answer = {};  // may close a database
  }
  if (!over) package("exdb._lifetime", "open_was_abandoned")();
}

// In a thread of its own, so that Ctrl-C ends the wait for nodes that never come.
std::unique_ptr<Database> open_interruptibly(const std::shared_ptr<OpenRequest>& request) {
  auto opened = std::make_shared<std::promise<std::unique_ptr<Database>>>();
  auto answer = opened->get_future();
  std::thread([held = request, opened]() mutable {
    try {
      auto database = open_now(*held);
      held.reset();  // not the last: the caller waits
      opened->set_value(std::move(database));
    } catch (...) {
      held.reset();
      opened->set_exception(std::current_exception());
    }
  }).detach();
  while (true) {
    {
      const Released released;
      if (answer.wait_for(signal_slice) == std::future_status::ready) break;
    }
    if (PyErr_CheckSignals() != 0) {
      const py::error_already_set interrupt;
      give_up_open(request, answer);
      throw interrupt;
    }
  }
  return answer.get();
}

Handle open(const std::string& name, const std::shared_ptr<DictionaryHandle>& dictionary,
            std::uint64_t segment_bytes, std::uint32_t max_connections, bool own_listener,
            const std::shared_ptr<ClusterRequest>& cluster, bool own_thread,
            const std::optional<DiskArguments>& disk) {
  require_unforked();
  auto request = std::make_shared<OpenRequest>();
  request->name = name;
  request->dictionary = dictionary->dictionary();
  request->options = {
      std::size_t(segment_bytes), max_connections, own_listener, cluster && cluster->shared, {}};
  if (disk) request->options.disk = disk_options(*disk);
  request->cluster = cluster;
  std::unique_ptr<Database> database;
  if (own_thread) {
    database = open_interruptibly(request);
  } else {
    const Released released;
    database = open_now(*request);
  }
  auto engine =
      std::make_unique<Engine>(std::move(database), cluster ? cluster->callbacks : nullptr);
  return std::make_shared<DatabaseHandle>(
      DatabaseHandle{dictionary, shared_engine(std::move(engine))});
}

std::shared_ptr<ConnectionHandle> connect(const Handle& self) {
  Database& database = self->use();
  return std::make_shared<ConnectionHandle>(
      ConnectionHandle{self, shared_engine(database.connect())});
}

void close(const Handle& self, std::optional<std::int64_t> timeout_ms) {
  if (forked()) return;
  blocking(self->engine, [&] { self->engine->close(deadline_of(timeout_ms)); });
}

void checkpoint(const Handle& self) {
  Database& database = self->use();
  blocking(self->engine, [&] { database.checkpoint(); });
}

/// It may outlive the database, and so holds nothing of it.
std::shared_ptr<Checkpoint> begin_checkpoint(const Handle& self) {
  Database& database = self->use();
  const Released released;
  return database.begin_checkpoint();
}

bool wait_for(const std::shared_ptr<Checkpoint>& self, std::optional<std::int64_t> ms) {
  const Released released;
  return self->wait(deadline_of(ms));
}

std::uint64_t snapshot(const Handle& self, const std::string& name) {
  Database& database = self->use();
  std::uint64_t csn = 0;
  blocking(self->engine, [&] { csn = database.snapshot(name).value; });
  return csn;
}

std::shared_ptr<ConnectionHandle> at(const Handle& self, const std::string& name) {
  Database& database = self->use();
  std::unique_ptr<Connection> opened;
  {
    const Released released;
    opened = database.at(name);
  }
  return std::make_shared<ConnectionHandle>(
      ConnectionHandle{self, shared_engine(std::move(opened))});
}

void drop_snapshot(const Handle& self, const std::string& name) {
  Database& database = self->use();
  blocking(self->engine, [&] { database.drop_snapshot(name); });
}

std::map<std::string, std::uint64_t> snapshots(const Handle& self) {
  std::map<std::string, std::uint64_t> all;
  for (const auto& [name, csn] : self->use().snapshots()) all.emplace(name, csn.value);
  return all;
}

void announce_preempt(const Handle& self) {
  Database& database = self->use();
  const Released released;
  database.announce_preempt();
}

void abandon(const Handle& self) {
  if (forked()) return;
  const Released released;
  self->engine->abandon();
}

const char* name_of(DatabaseState::Phase phase) {
  switch (phase) {
    case DatabaseState::Phase::open:
      return "open";
    case DatabaseState::Phase::stopping:
      return "stopping";
    case DatabaseState::Phase::stopped:
      return "stopped";
    case DatabaseState::Phase::left:
      return "left";
    case DatabaseState::Phase::failed:
      return "failed";
    case DatabaseState::Phase::closed:
      break;
  }
  return "closed";
}

py::tuple state(const Handle& self) {
  const DatabaseState now = self->use().state();
  return py::make_tuple(name_of(now.phase), now.reads, now.writes, now.fresh_reads, now.text);
}

std::string outcome(const Handle& self, py::handle origin, py::handle sequence) {
  const TxnId id{
      NodeId{std::uint32_t(
          unsigned_argument(origin, "txid.origin", std::numeric_limits<std::uint32_t>::max()))},
      unsigned_argument(sequence, "txid.sequence", std::numeric_limits<std::uint64_t>::max())};
  switch (self->use().outcome(id)) {
    case TransactionOutcome::committed:
      return "committed";
    case TransactionOutcome::aborted:
      return "aborted";
    case TransactionOutcome::unknown:
      break;
  }
  return "unknown";
}

std::tuple<std::uint64_t, std::uint64_t, std::uint64_t> window(const Handle& self) {
  const ClusterWindow now = self->use().window();
  return {now.bsize_bytes, now.length_transactions, now.timeout_ms};
}

void set_window(const Handle& self, std::uint64_t bytes, std::uint64_t length,
                std::uint64_t timeout_ms) {
  Database& database = self->use();
  const Released released;
  database.set_window({bytes, length, timeout_ms});
}

void bind_open(py::module_& module) {
  module.def("open", open, py::arg("name"), py::arg("dictionary"), py::arg("segment_bytes"),
             py::arg("max_connections"), py::arg("own_listener"), py::arg("cluster"),
             py::arg("own_thread"), py::arg("disk") = py::none());
  module.def("load_mpi_library", load_mpi_library, py::arg("path"));
  module.def("describe_mpi", describe_mpi);
  module.def("mark_forked", mark_forked);
  module.def("mark_ending", mark_ending);
  module.def("released_threads", released_threads);
}

}  // namespace

void bind_database(py::module_& module) {
  bind_open(module);
  py::class_<Checkpoint, std::shared_ptr<Checkpoint>>(module, "Checkpoint")
      .def("done", &Checkpoint::done)
      .def("wait", wait_for, py::arg("timeout_ms") = py::none())
      .def("bytes_written", &Checkpoint::bytes_written);
  py::class_<DatabaseHandle, Handle>(module, "Database")
      .def("connect", connect)
      .def("close", close, py::arg("timeout_ms") = py::none())
      .def("abandon", abandon)
      .def("checkpoint", checkpoint)
      .def("begin_checkpoint", begin_checkpoint)
      .def("snapshot", snapshot, py::arg("name"))
      .def("at", at, py::arg("name"))
      .def("drop_snapshot", drop_snapshot, py::arg("name"))
      .def("snapshots", snapshots)
      .def("announce_preempt", announce_preempt)
      .def("preempt_announced",
           [](const Handle& self) { return self->use().preempt_announced().value; })
      .def("recovered", [](const Handle& self) { return self->use().recovered(); })
      .def_property_readonly(
          "is_open",
          [](const Handle& self) { return !forked() && self->engine->database->is_open(); })
      .def("state", state)
      .def_property_readonly("name", [](const Handle& self) { return self->use().name(); })
      .def_property_readonly("clustered",
                             [](const Handle& self) { return self->use().clustered(); })
      .def_property_readonly("node_id", [](const Handle& self) { return self->use().node_id(); })
      .def_property_readonly("nodes", [](const Handle& self) { return self->use().nodes(); })
      .def_property_readonly("published",
                             [](const Handle& self) { return self->use().published().value; })
      .def("digest",
           [](const Handle& self) {
             Database& database = self->use();
             const Released released;
             return database.digest();
           })
      .def("statistics",
           [](const Handle& self) {
             Database& database = self->use();
             Statistics counted;
             {
               const Released released;
               counted = database.statistics();
             }
             return counted;
           })
      .def("cluster_info", cluster_info)
      .def("outcome", outcome, py::arg("origin"), py::arg("sequence"))
      .def("window", window)
      .def("set_window", set_window, py::arg("bytes"), py::arg("length"), py::arg("timeout_ms"))
      .def("progress",
           [](const Handle& self) {
             Database& database = self->use();
             const Released released;
             return database.progress();
           })
      .def("describe", [](const Handle& self) { return self->use().describe(); });
}

}  // namespace exdb::python
