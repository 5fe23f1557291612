// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "represent.hpp"

#include "arguments.hpp"
#include "conversion.hpp"
#include "exdb/errors.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

constexpr std::size_t items_max = 8, bytes_max = 80;

bool is_temporal(FieldType type) {
  return type == FieldType::date || type == FieldType::time || type == FieldType::datetime;
}

std::string shown_value(const FieldEntry& entry, const Value& value);

// A vector of a million numbers is not turned into a million objects to be cut away again.
std::string shown_list(const FieldEntry& entry, const ValueList& items) {
  std::string text = "(";
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += ", ";
    if (i == items_max) return text + "... " + std::to_string(items.size()) + " in all)";
    text += shown_value(entry, items[i]);
  }
  return text + (items.size() == 1 ? ",)" : ")");
}

std::string shown_value(const FieldEntry& entry, const Value& value) {
  if (value.kind() == Value::Kind::list) return shown_list(entry, value.as_list());
  if (value.kind() == Value::Kind::record)
    return "{" + shown_fields(*entry.record, value.as_record()) + "}";
  try {
    const py::object made = from_element(*entry.field, entry.enumeration, entry.record, value);
    // str() of a datetime is the date as people write it; repr() would be the constructor's call.
    const bool plain = is_temporal(entry.field->type) && !made.is_none();
    return cut_text(std::string(plain ? py::str(made) : py::str(py::repr(made))), bytes_max);
  } catch (const Error&) {
    return value.to_text();  // a day beyond what datetime can show
  }
}

}  // namespace

std::string shown_fields(const RecordTable& table, const ValueRecord& values) {
  std::string text;
  for (const auto& [name, value] : values)
    if (const FieldEntry* entry = table.find(std::string_view(name)))
      text += (text.empty() ? "" : " ") + name + "=" + shown_value(*entry, value);
  return text;
}

}  // namespace exdb::python
