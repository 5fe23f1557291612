// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "conversion.hpp"

#include "arguments.hpp"
#include "errors.hpp"
#include "object.hpp"
#include "temporal.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

[[noreturn]] void refuse(const FieldDef& field, py::handle value, const std::string& wanted) {
  throw Error(ErrorCode::conversion, "field " + field.name + " (" + field.type_text() + ") takes " +
                                         wanted + ", not " + shown(value));
}

Value integer(const FieldDef& field, PyObject* value) {
  int overflow = 0;
  const long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow == 0) return std::int64_t{small};
  if (overflow > 0) {
    const unsigned long long large = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred() == nullptr) return std::uint64_t{large};
    PyErr_Clear();
  }
  refuse(field, value, "an integer of at most 64 bits");
}

// int and whatever says that it is an integer; floats are handed on for the engine to refuse, so
// that its text is the same in C++ and Python.
Value number(const FieldDef& field, py::handle value) {
  if (PyLong_Check(value.ptr())) return integer(field, value.ptr());
  if (PyFloat_Check(value.ptr())) return PyFloat_AS_DOUBLE(value.ptr());
  if (PyIndex_Check(value.ptr())) {
    const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
    if (!index) throw py::error_already_set();
    return integer(field, index.ptr());
  }
  const PyNumberMethods* methods = Py_TYPE(value.ptr())->tp_as_number;
  if (methods != nullptr && methods->nb_float != nullptr) {
    const double real = PyFloat_AsDouble(value.ptr());
    if (real == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return real;
  }
  refuse(field, value, "a number");
}

bool is_numpy_bool(py::handle value) {
  const std::string_view name = Py_TYPE(value.ptr())->tp_name;
  return name == "numpy.bool" || name == "numpy.bool_";
}

std::string_view text(const FieldDef& field, py::handle value) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
  if (bytes == nullptr) {
    PyErr_Clear();
    refuse(field, value, "text that is valid Unicode");
  }
  return {bytes, std::size_t(size)};
}

Value record_value(const FieldDef& field, py::handle value) {
  py::object source = py::reinterpret_borrow<py::object>(value);
  if (is_record(value)) source = record_to_dict(value);
  if (!PyDict_Check(source.ptr())) refuse(field, value, "a dict of its fields");
  ValueRecord record;
  for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(source)) {
    if (!PyUnicode_Check(key.ptr())) refuse(field, value, "a dict with names as keys");
    auto name = key.cast<std::string>();
    const FieldDef& part = field.record->at(name);
    record.emplace_back(std::move(name), to_value(part, item));
  }
  return record;
}

Value temporal(const FieldDef& field, py::handle value) {
  if (const auto stored = temporal_from_python(field, value.ptr())) return *stored;
  if (PyLong_Check(value.ptr()) || PyIndex_Check(value.ptr())) return number(field, value);
  refuse(field, value, "a datetime object, numpy.datetime64 or the integer that is stored");
}

py::object integer_object(const Value& value) {
  if (value.kind() == Value::Kind::unsigned_integer) return py::int_(value.as_uint());
  return py::int_(value.as_int());
}

py::object enumerator(const FieldDef& field, const EnumTable* enumeration, const Value& value) {
  std::int64_t number = 0;
  if (value.kind() == Value::Kind::text) {
    const std::int32_t* found = field.enumeration->find(value.as_text());
    if (found == nullptr) return py::str(value.as_text());
    number = *found;
  } else {
    number = value.as_int();
  }
  if (enumeration != nullptr)
    if (const auto found = enumeration->members.find(std::int32_t(number));
        found != enumeration->members.end())
      return found->second;
  return py::int_(number);
}

py::object steal(PyObject* made) {
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace

void with_bytes(const FieldDef& field, py::handle value, const std::function<void(Bytes)>& use) {
  if (field.type == FieldType::chars || field.type == FieldType::string) {
    if (!PyUnicode_Check(value.ptr())) refuse(field, value, "a str");
    return use(std::as_bytes(std::span(text(field, value))));
  }
  if (PyUnicode_Check(value.ptr())) refuse(field, value, "bytes");
  struct Buffer {
    Py_buffer view;
    ~Buffer() { PyBuffer_Release(&view); }
  } buffer{};
  if (PyObject_GetBuffer(value.ptr(), &buffer.view, PyBUF_SIMPLE) != 0) {
    PyErr_Clear();
    refuse(field, value, "bytes or a contiguous buffer");
  }
  use({static_cast<const std::byte*>(buffer.view.buf), std::size_t(buffer.view.len)});
}

Value to_element(const FieldDef& field, py::handle value) {
  if (value.is_none()) return nullptr;
  switch (field.type) {
    case FieldType::boolean:
      if (PyBool_Check(value.ptr())) return value.ptr() == Py_True;
      if (is_numpy_bool(value)) return PyObject_IsTrue(value.ptr()) == 1;
      return number(field, value);
    case FieldType::date:
    case FieldType::time:
    case FieldType::datetime:
      return temporal(field, value);
    case FieldType::enumeration:
      if (PyUnicode_Check(value.ptr())) return Value(text(field, value));
      if (PyBool_Check(value.ptr())) refuse(field, value, "an enumerator, its name or its number");
      return number(field, value);
    case FieldType::chars:
    case FieldType::string:
      if (!PyUnicode_Check(value.ptr())) refuse(field, value, "a str");
      return Value(text(field, value));
    case FieldType::binary:
    case FieldType::blob: {
      ByteString copy;
      with_bytes(field, value, [&](Bytes bytes) { copy.assign(bytes.begin(), bytes.end()); });
      return copy;
    }
    case FieldType::structure:
      return record_value(field, value);
    default:
      return number(field, value);
  }
}

Value to_value(const FieldDef& field, py::handle value) {
  if (field.is_single() || value.is_none()) return to_element(field, value);
  if (PyUnicode_Check(value.ptr()) || PyDict_Check(value.ptr())) refuse(field, value, "a sequence");
  const auto items =
      py::reinterpret_steal<py::object>(PySequence_Fast(value.ptr(), "not a sequence"));
  if (!items) {
    PyErr_Clear();
    refuse(field, value, "a sequence");
  }
  ValueList list;
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(items.ptr());
  list.reserve(std::size_t(size));
  for (Py_ssize_t i = 0; i < size; ++i)
    list.push_back(to_element(field, PySequence_Fast_GET_ITEM(items.ptr(), i)));
  return list;
}

std::vector<Value> to_key(const IndexHandle& index, py::handle key) {
  const auto& parts = index.definition->parts;
  const bool is_tuple = PyTuple_Check(key.ptr());
  const std::size_t given = is_tuple ? std::size_t(PyTuple_GET_SIZE(key.ptr())) : 1;
  if (given == 0 || given > parts.size())
    throw Error(ErrorCode::conversion, "index " + index.definition->class_name + "." +
                                           index.definition->name + " has " +
                                           std::to_string(parts.size()) +
                                           " part(s), and the key has " + std::to_string(given));
  std::vector<Value> values;
  values.reserve(given);
  for (std::size_t i = 0; i < given; ++i) {
    const py::handle part = is_tuple ? PyTuple_GET_ITEM(key.ptr(), Py_ssize_t(i)) : key.ptr();
    values.push_back(to_element(*parts[i].place.field, part));
  }
  return values;
}

py::object from_element(const FieldDef& field, const EnumTable* enumeration,
                        const RecordTable* record, const Value& value) {
  if (value.is_null()) return py::none();
  switch (field.type) {
    case FieldType::boolean:
      return py::bool_(value.kind() == Value::Kind::boolean ? value.as_bool()
                                                            : value.as_int() != 0);
    case FieldType::float32:
    case FieldType::float64:
      return py::float_(value.as_double());
    case FieldType::date:
      return steal(date_to_python(std::int32_t(value.as_int())));
    case FieldType::time:
      return steal(time_to_python(value.as_int()));
    case FieldType::datetime:
      return steal(datetime_to_python(value.as_int()));
    case FieldType::enumeration:
      return enumerator(field, enumeration, value);
    case FieldType::chars:
    case FieldType::string:
      return py::str(value.as_text());
    case FieldType::binary:
    case FieldType::blob: {
      const ByteString& bytes = value.as_bytes();
      return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    case FieldType::structure:
      return from_record(*record, value.as_record());
    default:
      return integer_object(value);
  }
}

py::object from_value(const FieldDef& field, const EnumTable* enumeration,
                      const RecordTable* record, const Value& value) {
  if (field.is_single() || value.is_null()) return from_element(field, enumeration, record, value);
  const ValueList& items = value.as_list();
  py::tuple result(items.size());
  for (std::size_t i = 0; i < items.size(); ++i)
    result[i] = from_element(field, enumeration, record, items[i]);
  return result;
}

py::dict from_record(const RecordTable& table, const ValueRecord& values) {
  py::dict result;
  for (const auto& [name, value] : values)
    if (const FieldEntry* entry = table.find(std::string_view(name)))
      result[entry->name] = from_value(*entry->field, entry->enumeration, entry->record, value);
  return result;
}

}  // namespace exdb::python
