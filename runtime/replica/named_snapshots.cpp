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

void NamedSnapshots::know(const std::vector<SnapshotName>& names) {
  const std::lock_guard lock(mutex_);
  known_ = true;
  for (const auto& each : names) {
    NamedSnapshot entry;
    entry.name = each.name;
    entry.csn = each.csn;
    entry.round = each.round;
    entry.digest = each.digest;
    entry.why_not = {
        ErrorCode::unsupported,
        "snapshot '" + each.name +
            "' was given before this node took its state from another one, and what it "
            "shows did not come along: read it on a node that was there then"};
    names_.emplace(each.name, std::move(entry));
  }
}

void NamedSnapshots::replace(const NamedSnapshots& other) {
  const std::scoped_lock lock(mutex_, other.mutex_);
  auto next = other.names_;
  for (const auto& [name, entry] : names_) {
    const auto found = next.find(name);
    // The digest tells of histories that parted; of one that is known by its file alone it is 0.
    const bool same =
        found != next.end() && found->second.csn == entry.csn &&
        found->second.round == entry.round &&
        (found->second.digest == entry.digest || found->second.digest == 0 || entry.digest == 0);
    if (same)
      found->second = entry;
    else if (entry.on_disk)
      stale_.insert(name);
  }
  names_ = std::move(next);
  changed_ = other.changed_;
  known_ = other.known_;
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
    if (there == names_.end() && !known_) {
      names_.emplace(file.name, std::move(file));
    } else if (there == names_.end() || (file.why_not.ok() && there->second.round != file.round)) {
      stale_.insert(file.name);
    } else if (there->second.pinned) {
      there->second.on_disk = true;  // the same one, pinned by the log
    } else {
      // Known by the state (M4), and here is what it shows; of a damaged file that it is damaged.
      there->second.on_disk = true;
      there->second.why_not = file.why_not;
    }
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

/// Not of a name that is there again and will have a file: the new one replaces the old one.
std::vector<std::string> NamedSnapshots::files_to_remove() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& name : stale_) {
    const auto there = names_.find(name);
    if (there == names_.end() || !(there->second.pinned || there->second.on_disk))
      names.push_back(name);
  }
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
