// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/archive.hpp"

#include <algorithm>

#include "database/alone_route.hpp"
#include "database/core.hpp"
#include "database/logged_writes.hpp"
#include "database/replay.hpp"
#include "durability/copies.hpp"
#include "durability/disk_folder.hpp"
#include "durability/inspection.hpp"

namespace exdb {
namespace {

/// Times that a folder is read again which another process changes meanwhile.
constexpr int attempts_max = 5;

const char* name_of(FoundFile::Kind kind) {
  switch (kind) {
    case FoundFile::Kind::base:
      return "database";
    case FoundFile::Kind::log:
      return "log";
    case FoundFile::Kind::checkpoint:
      return "checkpoint";
    case FoundFile::Kind::snapshot:
      return "snapshot";
    case FoundFile::Kind::unfinished:
      return "unfinished";
    case FoundFile::Kind::other:
      break;
  }
  return "other";
}

std::string text_of(const std::optional<TornEnd>& torn) {
  if (!torn) return {};
  return "'" + torn->path + "', offset " + std::to_string(torn->offset) + ": " +
         std::to_string(torn->bytes) + " bytes of a commit that was not finished";
}

ArchiveReport report_of(const std::string& path, const Inspection& found) {
  ArchiveReport report;
  report.path = path;
  report.database = found.identity.database;
  report.dictionary = found.identity.dictionary;
  report.format = found.identity.format;
  report.schema = found.text;
  report.last_round = found.last.round.value;
  report.chain = found.last.hash;
  report.held = found.held;
  report.closed = found.closed;
  report.torn = text_of(found.torn);
  for (const auto& file : found.files) {
    ArchiveFile each{file.name, name_of(file.kind), file.bytes,        file.used_bytes, 0,
                     0,         file.items,         file.damage.text()};
    each.last_round = file.last.round.value;
    if (file.kind == FoundFile::Kind::checkpoint || file.kind == FoundFile::Kind::snapshot)
      each.first_round = each.last_round;
    if (file.kind == FoundFile::Kind::log) {
      each.first_round = file.before.next().value;
      if (report.first_round == 0) report.first_round = each.first_round;
    }
    report.files.push_back(std::move(each));
  }
  return report;
}

/// I2: what fails while another process writes is tried again, for as long as it fails in another
/// way. `attempt` gives a Status.
template <class Attempt>
void while_it_changes(const std::string& path, Attempt&& attempt) {
  std::string before;
  for (int tried = 1;; ++tried) {
    const Status status = attempt();
    if (status.ok()) return;
    const bool may_pass =
        status.code() == ErrorCode::disk || status.code() == ErrorCode::disk_damaged;
    if (!may_pass || status.text() == before || tried == attempts_max || !archive_holder(path))
      status.or_throw();
    before = status.text();
  }
}

Status first_damage(const Inspection& found) {
  for (const auto& file : found.files)
    if (!file.damage.ok()) return file.damage;
  return {};
}

}  // namespace

bool ArchiveReport::damaged() const {
  return std::any_of(files.begin(), files.end(),
                     [](const auto& file) { return !file.damage.empty(); });
}

std::optional<int> archive_holder(const std::string& path) {
  auto holder = holder_of(path);
  holder.status().or_throw();
  return *holder;
}

/// Of a folder that is being written damage may be what was not there yet when it was read.
ArchiveReport inspect_archive(const std::string& path) {
  ArchiveReport report;
  std::string before;
  for (int tried = 1;; ++tried) {
    std::string damage;
    while_it_changes(path, [&]() -> Status {
      auto folder = DiskFolder::look(path);
      if (!folder) return folder.status();
      auto found = inspect(**folder);
      if (!found) return found.status();
      report = report_of(path, *found);
      damage = first_damage(*found).text();
      return {};
    });
    report.open_by = archive_holder(path);
    const bool may_pass = report.open_by && !damage.empty() && damage != before;
    if (!may_pass || tried == attempts_max) return report;
    before = std::move(damage);
  }
}

std::string archive_schema(const std::string& path) {
  auto folder = DiskFolder::look(path);
  folder.status().or_throw();
  std::string text;
  read_base(**folder, text).status().or_throw();
  return text;
}

namespace {

Copy copy_of(const ArchiveEnd& end) {
  Copy copy;
  while_it_changes(end.path, [&]() -> Status {
    auto folder = DiskFolder::look(end.path);
    if (!folder) return folder.status();
    std::string text;
    auto identity = read_base(**folder, text);
    if (!identity) return identity.status();
    auto epochs = read_epochs(**folder, identity->database);
    if (!epochs) return epochs.status();
    const Round newest{end.round};
    copy = {end.path, identity->database, epochs_until(std::move(*epochs), newest),
            {newest, end.chain}};
    return {};
  });
  return copy;
}

/// Beyond what epochs tell: the chain of the furthest after the newest round of this one.
Status check_chain(const Copy& copy, const Copy& furthest) {
  std::optional<bool> agrees;
  while_it_changes(furthest.path, [&]() -> Status {
    auto folder = DiskFolder::look(furthest.path);
    if (!folder) return folder.status();
    auto held = has_chain(**folder, copy.newest);
    if (held) agrees = *held;
    return held.status();
  });
  if (agrees.value_or(true)) return {};
  return {ErrorCode::inconsistent, "'" + copy.path + "' has another round " +
                                       std::to_string(copy.newest.round.value) + " than '" +
                                       furthest.path + "'"};
}

}  // namespace

ComparedArchives compare_archives(const std::vector<ArchiveEnd>& ends) {
  std::vector<Copy> copies;
  for (const auto& end : ends) copies.push_back(copy_of(end));
  ComparedArchives compared;
  compared.furthest = *furthest_one(copies);
  const auto& furthest = copies[compared.furthest];
  compared.epoch = furthest.epoch();
  for (const auto& copy : copies) {
    auto status = check_older(copy, furthest);
    if (status.ok() && copy.newest.round != Round{} && &copy != &furthest)
      status = check_chain(copy, furthest);
    if (!status.ok()) compared.forks.push_back(status.text());
  }
  return compared;
}

OpenedArchive open_archive(const std::string& path, std::shared_ptr<const Dictionary> dictionary,
                           const ArchiveOptions& options) {
  auto core = std::make_shared<DatabaseCore>();
  core->name = path;
  core->dictionary = dictionary;
  core->read_only =
      "this database is what files hold, opened to be read: nothing can be changed in it";
  core->storage.segment.unit_bytes = options.segment_bytes;
  ReplayBounds bounds;
  if (options.upto) bounds.upto = Round{*options.upto};
  if (options.each) bounds.base_upto = Round{std::max<std::uint64_t>(options.from, 1) - 1};
  OpenedArchive opened;
  while_it_changes(path, [&]() -> Status {
    auto folder = DiskFolder::look(path);
    if (!folder) return folder.status();
    std::string text;
    auto identity = read_base(**folder, text);
    if (!identity) return identity.status();
    if (identity->dictionary != dictionary->hash())
      return {ErrorCode::disk_schema, "'" + path + "' was written with another schema"};
    LoggedWrites watch(*dictionary, options);
    auto made = replay(**folder, *identity, dictionary, core->storage, bounds,
                       options.each ? &watch : nullptr);
    if (!made) return made.status();
    core->replica = std::move(made->replica);
    opened.checkpoint_round = made->checkpoint.value;
    opened.round = made->round.value;
    opened.rounds = made->rounds;
    opened.digests = made->digests;
    opened.passed_over = std::move(made->passed_over);
    return {};
  });
  core->description = "files, read-only";
  core->route = std::make_unique<AloneRoute>(*core->replica, std::make_unique<MemoryRoundHistory>(),
                                             core->commit_lock);
  opened.database = open_on(std::move(core));
  return opened;
}

}  // namespace exdb
