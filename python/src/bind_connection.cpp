// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/stl.h>

#include "bind.hpp"
#include "conversion.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "object.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

using Handle = std::shared_ptr<ConnectionHandle>;

void start(const Handle& self, int type, int priority, int isolation,
           std::optional<std::uint64_t> at_least, bool fresh) {
  TransactionOptions options;
  options.type = TransactionType(type);
  options.isolation = Isolation(isolation);
  options.priority = priority;
  if (at_least) options.at_least = Csn{*at_least};
  options.fresh = fresh;
  Connection& connection = self->use();
  // Everything else begins at once, and to let the GIL go costs more than that.
  if (!at_least && !fresh && options.type != TransactionType::exclusive)
    connection.start(options);
  else
    blocking(self->database(), [&] { connection.start(options); });
}

// Whatever the transaction came to is said in the exception that Ctrl-C raises.
void note_transaction(TxnId id) {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (value != nullptr) {
    const py::object function = py::module_::import("exdb._interrupt").attr("note_transaction");
    function(py::handle(value), to_python(id));
  }
  PyErr_Restore(type, value, trace);
}

std::uint64_t token_of(const CommitResult& result) {
  if (result.committed()) return result.csn.value;
  const bool left_node = result.id.sequence != 0;
  throw_error(result.code, result.text, left_node ? std::optional(result.id) : std::nullopt);
}

template <class Call>
std::uint64_t finish(const Handle& self, Call call) {
  CommitResult result;
  bool interrupted = false;
  {
    Blocking scope(self->database());
    result = call();
    interrupted = scope.finish();
  }
  if (interrupted) {
    if (!result.committed()) note_transaction(result.id);
    throw py::error_already_set();
  }
  return token_of(result);
}

std::uint64_t commit(const Handle& self) {
  Connection& connection = self->use();
  return finish(self, [&] { return connection.commit(); });
}

std::uint64_t wait(const Handle& self) {
  Connection& connection = self->use();
  return finish(self, [&] { return connection.wait(); });
}

py::object create(const Handle& self, py::handle cls, const py::dict& fields) {
  Connection& connection = self->use();
  const ClassHandle& type = self->dictionary().resolve_class(cls);
  const py::object made = wrap(self, connection.create(*type.definition));
  if (fields.empty()) return made;
  try {
    assign_fields(made, fields);
  } catch (py::error_already_set&) {
    unwrap(made).remove();  // a row with only some of its fields would be committed
    throw;
  }
  return made;
}

void remove(const Handle& self, py::handle object) { self->use().remove(unwrap(object)); }

std::uint64_t delete_all(const Handle& self, py::handle cls) {
  Connection& connection = self->use();
  const ClassDef& type = *self->dictionary().resolve_class(cls).definition;
  const Released released;
  return connection.delete_all(type);
}

std::uint64_t count(const Handle& self, py::handle cls) {
  Connection& connection = self->use();
  const ClassDef& type = *self->dictionary().resolve_class(cls).definition;
  const Released released;
  return connection.count(type);
}

const IndexHandle& index_of(const Handle& self, py::handle cls, py::handle index) {
  const DictionaryHandle& dictionary = self->dictionary();
  return dictionary.resolve_index(dictionary.resolve_class(cls), index);
}

py::object find(const Handle& self, py::handle cls, py::handle index, py::handle key) {
  Connection& connection = self->use();
  const IndexHandle& wanted = index_of(self, cls, index);
  return wrap(self, connection.find(*wanted.definition, to_key(wanted, key, true)));
}

py::list find_many(const Handle& self, py::handle cls, py::handle index, const py::iterable& keys) {
  Connection& connection = self->use();
  const IndexHandle& wanted = index_of(self, cls, index);
  std::vector<std::vector<Value>> values;
  for (const py::handle key : keys) values.push_back(to_key(wanted, key, true));
  std::vector<std::optional<Object>> found;
  {
    const Released released;
    found = connection.find_many(*wanted.definition, values);
  }
  py::list result(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) result[i] = wrap(self, found[i]);
  return result;
}

py::dict statistics(const Handle& self) {
  const ConnectionStatistics counted = self->use().statistics();
  py::dict result;
  result["committed"] = counted.committed;
  result["aborted"] = counted.aborted;
  result["conflicts"] = counted.conflicts;
  result["rolled_back"] = counted.rolled_back;
  result["read_only"] = counted.read_only;
  return result;
}

void close(const Handle& self) {
  if (forked()) return;
  Connection& connection = *self->connection;
  const Released released;
  connection.close();
}

}  // namespace

void bind_connection(py::module_& module) {
  py::class_<ConnectionHandle, Handle>(module, "Connection")
      .def("start", start, py::arg("type"), py::arg("priority"), py::arg("isolation"),
           py::arg("at_least"), py::arg("fresh"))
      .def("commit", commit)
      .def("commit_later",
           [](const Handle& self) {
             Connection& connection = self->use();
             blocking(self->database(), [&] { connection.commit_later(); });
           })
      .def("wait", wait)
      .def("rollback",
           [](const Handle& self) {
             Connection& connection = self->use();
             const Released released;
             connection.rollback();
           })
      .def_property_readonly("in_transaction",
                             [](const Handle& self) { return self->use().in_transaction(); })
      .def_property_readonly("snapshot",
                             [](const Handle& self) { return self->use().snapshot().value; })
      .def("new", create, py::arg("cls"), py::arg("fields"))
      .def("remove", remove, py::arg("object"))
      .def("delete_all", delete_all, py::arg("cls"))
      .def("count", count, py::arg("cls"))
      .def("find", find, py::arg("cls"), py::arg("index"), py::arg("key"))
      .def("find_many", find_many, py::arg("cls"), py::arg("index"), py::arg("keys"))
      .def("cursor", open_cursor, py::arg("cls"), py::arg("index") = py::none())
      .def("listen",
           [](const Handle& self) {
             Connection& connection = self->use();
             blocking(self->database(), [&] { connection.listen(); });
           })
      .def("stop",
           [](const Handle& self) {
             Connection& connection = self->use();
             blocking(self->database(), [&] { connection.stop(); });
           })
      .def("close", close)
      .def_property_readonly(
          "is_open", [](const Handle& self) { return !forked() && self->connection->is_open(); })
      .def("statistics", statistics);
}

}  // namespace exdb::python
