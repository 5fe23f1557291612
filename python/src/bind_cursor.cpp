// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/stl.h>

#include "arguments.hpp"
#include "bind.hpp"
#include "conversion.hpp"
#include "exdb/errors.hpp"
#include "object.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

struct CursorHandle {
  std::shared_ptr<ConnectionHandle> connection;
  const IndexHandle* index = nullptr;
  std::shared_ptr<Cursor> cursor;

  [[nodiscard]] Cursor& use() const {
    require_unforked();
    return *cursor;
  }
  [[nodiscard]] const IndexHandle& searched() const {
    if (index == nullptr)
      throw Error(ErrorCode::unsupported,
                  "this cursor goes in storage order; open it over an index to search: "
                  "con.cursor(cls, index)");
    return *index;
  }
};

// An IntEnum of exdb, or its number.
Operation operation_of(py::handle value) {
  if (!PyBool_Check(value.ptr()) && PyLong_Check(value.ptr())) {
    int overflow = 0;
    const long number = PyLong_AsLongAndOverflow(value.ptr(), &overflow);
    if (overflow == 0 && ((number >= 1 && number <= 5) || number == 10)) return Operation(number);
  }
  throw Error(ErrorCode::conversion, "op must be an exdb.Operation, not " + shown(value));
}

py::object find(const CursorHandle& self, py::handle key) {
  return wrap(self.connection, self.use().find(to_key(self.searched(), key)));
}

bool search(const CursorHandle& self, py::handle operation, py::handle key) {
  return self.use().search(operation_of(operation), to_key(self.searched(), key));
}

py::object step(const CursorHandle& self) {
  py::object row = wrap(self.connection, self.use().next());
  if (row.is_none()) throw py::stop_iteration();
  return row;
}

template <std::optional<Object> (Cursor::*move)()>
py::object moved(const CursorHandle& self) {
  return wrap(self.connection, (self.use().*move)());
}

}  // namespace

py::object wrap_cursor(const std::shared_ptr<ConnectionHandle>& connection,
                       const IndexHandle* index, Cursor cursor) {
  return py::cast(
      CursorHandle{connection, index, shared_engine(std::make_unique<Cursor>(std::move(cursor)))});
}

py::object open_cursor(const std::shared_ptr<ConnectionHandle>& connection, py::handle cls,
                       py::handle index) {
  Connection& engine = connection->use();
  const ClassHandle& type = connection->dictionary().resolve_class(cls);
  const IndexHandle* over =
      index.is_none() ? nullptr : &connection->dictionary().resolve_index(type, index);
  return wrap_cursor(connection, over,
                     engine.cursor(*type.definition, over == nullptr ? nullptr : over->definition));
}

void bind_cursor(py::module_& module) {
  py::class_<CursorHandle>(module, "Cursor")
      .def("find", find, py::arg("key"))
      .def("search", search, py::arg("operation"), py::arg("key"))
      .def("first", moved<&Cursor::first>)
      .def("last", moved<&Cursor::last>)
      .def("next", moved<&Cursor::next>)
      .def("prev", moved<&Cursor::prev>)
      .def("current",
           [](const CursorHandle& self) { return wrap(self.connection, self.use().current()); })
      .def("close",
           [](const CursorHandle& self) {
             if (!forked()) self.cursor->close();
           })
      .def_property_readonly(
          "is_open", [](const CursorHandle& self) { return !forked() && self.cursor->is_open(); })
      .def("__iter__", [](py::object self) { return self; })
      .def("__next__", step);
}

}  // namespace exdb::python
