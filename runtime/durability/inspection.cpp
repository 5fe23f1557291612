// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/inspection.hpp"

#include <algorithm>

#include "durability/arrived_state.hpp"
#include "durability/recovery.hpp"

namespace exdb {
namespace {

/// A folder in which there is but one file: a log is read from it as though it were the last.
class OnlyFile final : public Folder {
 public:
  OnlyFile(Folder& folder, std::string name) : folder_(folder), name_(std::move(name)) {}
  Result<std::unique_ptr<File>> create(const std::string&) override { return refused(); }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    return folder_.open(name);
  }
  Status rename(const std::string&, const std::string&) override { return refused(); }
  Status remove(const std::string&) override { return refused(); }
  Status sync() override { return {}; }
  Result<std::vector<std::string>> list() override { return std::vector<std::string>{name_}; }
  [[nodiscard]] std::string path_of(const std::string& name) const override {
    return folder_.path_of(name);
  }

 private:
  [[nodiscard]] Status refused() const {
    return {ErrorCode::disk, "'" + folder_.path_of(name_) + "' is only looked at"};
  }

  Folder& folder_;
  const std::string name_;
};

FoundFile::Kind kind_of(const std::string& name) {
  if (name == base_name) return FoundFile::Kind::base;
  if (is_unfinished(name)) return FoundFile::Kind::unfinished;
  if (round_of_name(FileKind::log, name)) return FoundFile::Kind::log;
  if (round_of_name(FileKind::checkpoint, name)) return FoundFile::Kind::checkpoint;
  if (name_of_snapshot_file(name)) return FoundFile::Kind::snapshot;
  return FoundFile::Kind::other;
}

class Inspecting {
 public:
  explicit Inspecting(Folder& folder) : folder_(folder) {}

  Result<Inspection> all() {
    auto names = folder_.list();
    if (!names) return names.status();
    auto identity = read_base(folder_, found_.text);
    if (!identity) return identity.status();
    found_.identity = *identity;
    for (auto& name : *names) {
      FoundFile file;
      file.kind = kind_of(name);
      file.name = std::move(name);
      if (auto status = measure(file); !status) return status;
      found_.files.push_back(std::move(file));
    }
    for (auto& file : found_.files) {
      if (file.kind == FoundFile::Kind::log) log(file);
      if (file.kind == FoundFile::Kind::checkpoint || file.kind == FoundFile::Kind::snapshot)
        checkpoint(file);
    }
    if (views()) {
      if (auto status = whole_log(); !status) return status;
    } else {
      for (auto& file : found_.files)
        if (file.kind == FoundFile::Kind::checkpoint && file.damage.ok())
          file.damage = in_chain(file);
    }
    return std::move(found_);
  }

 private:
  [[nodiscard]] bool views() const { return found_.identity.format == disk_format_views; }

  Status measure(FoundFile& file) {
    auto opened = folder_.open(file.name);
    if (!opened) return opened.status();
    auto size = (*opened)->size();
    if (!size) return size.status();
    file.bytes = *size;
    return {};
  }

  void log(FoundFile& file) {
    const auto* const before = newest_log_;
    newest_log_ = &file;
    file.before.value = round_of_name(FileKind::log, file.name)->value - 1;
    auto head = read_head(folder_, FileKind::log, file.name);
    if (!head) {
      file.damage = head.status();
      return;
    }
    if (views()) return records(file, *head);
    OnlyFile only(folder_, file.name);
    auto read = read_log(only, found_.identity, head->at, head->marks,
                         [](const CompletedRound&) { return Status(); });
    if (!read) {
      file.damage = read.status();
      return;
    }
    file.used_bytes = read->end.offset;
    file.items = read->rounds;
    file.last = read->end.chain;
    if (before != nullptr) file.damage = goes_on(*before, file, *head);
    found_.last = file.last;
    found_.closed = read->end.closed;
    found_.torn = read->torn;
  }

  /// The file before is not the last: it may not be torn, and this one begins where it ends.
  Status goes_on(const FoundFile& before, const FoundFile& file, const FileHead& head) {
    if (!before.damage.ok()) return {};  // told already, and where it ends is not known
    if (found_.torn)
      return damaged(found_.torn->path, found_.torn->offset,
                     "there is no record, and the log goes on in '" + file.name + "'");
    if (head.at == before.last) return {};
    return damaged(folder_.path_of(file.name), 0,
                   "it begins after round " + std::to_string(head.at.round.value) +
                       ", and the file before it ends with round " +
                       std::to_string(before.last.round.value) +
                       (head.at.round == before.last.round ? ", another one" : ""));
  }

  void checkpoint(FoundFile& file) {
    auto read =
        read_checkpoint(folder_, file.name, found_.identity, [](Bytes) { return Status(); });
    if (!read) {
      file.damage = read.status();
      return;
    }
    file.used_bytes = read->bytes;
    file.items = read->chunks;
    file.last = read->head.at;
    if (file.kind != FoundFile::Kind::checkpoint) return;
    if (file.last.round != *round_of_name(FileKind::checkpoint, file.name))
      file.damage = damaged(folder_.path_of(file.name), 0, "its name is not that of its round");
  }

  // --- format 2: a file alone does not tell which of its rounds were taken back later ---

  void records(FoundFile& file, const FileHead& head) {
    file.before = file.last.round = head.at.round;
    auto opened = folder_.open(file.name);
    auto bytes = opened ? exdb::read_all(**opened, ~std::uint64_t{0})
                        : Result<std::vector<std::byte>>(opened.status());
    if (!bytes) {
      file.damage = bytes.status();
      return;
    }
    file.used_bytes = head_bytes;
    while (true) {
      const auto read = decode_record(*bytes, file.used_bytes, found_.identity.database);
      if (read.found != ReadRecord::Found::record) return;
      file.used_bytes += read.bytes;
      file.items += read.record.is_round() ? 1 : 0;
      file.last = read.record.chain;
    }
  }

  /// N2: all of the log after the newest checkpoint that is whole.
  Status whole_log() {
    auto arrived = arrived_in_force(folder_, found_.identity);
    if (!arrived) return arrived.status();
    RoundHistory::Chain from;
    for (auto& file : found_.files) {
      const bool counts = *arrived ? file.name == **arrived
                                   : file.kind == FoundFile::Kind::checkpoint && file.damage.ok();
      if (!counts) continue;
      if (*arrived) checkpoint(file);
      from = file.last;
    }
    auto read = read_log(folder_, found_.identity, from, {},
                         [](const CompletedRound&) { return Status(); });
    if (!read) {
      const auto text = read.status().text();
      const auto in_text = [&](const FoundFile& file) {
        return text.find("'" + folder_.path_of(file.name) + "'") != std::string::npos;
      };
      const auto file = std::find_if(found_.files.begin(), found_.files.end(), in_text);
      if (read.status().code() != ErrorCode::disk_damaged || file == found_.files.end())
        return read.status();
      if (file->damage.ok()) file->damage = read.status();
      return {};
    }
    found_.last = read->final;
    found_.held = read->held.size();
    found_.closed = read->end.closed;
    found_.torn = read->torn;
    return {};
  }

  /// N2: of the file of the log in which its round is.
  Status in_chain(const FoundFile& checkpoint) {
    for (const auto& file : found_.files) {
      if (file.kind != FoundFile::Kind::log || !file.damage.ok()) continue;
      if (checkpoint.last.round < file.before || checkpoint.last.round > file.last.round) continue;
      OnlyFile only(folder_, file.name);
      auto read = read_log(only, found_.identity, checkpoint.last, {},
                           [](const CompletedRound&) { return Status(); });
      return read.status();
    }
    return {};
  }

  Folder& folder_;
  Inspection found_;
  const FoundFile* newest_log_ = nullptr;
};

}  // namespace

Result<Inspection> inspect(Folder& folder) { return Inspecting(folder).all(); }

namespace {

/// In format 2: among what is known to be final after a checkpoint that is not newer.
Result<std::optional<bool>> has_final(Folder& folder, const DatabaseIdentity& identity,
                                      const std::vector<std::string>& names,
                                      RoundHistory::Chain at) {
  RoundHistory::Chain chain;
  std::optional<Round> first;
  for (const auto& name : names) {
    if (!first) first = round_of_name(FileKind::log, name);
    const auto round = round_of_name(FileKind::checkpoint, name);
    if (!round || *round > at.round) continue;
    auto head = read_checkpoint_head(folder, name, identity);
    if (!head) return head.status();
    chain = head->at;
  }
  if (chain.round == Round{} && first != Round{1}) return std::optional<bool>();
  std::optional<bool> agrees;
  const auto look = [&] {
    if (chain.round == at.round) agrees = chain.hash == at.hash;
  };
  look();
  auto read = read_log(folder, identity, chain, {}, [&](const CompletedRound& round) {
    chain = {round.round, chained(chain.hash, round)};
    look();
    return Status();
  });
  if (!read) return read.status();
  return agrees;
}

}  // namespace

Result<std::optional<bool>> has_chain(Folder& folder, RoundHistory::Chain at) {
  std::string text;
  auto identity = read_base(folder, text);
  if (!identity) return identity.status();
  auto names = folder.list();
  if (!names) return names.status();
  if (identity->format == disk_format_views) return has_final(folder, *identity, *names, at);
  std::optional<std::string> file;  // the last of the log that begins before the round
  for (const auto& name : *names) {
    const auto first = round_of_name(FileKind::log, name);
    if (first && *first <= at.round.next()) file = name;
  }
  if (!file) return std::optional<bool>();
  auto head = read_head(folder, FileKind::log, *file);
  if (!head) return head.status();
  OnlyFile only(folder, *file);
  auto chain = head->at;
  std::optional<bool> agrees;
  if (chain.round == at.round) agrees = chain.hash == at.hash;
  auto read = read_log(only, *identity, chain, head->marks, [&](const CompletedRound& round) {
    chain = {round.round, chained(chain.hash, round)};
    if (chain.round == at.round) agrees = chain.hash == at.hash;
    return Status();
  });
  if (!read) return read.status();
  return agrees;
}

}  // namespace exdb
