// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/named_snapshots.hpp"

#include <algorithm>

#include "transaction/record.hpp"

namespace exdb {

void NamedSnapshots::forget(const std::string& name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return;
  if (found->second.on_disk) stale_.insert(name);
  names_.erase(found);
}

void NamedSnapshots::set(NamedSnapshot given) {
  const std::lock_guard lock(mutex_);
  forget(given.name);
  changed_[given.name] = given.round;
  auto name = given.name;
  names_.emplace(std::move(name), std::move(given));
}

void NamedSnapshots::drop(const std::string& name, Round round) {
  const std::lock_guard lock(mutex_);
  forget(name);
  changed_[name] = round;
}

void NamedSnapshots::clear() {
  const std::lock_guard lock(mutex_);
  while (!names_.empty()) forget(std::string(names_.begin()->first));
  changed_.clear();
}

std::optional<NamedSnapshot> NamedSnapshots::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<NamedSnapshot> NamedSnapshots::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<NamedSnapshot> every;
  for (const auto& [name, entry] : names_) every.push_back(entry);
  return every;
}

std::size_t NamedSnapshots::size() const {
  const std::lock_guard lock(mutex_);
  return names_.size();
}

void NamedSnapshots::merge(std::vector<NamedSnapshot> files) {
  const std::lock_guard lock(mutex_);
  for (auto& file : files) {
    const auto later = changed_.find(file.name);
    if (later != changed_.end() && later->second > file.round) {
      stale_.insert(file.name);
      continue;
    }
    file.on_disk = true;
    const auto there = names_.find(file.name);
    if (there != names_.end())
      there->second.on_disk = true;  // the same one, pinned by the log
    else
      names_.emplace(file.name, std::move(file));
  }
}

void NamedSnapshots::written(const std::string& name, Round round) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  if (found != names_.end() && found->second.round == round) {
    found->second.on_disk = true;
    stale_.erase(name);  // the file of before was replaced by this one
  } else {
    stale_.insert(name);  // dropped, or given again, while it was written
  }
}

/// Not of a name that is there again: its new file replaces the old one.
std::vector<std::string> NamedSnapshots::files_to_remove() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& name : stale_)
    if (!names_.contains(name)) names.push_back(name);
  return names;
}

void NamedSnapshots::removed(const std::string& name) {
  const std::lock_guard lock(mutex_);
  stale_.erase(name);
}

Status check_snapshot_name(const std::string& name) {
  const auto wrong = [](const std::string& what) {
    return Status(ErrorCode::conversion, "the name of a snapshot " + what);
  };
  if (name.empty()) return wrong("is empty");
  if (name.size() > TransactionRecord::name_bytes_max)
    return wrong("has " + std::to_string(name.size()) + " bytes, more than " +
                 std::to_string(TransactionRecord::name_bytes_max));
  const auto is_control = [](char each) { return static_cast<unsigned char>(each) < ' '; };
  if (std::any_of(name.begin(), name.end(), is_control)) return wrong("has control characters");
  return {};
}

}  // namespace exdb
