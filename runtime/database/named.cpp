// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Snapshots by name, at the door.
#include "database/alone_route.hpp"
#include "database/core.hpp"
#include "exdb/database.hpp"

namespace exdb {
namespace {

void require_names(const DatabaseCore& core) {
  core.require_open();
  if (!core.options.shared) return;
  throw Error(
      ErrorCode::unsupported,
      "named snapshots of a replica that ranks share (is_shm) come in a later release: open "
      "without is_shm");
}

/// A transaction that does nothing but name the state after its round, on every node.
void commit_name(DatabaseCore& core, const std::string& name, bool drops) {
  Outgoing out;
  out.id = core.route->new_id();
  out.shared.snapshot = core.route->published();
  out.shared.snapshot_name = name;
  out.shared.drops_name = drops;
  auto item = core.route->submit(out);
  item.status().or_throw();
  const auto outcome = core.route->wait(**item);
  if (outcome.code != ErrorCode::ok) throw Error(outcome.code, outcome.text);
}

/// No program can give this name, nor does it come into a file or a list.
const std::string preempt_name{NamedSnapshot::inner_mark, 'p'};

NamedSnapshot named(const DatabaseCore& core, const std::string& name) {
  if (auto found = core.replica->names().find(name)) return std::move(*found);
  std::string names;
  for (const auto& entry : core.replica->names().all())
    if (!entry.inner()) names += (names.empty() ? "'" : ", '") + entry.name + "'";
  throw Error(ErrorCode::not_found, "there is no snapshot '" + name +
                                        "'; there are: " + (names.empty() ? "none" : names));
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
  auto replica = core.durable->read_named(snapshot, core.storage);
  replica.status().or_throw();
  made->replica = std::move(*replica);
  made->route = std::make_unique<AloneRoute>(*made->replica, std::make_unique<MemoryRoundHistory>(),
                                             made->commit_lock);
  known = made;
  return made;
}

}  // namespace

Csn Database::snapshot(const std::string& name) {
  require_names(*core_);
  check_snapshot_name(name).or_throw();
  const auto& names = core_->replica->names();
  if (const auto there = names.find(name))
    throw Error(ErrorCode::duplicate, "there is a snapshot '" + name + "' already, at csn " +
                                          std::to_string(there->csn.value) +
                                          ": drop_snapshot() it first");
  if (names.size() >= NamedSnapshots::count_max)
    throw Error(ErrorCode::no_memory, "there are " + std::to_string(names.size()) +
                                          " named snapshots, as many as may be: drop one");
  commit_name(*core_, name, false);
  const auto made = named(*core_, name);
  made.why_not.or_throw();
  return made.csn;
}

void Database::drop_snapshot(const std::string& name) {
  require_names(*core_);
  (void)named(*core_, name);
  commit_name(*core_, name, true);
}

std::map<std::string, Csn> Database::snapshots() const {
  require_names(*core_);
  std::map<std::string, Csn> all;
  for (const auto& entry : core_->replica->names().all())
    if (!entry.inner()) all.emplace(entry.name, entry.csn);
  return all;
}

void Database::announce_preempt() {
  require_names(*core_);
  commit_name(*core_, preempt_name, false);
}

Csn Database::preempt_announced() const {
  const auto found = core_->replica->names().find(preempt_name);
  return found ? found->csn : Csn{};
}

std::unique_ptr<Connection> Database::at(const std::string& name) {
  require_names(*core_);
  const auto snapshot = named(*core_, name);
  auto core = core_;
  auto pinned = snapshot.pinned;
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
