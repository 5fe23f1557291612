// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/row_path.hpp"

#include <charconv>

namespace exdb {
namespace {

[[noreturn]] void bad_path(const RowView& row, std::string_view path, const std::string& why) {
  throw Error(ErrorCode::ddl_field_not_found,
              row.type().name + ": '" + std::string(path) + "' " + why);
}

struct Step {
  std::string_view name;
  std::optional<std::uint64_t> index;
};

/// Takes the first step off `rest`.
Step take_step(const RowView& row, std::string_view path, std::string_view& rest) {
  const auto dot = rest.find('.');
  auto text = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  // Without this "a." would be taken as "a": `rest` is empty either way.
  if (dot != std::string_view::npos && rest.empty()) bad_path(row, path, "ends in a dot");
  Step step{text, std::nullopt};
  if (const auto bracket = text.find('['); bracket != std::string_view::npos) {
    step.name = text.substr(0, bracket);
    const auto digits = text.substr(bracket + 1);
    std::uint64_t index = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc() || std::string_view(end, digits.data() + digits.size()) != "]")
      bad_path(row, path, "has no index such as [0] after '" + std::string(step.name) + "'");
    step.index = index;
  }
  return step;
}

/// Moves `at`, the field itself, to one of its elements.
void enter_element(const RowView& row, std::string_view path, std::uint64_t index, Location& at) {
  const auto& field = *at.field;
  if (field.is_single())
    bad_path(row, path, "has an index, but '" + field.name + "' is " + field.type_text());
  at.element = true;
  // Within an absent struct there is nothing to count: whether the index lies within is only known
  // when the struct is made present.
  if (at.absent) return;
  std::uint64_t count = field.array_length;
  if (field.is_vector) {
    const auto ref = row.load<Reference>(at.offset);
    count = ref.length;
    at.offset = ref.offset;
  }
  if (index >= count)
    throw Error(ErrorCode::conversion, row.type().name + "." + std::string(path) + ": '" +
                                           field.name + "' has " + std::to_string(count) +
                                           " elements, counted from 0");
  at.offset += index * field.element_size;
}

}  // namespace

Location locate_value(const RowView& row, std::string_view path, const EnterAbsent& enter_absent) {
  const auto* record = &row.type().record;
  Location at;
  auto rest = path;
  while (true) {
    const auto step = take_step(row, path, rest);
    at.field = &record->at(step.name);
    at.base = at.offset;
    at.offset += at.field->offset;
    at.element = false;
    if (step.index) enter_element(row, path, *step.index, at);
    if (rest.empty()) return at;
    if (at.field->type != FieldType::structure || (!at.field->is_single() && !at.element))
      bad_path(row, path,
               "goes on behind '" + at.field->name + "', which is " + at.field->type_text());
    if (!at.absent && !row.present(presence_at(*at.field, at.base)))
      at.absent = !enter_absent(*at.field, at.base);
    record = at.field->record;
  }
}

}  // namespace exdb
