// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "numbers.hpp"

#include <pybind11/numpy.h>

#include <array>
#include <utility>
#include <vector>

#include "exdb/errors.hpp"
#include "interrupt.hpp"
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

const char* dtype_name(FieldType type) {
  switch (type) {
    case FieldType::int8:
      return "i1";
    case FieldType::int16:
      return "i2";
    case FieldType::int32:
      return "i4";
    case FieldType::int64:
      return "i8";
    case FieldType::uint8:
      return "u1";
    case FieldType::uint16:
      return "u2";
    case FieldType::uint32:
      return "u4";
    case FieldType::uint64:
      return "u8";
    case FieldType::float32:
      return "f4";
    case FieldType::float64:
      return "f8";
    case FieldType::boolean:
      return "?";
    case FieldType::date:
    case FieldType::enumeration:
      return "i4";
    case FieldType::time:
      return "m8[ns]";
    case FieldType::datetime:
      return "M8[ns]";
    default:
      return "u8";
  }
}

const py::dtype& dtype_of(FieldType type) {
  static std::array<py::dtype*, std::size_t(FieldType::autoid) + 1> made{};  // never freed
  py::dtype*& slot = made[std::size_t(type)];
  if (slot == nullptr) slot = new py::dtype(dtype_name(type));
  return *slot;
}

// The struct module's letter for a native value of this type, as buffers name it.
bool format_fits(const char* format, FieldType storage, Py_ssize_t item_bytes) {
  if (format == nullptr) format = "B";
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  if (*format == '\0' || format[1] != '\0' || item_bytes != Py_ssize_t(size_of(storage)))
    return false;
  const char letter = *format;
  switch (storage) {
    case FieldType::boolean:
      return letter == '?';
    case FieldType::float32:
      return letter == 'f';
    case FieldType::float64:
      return letter == 'd';
    case FieldType::int8:
    case FieldType::int16:
    case FieldType::int32:
    case FieldType::int64:
      return std::string_view("bhilqn").find(letter) != std::string_view::npos;
    default:
      return std::string_view("BHILQN").find(letter) != std::string_view::npos;
  }
}

class Buffer {
 public:
  Buffer(Buffer&& other) noexcept : view_(other.view_), held_(std::exchange(other.held_, false)) {}
  explicit Buffer(py::handle value) {
    held_ = PyObject_GetBuffer(value.ptr(), &view_, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) == 0;
    if (!held_) PyErr_Clear();
  }
  ~Buffer() {
    if (held_) PyBuffer_Release(&view_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  [[nodiscard]] bool fits(FieldType storage) const {
    return held_ && view_.ndim == 1 && format_fits(view_.format, storage, view_.itemsize);
  }
  [[nodiscard]] Bytes bytes() const {
    return {static_cast<const std::byte*>(view_.buf), std::size_t(view_.len)};
  }

 private:
  Py_buffer view_{};
  bool held_ = false;
};

bool has_many_numbers(py::handle value) {
  return PyObject_CheckBuffer(value.ptr()) || py::hasattr(value, "dtype") ||
         py::hasattr(value, "__array__");
}

}  // namespace

py::object number_view(const RawArray& elements, std::shared_ptr<const void> hold) {
  const py::dtype& dtype = dtype_of(elements.type);
  auto* kept = new std::shared_ptr<const void>(std::move(hold));
  const py::capsule base(
      kept, [](void* pointer) { delete static_cast<std::shared_ptr<const void>*>(pointer); });
  py::array view(dtype, {py::ssize_t(elements.count)}, {py::ssize_t(size_of(elements.type))},
                 elements.data, base);
  py::detail::array_proxy(view.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return view;
}

bool write_numbers(Object& object, const FieldDef& field, py::handle value) {
  if (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr())) return false;
  const FieldType storage = storage_of(field.type);
  {
    const Buffer buffer(value);
    if (buffer.fits(storage)) {
      object.set_raw(field, storage, buffer.bytes());
      return true;
    }
  }
  if (!has_many_numbers(value)) return false;
  const py::object convert = package("exdb._arrays", "as_storage");
  const py::object made = convert(value, std::string(dtype_name(storage)), field.type_text(),
                                  field.name, field.type == FieldType::date);
  const Buffer buffer(made);
  if (!buffer.fits(storage))
    throw Error(ErrorCode::conversion, "field " + field.name + " (" + field.type_text() +
                                           "): the array cannot be converted");
  object.set_raw(field, storage, buffer.bytes());
  return true;
}

namespace {

/// The column of one field. `held` keeps what it points to.
Column column_of(const FieldDef& field, py::handle value, std::vector<Buffer>& held,
                 std::size_t& rows) {
  py::object made;
  if (is_scalar(field.type)) {
    made = package("exdb._columns", "numbers")(
        value, std::string(dtype_name(storage_of(field.type))), field.type_text(), field.name,
        field.type == FieldType::date, field.array_length, field.is_vector);
  } else if (field.is_single() && field.type != FieldType::structure) {
    made = package("exdb._columns", "texts")(
        value, field.type_text(), field.name,
        field.type == FieldType::chars || field.type == FieldType::string);
  } else {
    throw Error(ErrorCode::unsupported, "field " + field.name + " (" + field.type_text() +
                                            ") cannot come as a column: make such rows by new()");
  }
  const py::tuple parts(made);
  rows = parts[0].cast<std::size_t>();
  const auto bytes = [&](py::handle of) { return held.emplace_back(of).bytes(); };
  Column column{&field, bytes(parts[1]), parts[2].cast<std::size_t>(), {}};
  if (!parts[3].is_none()) {
    const Bytes ends = bytes(parts[3]);
    column.ends = {reinterpret_cast<const std::uint64_t*>(ends.data()),
                   ends.size() / sizeof(std::uint64_t)};
  }
  return column;
}

}  // namespace

std::size_t insert_columns(Connection& connection, const ClassDef& type, const py::dict& columns) {
  std::vector<Buffer> held;
  std::vector<Column> made;
  held.reserve(2 * columns.size());
  std::size_t rows = 0;
  std::string first;
  for (const auto& [name, value] : columns) {
    const auto& field = type.record.at(py::str(name).cast<std::string>());
    std::size_t of_column = 0;
    made.push_back(column_of(field, value, held, of_column));
    if (first.empty()) {
      first = field.name;
      rows = of_column;
    } else if (of_column != rows) {
      throw Error(ErrorCode::conversion, "columns of different lengths: " + first + " has " +
                                             std::to_string(rows) + " rows, " + field.name + " " +
                                             std::to_string(of_column));
    }
  }
  const Released released;
  connection.insert_many(type, rows, made);
  return rows;
}

}  // namespace exdb::python
