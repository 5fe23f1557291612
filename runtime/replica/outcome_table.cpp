// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/outcome_table.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/assert.hpp"

namespace exdb {
namespace {

/// By number of the entry. They travel, so this order is a part of the format.
constexpr std::uint8_t unknown = 0;
constexpr std::array codes{ErrorCode::ok /* of unknown: never told */,
                           ErrorCode::ok,
                           ErrorCode::conflict,
                           ErrorCode::duplicate,
                           ErrorCode::snapshot_too_old,
                           ErrorCode::transaction};

std::uint8_t entry_of(ErrorCode code) {
  const auto found = std::find(codes.begin() + 1, codes.end(), code);
  return static_cast<std::uint8_t>(found == codes.end() ? codes.size() - 1 : found - codes.begin());
}

Status bad(const char* what) {
  return {ErrorCode::cluster_protocol, std::string("outcomes cannot be read: ") + what};
}

}  // namespace

std::uint8_t OutcomeTable::Window::get(std::uint64_t sequence) const {
  const auto at = sequence % remembered;
  const auto& page = pages[at / page_entries];
  return page ? (*page)[at % page_entries] : unknown;
}

void OutcomeTable::Window::set(std::uint64_t sequence, std::uint8_t entry) {
  const auto at = sequence % remembered;
  auto& page = pages[at / page_entries];
  if (!page) {
    if (entry == unknown) return;
    page = std::make_unique<std::array<std::uint8_t, page_entries>>();
  }
  (*page)[at % page_entries] = entry;
}

/// What was in the places that the window moves over is forgotten (O2); at most one lap of them.
void OutcomeTable::Window::advance(std::uint64_t to) {
  if (to - highest >= remembered) {
    // A number out of all proportion, too, costs no more than this.
    for (auto& page : pages) page.reset();
  } else {
    for (auto passed = highest + 1; passed < to; ++passed) set(passed, unknown);
  }
  highest = to;
}

void OutcomeTable::Window::begin_life() {
  auto before = std::make_unique<Window>();
  before->highest = std::exchange(highest, 0);
  before->pages.swap(pages);
  former = std::move(before);
}

std::size_t OutcomeTable::Window::bytes() const {
  std::size_t bytes = former ? former->bytes() : 0;
  for (const auto& page : pages) bytes += page ? sizeof(*page) : 0;
  return bytes;
}

void OutcomeTable::record(TxnId id, ErrorCode code) {
  if (id.sequence == 0 || id.sequence > sequence_max) return;  // names no transaction
  auto& window = windows_[id.origin];
  if (id.sequence > window.highest) {
    if (window.highest != 0 && id.sequence - window.highest >= life_gap) window.begin_life();
    window.advance(id.sequence);
  } else if (id.sequence < window.lowest()) {
    if (window.former && window.former->covers(id.sequence))
      window.former->set(id.sequence, entry_of(code));
    return;
  }
  window.set(id.sequence, entry_of(code));
}

std::optional<ErrorCode> OutcomeTable::find(TxnId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = windows_.find(id.origin);
  if (found == windows_.end()) return std::nullopt;
  const auto& newest = found->second;
  const auto never = newest.ended ? std::optional(ErrorCode::transaction) : std::nullopt;
  if (id.sequence > newest.highest) return id.sequence > sequence_max ? std::nullopt : never;
  const auto* const window = newest.covers(id.sequence) ? &newest : newest.former.get();
  if (window == nullptr || !window->covers(id.sequence)) return std::nullopt;
  const auto entry = window->get(id.sequence);
  if (entry != unknown) return codes[entry];
  return window == &newest ? never : std::nullopt;
}

void OutcomeTable::end(NodeId origin) {
  const std::lock_guard lock(mutex_);
  windows_[origin].ended = true;
}

std::optional<ErrorCode> OutcomeTable::decided(TxnId id) const {
  {
    const std::lock_guard lock(mutex_);
    const auto found = windows_.find(id.origin);
    if (found != windows_.end() && id.sequence < found->second.lowest() &&
        !(found->second.former && found->second.former->covers(id.sequence)))
      return ErrorCode::unknown_outcome;
  }
  return find(id);
}

void OutcomeTable::replace(OutcomeTable& other) {
  const std::scoped_lock lock(mutex_, other.mutex_);
  windows_ = std::move(other.windows_);
  other.windows_.clear();
}

std::size_t OutcomeTable::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& [origin, window] : windows_) bytes += window.bytes();
  return bytes;
}

std::vector<NodeId> OutcomeTable::origins() const {
  const std::lock_guard lock(mutex_);
  std::vector<NodeId> origins;
  origins.reserve(windows_.size());
  for (const auto& [origin, window] : windows_) origins.push_back(origin);
  return origins;
}

void OutcomeTable::encode(NodeId origin, std::vector<std::byte>& out) const {
  const std::lock_guard lock(mutex_);
  const auto found = windows_.find(origin);
  EXDB_ASSERT(found != windows_.end(), "an origin of this table is written");
  const auto& window = found->second;
  ByteWriter writer(out);
  writer.put_varint(origin.value);
  writer.put(static_cast<std::uint8_t>(window.former != nullptr));
  if (window.former) window.former->encode(writer);
  window.encode(writer);
}

void OutcomeTable::Window::encode(ByteWriter& out) const {
  out.put_varint(highest);
  for (auto at = lowest(); at <= highest;) {
    const auto entry = get(at);
    auto end = at + 1;
    while (end <= highest && get(end) == entry) ++end;
    out.put(entry);
    out.put_varint(end - at);
    at = end;
  }
}

Status OutcomeTable::Window::decode(ByteReader& in) {
  highest = in.get_varint();
  if (highest == 0 || highest > sequence_max) return bad("no such number");
  for (auto at = lowest(); at <= highest;) {
    const auto entry = in.get<std::uint8_t>();
    const auto run = in.get_varint();
    if (!in.ok()) return bad("they are cut short");
    if (entry >= codes.size()) return bad("unknown outcome");
    if (run == 0 || run - 1 > highest - at) return bad("a run beyond the last number");
    for (const auto end = at + run; at < end; ++at) set(at, entry);
  }
  return {};
}

Status OutcomeTable::decode(ByteReader& in) {
  const auto origin = in.get_varint();
  if (origin > std::numeric_limits<std::uint32_t>::max()) return bad("no such origin");
  Window window;
  const auto lives = in.get<std::uint8_t>();
  if (lives > 1) return bad("too many lives");
  if (lives == 1) {
    window.former = std::make_unique<Window>();
    if (auto status = window.former->decode(in); !status) return status;
  }
  if (auto status = window.decode(in); !status) return status;
  if (window.former &&
      (window.highest < life_gap || window.former->highest > window.highest - life_gap))
    return bad("two lives that are one");
  const std::lock_guard lock(mutex_);
  if (!windows_.emplace(NodeId{static_cast<std::uint32_t>(origin)}, std::move(window)).second)
    return bad("an origin comes twice");
  return {};
}

}  // namespace exdb
