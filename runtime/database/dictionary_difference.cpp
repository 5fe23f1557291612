// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Works on lines of the canonical text, not on a parsed Dictionary: the other node's text may be of
// a newer version of the language, and is only to be shown.
#include "database/dictionary_difference.hpp"

#include <algorithm>
#include <vector>

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace exdb {
namespace {

/// Opens the line that stands for all that a declaration declares, in an outline that is cut.
constexpr char hash_mark = '#';

using Lines = std::vector<std::string_view>;

/// "class Flight {" with what is between the braces; or a line of its own.
struct Declaration {
  std::string_view head;
  Lines body;
};

/// A field or an index: `what` it is, and its name.
struct Part {
  std::string name, what;
  bool is_index = false;
};

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<Declaration> declarations_of(std::string_view text) {
  std::vector<Declaration> all;
  for (const auto line : lines_of(text)) {
    if (line == "};") continue;
    if (line.starts_with("  ")) {
      if (!all.empty()) all.back().body.push_back(line.substr(2));
    } else {
      all.push_back({line, {}});
    }
  }
  return all;
}

/// "local class Flight {" -> "class Flight"
std::string title_of(std::string_view head) {
  for (const std::string_view word : {"local ", "persistent ", "transient "})
    if (head.starts_with(word)) head.remove_prefix(word.size());
  if (head.ends_with(" {")) head.remove_suffix(2);
  if (head.ends_with(";")) head.remove_suffix(1);
  return std::string(head);
}

/// "unsigned<1> month[3];" -> month, unsigned<1>[3]
Part part_of(std::string_view line) {
  while (line.ends_with(";") || line.ends_with(",")) line.remove_suffix(1);
  Part part;
  for (const std::string_view kind : {"unique ", "nonunique ", "tree", "hash", "list", "autoid"})
    part.is_index |= line.starts_with(kind);
  const auto space = line.rfind(' ');
  if (space == std::string_view::npos) return {std::string(line), std::string(line), part.is_index};
  auto name = line.substr(space + 1);
  part.what = line.substr(0, space);
  if (const auto bracket = name.find('['); bracket != std::string_view::npos) {
    part.what += name.substr(bracket);
    name = name.substr(0, bracket);
  }
  part.name = name;
  return part;
}

std::string is_on_one(const std::string& what, std::string_view there, std::string_view not_there) {
  return what + " is on " + std::string(there) + " and not on " + std::string(not_there);
}

/// How two declarations of one title differ.
std::string within(const Declaration& a, const Declaration& b, std::string_view name_a,
                   std::string_view name_b) {
  const auto title = title_of(a.head);
  if (a.head != b.head) {
    auto text_a = std::string(a.head), text_b = std::string(b.head);
    for (auto* text : {&text_a, &text_b})
      if (text->ends_with(" {")) text->resize(text->size() - 2);
    return title + " is '" + text_a + "' on " + std::string(name_a) + " and '" + text_b + "' on " +
           std::string(name_b);
  }
  if (!a.body.empty() && a.body[0].starts_with(hash_mark)) return title + " differs";
  const auto has = [](const Declaration& in, const std::string& name) {
    return std::any_of(in.body.begin(), in.body.end(),
                       [&](std::string_view line) { return part_of(line).name == name; });
  };
  const auto [at_a, at_b] =
      std::mismatch(a.body.begin(), a.body.end(), b.body.begin(), b.body.end());
  const auto named = [&](const Part& part) {
    return title + (part.is_index ? ", index " : ", field ") + part.name;
  };
  if (at_a != a.body.end() && (at_b == b.body.end() || !has(b, part_of(*at_a).name)))
    return is_on_one(named(part_of(*at_a)), name_a, name_b);
  if (at_b != b.body.end() && (at_a == a.body.end() || !has(a, part_of(*at_b).name)))
    return is_on_one(named(part_of(*at_b)), name_b, name_a);
  const auto part_a = part_of(*at_a), part_b = part_of(*at_b);
  if (part_a.name != part_b.name)
    return title + " has " + part_a.name + " on " + std::string(name_a) + " where it has " +
           part_b.name + " on " + std::string(name_b) + " (the order counts)";
  return named(part_a) + " is " + part_a.what + " on " + std::string(name_a) + " and " +
         part_b.what + " on " + std::string(name_b);
}

}  // namespace

std::string outline_of(const Dictionary& dictionary, std::size_t bytes_max) {
  const auto& text = dictionary.to_text();
  if (text.size() <= bytes_max) return text;
  std::string outline;
  for (const auto& each : declarations_of(text)) {
    std::string body;
    for (const auto line : each.body) body += line;
    const auto shown = std::string(each.head) + "\n  " + hash_mark +
                       std::to_string(hash_bytes(as_bytes(std::string_view(body)))) + ";\n";
    if (outline.size() + shown.size() > bytes_max) break;
    outline += shown;
  }
  return outline;
}

std::string first_difference(std::string_view a, std::string_view b, std::string_view name_a,
                             std::string_view name_b) {
  const auto all_a = declarations_of(a), all_b = declarations_of(b);
  const auto has = [](const std::vector<Declaration>& in, const std::string& title) {
    return std::any_of(in.begin(), in.end(),
                       [&](const Declaration& each) { return title_of(each.head) == title; });
  };
  const auto same = [](const Declaration& one, const Declaration& other) {
    return one.head == other.head && one.body == other.body;
  };
  const auto [at_a, at_b] =
      std::mismatch(all_a.begin(), all_a.end(), all_b.begin(), all_b.end(), same);
  if (at_a == all_a.end() && at_b == all_b.end()) return {};
  if (at_a != all_a.end() && (at_b == all_b.end() || !has(all_b, title_of(at_a->head))))
    return is_on_one(title_of(at_a->head), name_a, name_b);
  if (at_b != all_b.end() && (at_a == all_a.end() || !has(all_a, title_of(at_b->head))))
    return is_on_one(title_of(at_b->head), name_b, name_a);
  const auto title_a = title_of(at_a->head), title_b = title_of(at_b->head);
  if (title_a != title_b)
    return title_a + " stands on " + std::string(name_a) + " where " + title_b + " stands on " +
           std::string(name_b) + " (the order counts)";
  return within(*at_a, *at_b, name_a, name_b);
}

}  // namespace exdb
