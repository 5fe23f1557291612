// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "temporal.hpp"

#include <datetime.h>

#include <chrono>

#include "exdb/errors.hpp"
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

constexpr std::int64_t day_ns = 86'400'000'000'000;

std::chrono::year_month_day civil(std::int64_t days) {
  return std::chrono::sys_days{std::chrono::days{days}};
}

std::int64_t days_from(int year, int month, int day) {
  const auto date =
      std::chrono::year_month_day{std::chrono::year{year}, std::chrono::month{unsigned(month)},
                                  std::chrono::day{unsigned(day)}};
  return std::chrono::sys_days{date}.time_since_epoch().count();
}

// datetime knows the years 1 to 9999.
std::chrono::year_month_day civil_or_error(std::int64_t days) {
  constexpr std::int64_t first = -719162, last = 2932896;
  if (days < first || days > last)
    throw Error(ErrorCode::conversion, "day " + std::to_string(days) +
                                           " since 1970 is outside what datetime can show: read "
                                           "it with object.raw(field)");
  return civil(days);
}

std::int64_t floor_days(std::int64_t nanoseconds) {
  return nanoseconds / day_ns - (nanoseconds % day_ns < 0 ? 1 : 0);
}

[[noreturn]] void refuse(const FieldDef& field, PyObject* value, const char* why) {
  throw Error(ErrorCode::conversion, "field " + field.name + " (" + field.type_text() +
                                         "): " + py::repr(value).cast<std::string>() + " " + why);
}

std::int64_t microseconds_of_delta(PyObject* delta) {
  return (std::int64_t{PyDateTime_DELTA_GET_DAYS(delta)} * 86'400 +
          PyDateTime_DELTA_GET_SECONDS(delta)) *
             1'000'000 +
         PyDateTime_DELTA_GET_MICROSECONDS(delta);
}

bool is_naive(PyObject* value) { return py::handle(value).attr("utcoffset")().is_none(); }

std::int64_t offset_microseconds(PyObject* value) {
  const py::object offset = py::handle(value).attr("utcoffset")();
  return offset.is_none() ? 0 : microseconds_of_delta(offset.ptr());
}

std::int64_t nanoseconds_of_datetime(const FieldDef& field, PyObject* value) {
  const std::int64_t days =
      days_from(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
  const std::int64_t seconds = days * 86'400 + PyDateTime_DATE_GET_HOUR(value) * 3600 +
                               PyDateTime_DATE_GET_MINUTE(value) * 60 +
                               PyDateTime_DATE_GET_SECOND(value);
  std::int64_t micro = seconds * 1'000'000 + PyDateTime_DATE_GET_MICROSECOND(value);
  micro -= offset_microseconds(value);
  std::int64_t nano = 0;
  if (!PyDateTime_CheckExact(value) && py::hasattr(value, "nanosecond"))
    nano = py::handle(value).attr("nanosecond").cast<std::int64_t>();  // pandas.Timestamp
  std::int64_t result = 0;
  if (__builtin_mul_overflow(micro, std::int64_t{1000}, &result) ||
      __builtin_add_overflow(result, nano, &result))
    refuse(field, value,
           is_naive(value) ? "(taken as UTC) is outside the years 1678 to 2262, which nanoseconds "
                             "since 1970 can hold"
                           : "is outside the years 1678 to 2262, which nanoseconds since 1970 can "
                             "hold");
  return result;
}

std::int64_t nanoseconds_of_time(const FieldDef& field, PyObject* value) {
  if (offset_microseconds(value) != 0)
    refuse(field, value, "has a time zone, which a time without a date cannot be converted from");
  const std::int64_t seconds = PyDateTime_TIME_GET_HOUR(value) * 3600 +
                               PyDateTime_TIME_GET_MINUTE(value) * 60 +
                               PyDateTime_TIME_GET_SECOND(value);
  return (seconds * 1'000'000 + PyDateTime_TIME_GET_MICROSECOND(value)) * 1000;
}

bool is_numpy_time(PyObject* value) {
  const char* name = Py_TYPE(value)->tp_name;
  return std::string_view(name) == "numpy.datetime64" ||
         std::string_view(name) == "numpy.timedelta64";
}

std::int64_t numpy_time(const FieldDef& field, PyObject* value) {
  const py::object convert = package("exdb._arrays", "time_scalar");
  const py::object result = convert(py::handle(value), std::string(name_of(field.type)));
  if (result.is_none()) refuse(field, value, "does not fit (NaT is written as None)");
  return result.cast<std::int64_t>();
}

}  // namespace

void import_datetime() {
  PyDateTime_IMPORT;
  if (PyDateTimeAPI == nullptr) throw py::error_already_set();
}

PyObject* date_to_python(std::int32_t days) {
  const auto date = civil_or_error(days);
  return PyDate_FromDate(int(date.year()), int(unsigned(date.month())), int(unsigned(date.day())));
}

PyObject* time_to_python(std::int64_t nanoseconds) {
  const std::int64_t micro = nanoseconds / 1000, seconds = micro / 1'000'000;
  return PyTime_FromTime(int(seconds / 3600), int(seconds / 60 % 60), int(seconds % 60),
                         int(micro % 1'000'000));
}

PyObject* datetime_to_python(std::int64_t nanoseconds) {
  const std::int64_t days = floor_days(nanoseconds);
  const auto date = civil_or_error(days);
  const std::int64_t micro = (nanoseconds - days * day_ns) / 1000, seconds = micro / 1'000'000;
  return PyDateTimeAPI->DateTime_FromDateAndTime(
      int(date.year()), int(unsigned(date.month())), int(unsigned(date.day())), int(seconds / 3600),
      int(seconds / 60 % 60), int(seconds % 60), int(micro % 1'000'000), PyDateTime_TimeZone_UTC,
      PyDateTimeAPI->DateTimeType);
}

std::optional<std::int64_t> temporal_from_python(const FieldDef& field, PyObject* value) {
  if (PyDateTime_Check(value)) {
    if (field.type == FieldType::datetime) return nanoseconds_of_datetime(field, value);
    refuse(field, value, "is a datetime");
  }
  if (PyDate_Check(value)) {
    if (field.type != FieldType::date) refuse(field, value, "is a date");
    return days_from(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value),
                     PyDateTime_GET_DAY(value));
  }
  if (PyTime_Check(value)) {
    if (field.type != FieldType::time) refuse(field, value, "is a time");
    return nanoseconds_of_time(field, value);
  }
  if (is_numpy_time(value)) return numpy_time(field, value);
  return std::nullopt;
}

}  // namespace exdb::python
