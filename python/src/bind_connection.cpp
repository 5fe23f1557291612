// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/stl.h>

#include <limits>

#include "arguments.hpp"
#include "bind.hpp"
#include "conversion.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "numbers.hpp"
#include "object.hpp"
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

using Handle = std::shared_ptr<ConnectionHandle>;

constexpr std::int64_t int_min = std::numeric_limits<int>::min();
constexpr std::int64_t int_max = std::numeric_limits<int>::max();

int choice(py::handle value, const char* name, std::initializer_list<int> choices,
           const char* wanted) {
  if (!PyBool_Check(value.ptr()) && PyIndex_Check(value.ptr())) {
    const long given = PyLong_AsLong(value.ptr());
    if (given == -1 && PyErr_Occurred() != nullptr) PyErr_Clear();
    for (const int one : choices)
      if (given == one) return one;
  }
  throw Error(ErrorCode::conversion,
              std::string(name) + " must be one of " + wanted + ", not " + shown(value));
}

void start(const Handle& self, py::handle type, py::handle priority, py::handle isolation,
           py::handle at_least, py::handle fresh) {
  TransactionOptions options;
  options.type =
      TransactionType(choice(type, "type", {0, 1, 2, 3},
                             "MCO_READ_ONLY 0, MCO_UPDATE 1, MCO_READ_WRITE 2, MCO_EXCLUSIVE 3"));
  options.isolation = Isolation(
      choice(isolation, "isolation", {0, 1, 2, 4},
             "MCO_READ_COMMITTED 1, MCO_REPEATABLE_READ 2, MCO_SERIALIZABLE 4, or 0: the default"));
  options.priority = int(integer_argument(priority, "priority", int_min, int_max));
  if (!at_least.is_none())
    options.at_least = Csn{unsigned_argument(at_least, "at_least (a token of commit())",
                                             std::numeric_limits<std::int64_t>::max())};
  options.fresh = bool_argument(fresh, "fresh");
  Connection& connection = self->use();
  // Everything else begins at once, and to let the GIL go costs more than that.
  if (!options.at_least && !options.fresh && options.type != TransactionType::exclusive)
    connection.start(options);
  else
    blocking(self->engine(), [&] { connection.start(options); });
  self->read_only = options.type == TransactionType::read_only;
}

std::uint64_t token_of(const CommitResult& result) {
  if (result.committed()) return result.csn.value;
  const bool left_node = result.id.sequence != 0;
  throw_error(result.code, result.text, left_node ? std::optional(result.id) : std::nullopt);
}

// Ctrl-C ended the wait, or came while the commit ended by itself: whatever the transaction came to
// is said in the exception, for the program cannot ask without its id.
[[noreturn]] void throw_interrupted(const CommitResult& result) {
  const py::error_already_set interrupt;
  const bool unknown = result.code == ErrorCode::unknown_outcome;
  const char* outcome = result.committed() ? "committed" : unknown ? "unknown" : "aborted";
  const py::object made = package("exdb._interrupt", "commit_interrupted")(
      interrupt.value(), to_python(result.id), outcome, result.csn.value);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
  throw py::error_already_set();
}

template <class Call>
std::uint64_t finish(const Handle& self, Call call) {
  CommitResult result;
  bool interrupted = false;
  {
    Blocking scope(self->engine());
    result = call();
    interrupted = scope.finish();
  }
  // Another signal's handler may be why it has failed (exdb/_preempt.py).
  if (interrupted || (!result.committed() && PyErr_CheckSignals() != 0)) throw_interrupted(result);
  return token_of(result);
}

// The quorumCallback's own commit would ask for the answer that it is to give, and wait for ever. It
// ends as one that the quorum refuses.
void refuse_while_answering(const Handle& self) {
  const auto& callbacks = self->engine()->callbacks;
  if (self->read_only || !callbacks || !callbacks->in_answering_thread()) return;
  self->use().rollback();
  throw Error(ErrorCode::cluster_no_quorum,
              "no quorum: a quorumCallback cannot commit to the database that asks it; read with "
              "MCO_READ_ONLY, or commit when it has answered");
}

std::uint64_t commit(const Handle& self) {
  Connection& connection = self->use();
  refuse_while_answering(self);
  return finish(self, [&] { return connection.commit(); });
}

void commit_later(const Handle& self) {
  Connection& connection = self->use();
  refuse_while_answering(self);
  blocking(self->engine(), [&] { connection.commit_later(); });
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

std::size_t insert_many(const Handle& self, py::handle cls, const py::dict& columns) {
  Connection& connection = self->use();
  return insert_columns(connection, *self->dictionary().resolve_class(cls).definition, columns);
}

void remove(const Handle& self, py::handle object) { self->use().remove(unwrap(object)); }

std::uint64_t delete_all(const Handle& self, py::handle cls) {
  Connection& connection = self->use();
  const ClassDef& type = *self->dictionary().resolve_class(cls).definition;
  const Released released;
  return connection.delete_all(type);
}

const IndexHandle& index_of(const Handle& self, py::handle cls, py::handle index) {
  const DictionaryHandle& dictionary = self->dictionary();
  return dictionary.resolve_index(dictionary.resolve_class(cls), index);
}

// One end of a range: no values when there is none.
std::vector<Value> bound(const IndexHandle& index, py::handle key) {
  return key.is_none() ? std::vector<Value>() : to_key(index, key);
}

std::uint64_t count(const Handle& self, py::handle cls, py::handle index, py::handle low,
                    py::handle high) {
  Connection& connection = self->use();
  if (index.is_none()) {
    const ClassDef& type = *self->dictionary().resolve_class(cls).definition;
    if (!low.is_none() || !high.is_none())
      throw Error(ErrorCode::conversion, "low and high are keys of an index: name it with index=");
    const Released released;
    return connection.count(type);
  }
  const IndexHandle& over = index_of(self, cls, index);
  const auto from = bound(over, low), to = bound(over, high);
  const Released released;
  return connection.count(*over.definition, from, to);
}

py::object range(const Handle& self, py::handle cls, py::handle index, py::handle low,
                 py::handle high, py::handle limit) {
  Connection& connection = self->use();
  const IndexHandle& over = index_of(self, cls, index);
  const std::size_t most =
      limit.is_none() ? Cursor::no_limit
                      : unsigned_argument(limit, "limit", std::numeric_limits<std::int64_t>::max());
  return wrap_cursor(self, &over,
                     connection.range(*over.definition, bound(over, low), bound(over, high), most));
}

py::object find(const Handle& self, py::handle cls, py::handle index, py::handle key) {
  Connection& connection = self->use();
  const IndexHandle& wanted = index_of(self, cls, index);
  return wrap(self, connection.find(*wanted.definition, to_key(wanted, key)));
}

// A str is a sequence of keys for a computer, and a forgotten pair of brackets for people.
py::object iterator_of(py::handle keys) {
  if (!PyUnicode_Check(keys.ptr()) && !PyBytes_Check(keys.ptr())) {
    PyObject* const made = PyObject_GetIter(keys.ptr());
    if (made != nullptr) return py::reinterpret_steal<py::object>(made);
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
    PyErr_Clear();
  }
  throw Error(ErrorCode::conversion, "keys must be a list of keys, not " + shown(keys));
}

py::list find_many(const Handle& self, py::handle cls, py::handle index, py::handle keys) {
  Connection& connection = self->use();
  const IndexHandle& wanted = index_of(self, cls, index);
  std::vector<std::vector<Value>> values;
  const py::object iterator = iterator_of(keys);
  while (const auto key = py::reinterpret_steal<py::object>(PyIter_Next(iterator.ptr())))
    values.push_back(to_key(wanted, key));
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
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
  result["entries_walked"] = counted.entries_walked;
  return result;
}

void stop(const Handle& self, std::optional<std::int64_t> timeout_ms) {
  Connection& connection = self->use();
  blocking(self->engine(), [&] { connection.stop(deadline_of(timeout_ms)); });
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
      .def("commit_later", commit_later)
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
      .def("insert_many", insert_many, py::arg("cls"), py::arg("columns"))
      .def("remove", remove, py::arg("object"))
      .def("delete_all", delete_all, py::arg("cls"))
      .def("count", count, py::arg("cls"), py::arg("index") = py::none(),
           py::arg("low") = py::none(), py::arg("high") = py::none())
      .def("range", range, py::arg("cls"), py::arg("index"), py::arg("low") = py::none(),
           py::arg("high") = py::none(), py::arg("limit") = py::none())
      .def("find", find, py::arg("cls"), py::arg("index"), py::arg("key"))
      .def("find_many", find_many, py::arg("cls"), py::arg("index"), py::arg("keys"))
      .def("cursor", open_cursor, py::arg("cls"), py::arg("index") = py::none())
      .def("listen",
           [](const Handle& self) {
             Connection& connection = self->use();
             blocking(self->engine(), [&] { connection.listen(); });
           })
      .def("stop", stop, py::arg("timeout_ms") = py::none())
      .def("close", close)
      .def_property_readonly(
          "is_open", [](const Handle& self) { return !forked() && self->connection->is_open(); })
      .def("statistics", statistics);
}

}  // namespace exdb::python
