// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/search_bounds.hpp"

#include <algorithm>

namespace exdb {
namespace {

const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::less_than:
      return "LessThan";
    case Operation::less_or_equals:
      return "LessOrEquals";
    case Operation::equals:
      return "Equals";
    case Operation::greater_or_equals:
      return "GreaterOrEquals";
    case Operation::greater_than:
      return "GreaterThan";
    case Operation::prefix_match:
      return "PrefixMatch";
  }
  return "unknown";
}

/// "index NAME of class CLASS"
std::string named(const IndexDef& index) {
  return "index " + index.name + " of class " + index.class_name;
}

KeyRange nothing() {
  const KeyBytes least{std::as_bytes(std::span("", 1))};
  return {least, least};
}

KeyBytes key_of(const IndexDef& index, std::span<const Value> values) {
  KeyBytes key;
  if (!values.empty()) make_key(index, values, key);
  return key;
}

void require_parts(const IndexDef& index, std::size_t values) {
  if (values <= index.parts.size()) return;
  throw Error(ErrorCode::conversion, named(index) + " has " + std::to_string(index.parts.size()) +
                                         " key parts, not " + std::to_string(values));
}

/// How many leading parts are the same in both.
std::size_t parts_in_common(const IndexDef& index, std::span<const Value> a,
                            std::span<const Value> b) {
  const auto both = std::min(a.size(), b.size());
  std::size_t same = 0;
  while (same < both && key_of(index, a.first(same + 1)) == key_of(index, b.first(same + 1)))
    ++same;
  return same;
}

}  // namespace

void require_searchable(const ClassDef& type, const IndexDef* index, Operation operation,
                        std::size_t values) {
  if (!index || index->parts.empty()) {
    throw Error(ErrorCode::unsupported,
                "a search needs a tree, hash or autoid index; class " + type.name +
                    " is here walked " +
                    (index ? "by list index " + index->name : "without an index"));
  }
  if (values == 0) {
    throw Error(
        ErrorCode::conversion,
        named(*index) + " has " + std::to_string(index->parts.size()) + " key parts, not 0");
  }
  require_parts(*index, values);
  if (index->ordered()) return;
  if (operation != Operation::equals) {
    throw Error(ErrorCode::unsupported, std::string(name_of(operation)) + " needs a tree index; " +
                                            index->name + " of class " + type.name + " is a " +
                                            std::string(exdb::name_of(index->kind)) +
                                            " index, which knows Equals only");
  }
  if (values != index->parts.size()) {
    throw Error(ErrorCode::conversion, named(*index) + " is searched with its whole key of " +
                                           std::to_string(index->parts.size()) + " parts, not " +
                                           std::to_string(values));
  }
}

KeyRange search_bounds(const IndexDef& index, Operation operation, std::span<const Value> values) {
  if (operation == Operation::prefix_match) return prefix_range(index, values);
  auto wanted = key_of(index, values);
  auto behind = key_successor(wanted);
  switch (operation) {
    case Operation::greater_or_equals:
      return {std::move(wanted), {}};
    case Operation::greater_than:
      if (behind.empty()) return nothing();  // nothing is above the greatest key
      return {std::move(behind), {}};
    case Operation::less_than:
      return {{}, std::move(wanted)};
    case Operation::less_or_equals:
      return {{}, std::move(behind)};
    default:
      return {std::move(wanted), std::move(behind)};
  }
}

/// Where the two part, the index either ascends, and runs from low to high, or descends. That may be
/// a part which only one of them has: all values of it lie on one side of the other end.
KeyRange range_bounds(const IndexDef& index, std::span<const Value> low,
                      std::span<const Value> high) {
  if (!index.ordered()) {
    const bool keyed = !index.parts.empty();
    throw Error(ErrorCode::unsupported,
                "a range needs a tree index; " + index.name + " of class " + index.class_name +
                    " is a " + std::string(exdb::name_of(index.kind)) + " index: " +
                    (keyed ? "look for one key with find() or search(Equals)"
                           : "walk all rows with cursor()") +
                    ", or declare a tree over these fields");
  }
  require_parts(index, low.size());
  require_parts(index, high.size());
  const auto same = parts_in_common(index, low, high);
  const bool part = same < std::max(low.size(), high.size());
  const bool descends = part && index.parts[same].descending;
  auto first = key_of(index, descends ? high : low), last = key_of(index, descends ? low : high);
  // Both have a value there: low's may be the greater one.
  if (same < std::min(low.size(), high.size()) && first > last) return nothing();
  return {std::move(first), last.empty() ? KeyBytes() : key_successor(last)};
}

KeyRange common(KeyRange a, const KeyRange& b) {
  if (a.low < b.low) a.low = b.low;
  if (a.high.empty() || (!b.high.empty() && b.high < a.high)) a.high = b.high;
  return a;
}

}  // namespace exdb
