// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "fields.hpp"

#include "conversion.hpp"
#include "exdb/errors.hpp"
#include "exdb/row.hpp"
#include "numbers.hpp"
#include "object.hpp"
#include "object_types.hpp"
#include "temporal.hpp"
#include "value_bytes.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

PyObject* new_none() { return py::none().release().ptr(); }

PyObject* read_enumerator(const FieldEntry& entry, std::int32_t number) {
  const auto found = entry.enumeration->members.find(number);
  if (found == entry.enumeration->members.end()) return PyLong_FromLong(number);
  return py::object(found->second).release().ptr();
}

PyObject* read_scalar(const RowView& row, const FieldEntry& entry) {
  const std::size_t at = entry.offset;
  switch (entry.field->type) {
    case FieldType::int8:
      return PyLong_FromLong(row.load<std::int8_t>(at));
    case FieldType::int16:
      return PyLong_FromLong(row.load<std::int16_t>(at));
    case FieldType::int32:
      return PyLong_FromLong(row.load<std::int32_t>(at));
    case FieldType::int64:
      return PyLong_FromLongLong(row.load<std::int64_t>(at));
    case FieldType::uint8:
      return PyLong_FromLong(row.load<std::uint8_t>(at));
    case FieldType::uint16:
      return PyLong_FromLong(row.load<std::uint16_t>(at));
    case FieldType::uint32:
      return PyLong_FromUnsignedLong(row.load<std::uint32_t>(at));
    case FieldType::uint64:
    case FieldType::autoid:
      return PyLong_FromUnsignedLongLong(row.load<std::uint64_t>(at));
    case FieldType::float32:
      return PyFloat_FromDouble(double(row.load<float>(at)));
    case FieldType::float64:
      return PyFloat_FromDouble(row.load<double>(at));
    case FieldType::boolean:
      return PyBool_FromLong(row.load<std::uint8_t>(at));
    case FieldType::date:
      return date_to_python(row.load<std::int32_t>(at));
    case FieldType::time:
      return time_to_python(row.load<std::int64_t>(at));
    case FieldType::datetime:
      return datetime_to_python(row.load<std::int64_t>(at));
    case FieldType::enumeration:
      return read_enumerator(entry, row.load<std::int32_t>(at));
    case FieldType::chars:
    case FieldType::string: {
      const std::string_view text = row.text_at(*entry.field, at);
      return PyUnicode_FromStringAndSize(text.data(), Py_ssize_t(text.size()));
    }
    case FieldType::binary:
    case FieldType::blob: {
      const Bytes bytes = row.bytes_at(*entry.field, at);
      return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                       Py_ssize_t(bytes.size()));
    }
    case FieldType::structure:
      break;
  }
  throw Error(ErrorCode::core, "field " + entry.field->name + " has no value of its own");
}

RawArray elements_of(const RowView& row, const FieldEntry& entry) {
  const FieldDef& field = *entry.field;
  if (field.is_array()) return {field.type, row.bytes().data() + entry.offset, field.array_length};
  const auto at = row.load<Reference>(entry.offset);
  return {field.type, row.bytes().data() + at.offset, at.length};
}

py::object read_numbers(const Object& object, const FieldEntry& entry) {
  std::shared_ptr<const void> hold;
  const RowView row = object.row(hold);
  return number_view(elements_of(row, entry), std::move(hold));
}

// One proxy an element; the path of each ends with its index.
py::object read_structures(PyObject* owner, const FieldEntry& entry, const std::string& path,
                           std::size_t count) {
  py::tuple result(count);
  for (std::size_t i = 0; i < count; ++i)
    result[i] = make_struct(owner, *entry.record, path + "[" + std::to_string(i) + "].");
  return result;
}

std::size_t count_of(const RowView& row, const FieldEntry& entry) {
  return entry.field->is_array() ? entry.field->array_length
                                 : row.load<Reference>(entry.offset).length;
}

bool is_bytes(const FieldDef& field) {
  return field.is_single() && !is_scalar(field.type) && field.type != FieldType::structure;
}

// A value by its own kind, whatever field it is of.
py::object plain(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
      return py::none();
    case Value::Kind::boolean:
      return py::bool_(value.as_bool());
    case Value::Kind::integer:
      return py::int_(value.as_int());
    case Value::Kind::unsigned_integer:
      return py::int_(value.as_uint());
    case Value::Kind::real:
      return py::float_(value.as_double());
    case Value::Kind::text:
      return py::str(value.as_text());
    case Value::Kind::bytes:
      return py::bytes(reinterpret_cast<const char*>(value.as_bytes().data()),
                       value.as_bytes().size());
    case Value::Kind::list: {
      py::list items;
      for (const Value& item : value.as_list()) items.append(plain(item));
      return py::tuple(items);
    }
    case Value::Kind::record: {
      py::dict fields;
      for (const auto& [name, item] : value.as_record()) fields[py::str(name)] = plain(item);
      return fields;
    }
  }
  return py::none();
}

}  // namespace

PyObject* read_field(PyObject* owner, const Object& object, const FieldEntry& entry) {
  const RowView row = object.row();
  if (!row.present(entry.presence)) return new_none();
  switch (entry.shape) {
    case Shape::scalar:
      return read_scalar(row, entry);
    case Shape::structure:
      return make_struct(owner, *entry.record, "").release().ptr();
    case Shape::numbers:
      return read_numbers(object, entry).release().ptr();
    case Shape::structures:
      return read_structures(owner, entry, entry.path, count_of(row, entry)).release().ptr();
    case Shape::items:
      return from_value(*entry.field, entry.enumeration, entry.record, row.value(entry.path))
          .release()
          .ptr();
  }
  return new_none();
}

py::object read_element_field(PyObject* owner, const Object& object, const FieldEntry& entry,
                              const std::string& prefix) {
  const std::string path = prefix + entry.path;
  if (entry.shape == Shape::numbers) {
    std::shared_ptr<const void> hold;
    const RowView row = object.row(hold);
    const RawArray elements = row.raw(path);
    return number_view(elements, std::move(hold));
  }
  const Value value = object.row().value(path);
  if (value.is_null()) return py::none();
  if (entry.shape == Shape::structure) return make_struct(owner, *entry.record, prefix);
  if (entry.shape == Shape::structures)
    return read_structures(owner, entry, path, value.as_list().size());
  return from_value(*entry.field, entry.enumeration, entry.record, value);
}

void write_field(Object& object, const FieldEntry& entry, py::handle value) {
  const FieldDef& field = *entry.field;
  if (const auto bytes = least_value_bytes(field, value)) object.require_fits(entry.path, bytes);
  if (!entry.top_level) {
    object.set(entry.path, to_value(field, value));
  } else if (is_bytes(field) && !value.is_none()) {
    with_bytes(field, value, [&](Bytes bytes) { object.set_bytes(field, bytes); });
  } else if (entry.shape != Shape::numbers || !write_numbers(object, field, value)) {
    object.set(field, to_value(field, value));
  }
}

void write_element_field(Object& object, const FieldEntry& entry, const std::string& prefix,
                         py::handle value) {
  const std::string path = prefix + entry.path;
  if (const auto bytes = least_value_bytes(*entry.field, value)) object.require_fits(path, bytes);
  object.set(path, to_value(*entry.field, value));
}

py::object raw_field(const Object& object, const RecordTable& table, const std::string& path) {
  const FieldEntry* entry = table.find(std::string_view(path));
  if (entry != nullptr && entry->enumeration != nullptr && entry->shape == Shape::scalar) {
    const RowView row = object.row();
    if (!row.present(entry->presence)) return py::none();
    return py::int_(row.load<std::int32_t>(entry->offset));
  }
  return plain(object.row().value(path));
}

}  // namespace exdb::python
