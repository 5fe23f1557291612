// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Snapshots by name, at the door.
#include "database/alone_route.hpp"
#include "database/checkpoints.hpp"
#include "database/leader_route.hpp"
#include "database/named_files.hpp"
#include "durability/disk_folder.hpp"
#include "exdb/database.hpp"

namespace exdb {
namespace {

/// Those there are, as the process that applies the rounds knows them.
std::vector<NamedSnapshot> names_of(DatabaseCore& core) {
  core.require_open();
  if (core.leader == nullptr) return core.replica->names().all();
  auto names = core.leader->names();
  names.status().or_throw();
  return std::move(*names);
}

std::optional<NamedSnapshot> find(DatabaseCore& core, const std::string& name) {
  if (core.leader == nullptr) return core.replica->names().find(name);
  for (auto& entry : names_of(core))
    if (entry.name == name) return std::move(entry);
  return std::nullopt;
}

NamedSnapshot named(DatabaseCore& core, const std::string& name) {
  if (auto found = find(core, name)) return std::move(*found);
  std::string names;
  for (const auto& entry : names_of(core))
    names += (names.empty() ? "'" : ", '") + entry.name + "'";
  throw Error(ErrorCode::not_found, "there is no snapshot '" + name +
                                        "'; there are: " + (names.empty() ? "none" : names));
}

/// Of the file: one's own, or a copy of another node that this one sees.
std::unique_ptr<Replica> read_file(DatabaseCore& core, const NamedSnapshot& snapshot) {
  if (core.durable) {
    auto replica = core.durable->read_named(snapshot, core.storage);
    replica.status().or_throw();
    return std::move(*replica);
  }
  Status why;
  for (const auto& path : core.restored->seen_folders) {
    auto folder = DiskFolder::look(path);
    auto replica = folder ? read_named(**folder, core.restored->identity, core.dictionary,
                                       core.storage, snapshot)
                          : Result<std::unique_ptr<Replica>>(folder.status());
    if (replica) return std::move(*replica);
    why = replica.status();
  }
  why.or_throw();
  throw Error(ErrorCode::unsupported,
              "snapshot '" + snapshot.name +
                  "' is in the files of nodes that keep a copy, and this one sees none of them: read "
                  "it on one of those, or give all nodes a path on a file system that they share");
}

/// Of a file: a database of its own, for all who read it at once.
std::shared_ptr<DatabaseCore> loaded(DatabaseCore& core, const NamedSnapshot& snapshot) {
  const std::lock_guard lock(core.named_lock);
  auto& known = core.named[snapshot.name];
  if (auto there = known.lock(); there && there->replica->published() == snapshot.csn) return there;
  auto made = std::make_shared<DatabaseCore>();
  made->name = core.name + "' at snapshot '" + snapshot.name;
  made->dictionary = core.dictionary;
  made->options = core.options;
  made->storage = core.storage;
  made->storage.segment.shared = false;
  made->replica = read_file(core, snapshot);
  made->route = std::make_unique<AloneRoute>(*made->replica, std::make_unique<MemoryRoundHistory>(),
                                             made->commit_lock);
  known = made;
  return made;
}

/// Beside the pin of the leader, in the segment: one for all who read it at once.
std::shared_ptr<Snapshots> pinned_beside(DatabaseCore& core, const NamedSnapshot& snapshot) {
  const std::lock_guard lock(core.named_lock);
  auto& known = core.named_beside[snapshot.name];
  if (auto there = known.lock(); there && there->replicated.csn() == snapshot.csn) return there;
  auto pinned = core.replica->pin_older(snapshot.csn);
  pinned.status().or_throw();
  // The leader had it pinned until now, so no version that it shows has gone in between.
  const auto still = named(core, snapshot.name);
  if (!still.pinned_there || still.csn != snapshot.csn)
    throw Error(ErrorCode::not_found, "snapshot '" + snapshot.name + "' was dropped meanwhile");
  known = *pinned;
  return std::move(*pinned);
}

}  // namespace

Csn Database::snapshot(const std::string& name) {
  core_->require_open();
  check_snapshot_name(name).or_throw();
  if (const auto there = find(*core_, name))
    throw Error(ErrorCode::duplicate, "there is a snapshot '" + name + "' already, at csn " +
                                          std::to_string(there->csn.value) +
                                          ": drop_snapshot() it first");
  if (const auto count = names_of(*core_).size(); count >= NamedSnapshots::count_max)
    throw Error(ErrorCode::no_memory, "there are " + std::to_string(count) +
                                          " named snapshots, as many as may be: drop one");
  commit_name(*core_, name, false);
  const auto made = named(*core_, name);
  made.why_not.or_throw();
  return made.csn;
}

void Database::drop_snapshot(const std::string& name) {
  core_->require_open();
  (void)named(*core_, name);
  commit_name(*core_, name, true);
}

std::map<std::string, Csn> Database::snapshots() const {
  std::map<std::string, Csn> all;
  for (const auto& entry : names_of(*core_)) all.emplace(entry.name, entry.csn);
  return all;
}

void Database::announce_preempt() {
  core_->require_open();
  commit_name(*core_, AgreedWords::preempt(), false);
}

Csn Database::preempt_announced() const {
  core_->require_open();
  AgreedWords words;
  look_at_words(*core_, words);
  return words.preempt_said();
}

std::unique_ptr<Connection> Database::at(const std::string& name) {
  core_->require_open();
  const auto snapshot = named(*core_, name);
  auto core = core_;
  auto pinned = snapshot.pinned;
  if (!pinned && snapshot.pinned_there) pinned = pinned_beside(*core_, snapshot);
  if (!pinned) {
    snapshot.why_not.or_throw();
    core = loaded(*core_, snapshot);
    pinned = core->route->pin().value();
  }
  count_connection(*core);
  try {
    return std::unique_ptr<Connection>(new Connection(core, std::move(pinned)));
  } catch (...) {
    core->connections.fetch_sub(1);
    throw;
  }
}

}  // namespace exdb
