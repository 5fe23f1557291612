// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_copies.hpp"

#include <algorithm>
#include <charconv>

#include "base/bytes.hpp"
#include "database/replica_sink.hpp"

namespace exdb {
namespace {

constexpr const char* place_name = "place";
constexpr std::string_view node_prefix = "node-";
constexpr std::string_view old_suffix = ".old";  ///< of what is being replaced
constexpr std::size_t piece_bytes = std::size_t{1} << 20;

Status sync_folder(Folders& folders, const std::string& path) {
  auto folder = folders.beside(path);
  return folder ? (*folder)->sync() : folder.status();
}

std::string old_of(const std::string& path) { return path + std::string(old_suffix); }

}  // namespace

std::string node_folder(const std::string& path, std::uint32_t node) {
  return path + "/" + std::string(node_prefix) + std::to_string(node);
}

Result<std::vector<std::uint32_t>> nodes_below(Folders& folders, const std::string& path) {
  auto folder = folders.beside(path);
  if (!folder) return folder.status();
  auto names = (*folder)->list();
  if (!names) return names.status();
  std::vector<std::uint32_t> nodes;
  for (std::string_view name : *names) {
    if (!name.starts_with(node_prefix)) continue;
    if (name.ends_with(old_suffix)) name.remove_suffix(old_suffix.size());
    std::uint32_t node = 0;
    const auto* const end = name.data() + name.size();
    const auto [stopped, error] = std::from_chars(name.data() + node_prefix.size(), end, node);
    if (error == std::errc() && stopped == end &&
        name == std::string(node_prefix) + std::to_string(node))
      nodes.push_back(node);
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

Status make_path(Folders& folders, const std::string& path) {
  auto made = folders.make(path);
  if (!made) return made.status();
  // Also of one that was there: who made it may have been killed before this.
  auto parent = folders.beside(parent_of(path));
  if (!parent && *made) return parent.status();
  if (parent)
    if (auto status = (*parent)->sync(); !status) return status;
  auto alone = is_there(folders, path + "/" + base_name);
  if (!alone) return alone.status();
  if (!*alone) return {};
  return {ErrorCode::unsupported,
          "'" + path +
              "' has the database of one process, and this is one of a cluster: open it "
              "without a cluster, or give another path"};
}

Result<std::optional<std::uint64_t>> read_place(Folders& folders, const std::string& path) {
  auto there = is_there(folders, path + "/" + place_name);
  if (!there) return there.status();
  if (!*there) return std::optional<std::uint64_t>();
  auto folder = folders.beside(path);
  if (!folder) return folder.status();
  auto file = (*folder)->open(place_name);
  if (!file) return file.status();
  std::uint64_t number = 0;
  auto got = (*file)->read(0, std::as_writable_bytes(std::span(&number, 1)));
  if (!got) return got.status();
  if (*got != sizeof number || number == 0)
    return damaged((*folder)->path_of(place_name), 0, "it is too short; remove it and open again");
  return std::optional(number);
}

Status write_place(Folders& folders, const std::string& path, std::uint64_t number,
                   std::uint32_t node) {
  auto folder = folders.beside(path);
  if (!folder) return folder.status();
  auto& of = **folder;
  auto names = of.list();
  if (!names) return names.status();
  const auto name = unfinished(place_name + ("-" + std::to_string(node)));
  if (std::binary_search(names->begin(), names->end(), name))
    if (auto status = of.remove(name); !status) return status;
  auto file = of.create(name);
  if (!file) return file.status();
  if (auto status = (*file)->write(0, std::as_bytes(std::span(&number, 1))); !status) return status;
  if (auto status = (*file)->sync(); !status) return status;
  if (auto status = of.rename(name, place_name); !status) return status;
  return of.sync();
}

Result<HeldCopy> hold_copy(Folders& folders, const std::string& path, const Dictionary& dictionary,
                           RecoverySink& sink) {
  auto folder = folders.hold(path);
  if (!folder) return folder.status();
  HeldCopy held;
  held.folder = std::move(*folder);
  auto& of = *held.folder;
  auto names = of.list();
  if (!names) return names.status();
  if (std::find(names->begin(), names->end(), base_name) == names->end()) {
    for (const auto& name : *names)
      if (round_of_name(FileKind::log, name) || round_of_name(FileKind::checkpoint, name))
        return damaged(of.path_of(base_name), 0, "it is missing, and '" + name + "' is there");
    if (auto status = sink.begin(); !status) return status;
    return held;
  }
  std::string text;
  auto identity = read_base(of, text);
  if (!identity) return identity.status();
  if (auto status = check_format(path, *identity, disk_format_version); !status) return status;
  if (auto status = check_schema(of, *identity, text, dictionary); !status) return status;
  auto epochs = read_epochs(of, identity->database);
  if (!epochs) return epochs.status();
  auto recovery = recover(of, *identity, sink);
  if (!recovery) return recovery.status();
  held.empty = false;
  held.identity = *identity;
  held.recovery = std::move(*recovery);
  const auto newest = held.recovery.log.end.chain;
  if (epochs->empty() && newest.round != Round{})
    return damaged(of.path_of(epochs_name), 0, "it is missing, and there are rounds");
  held.copy = {path, identity->database, epochs_until(std::move(*epochs), newest.round), newest};
  return held;
}

/// A piece: 'f', the name; or 'd', bytes of that file from where the last ended.
Status give_files(HeldCopy& copy, const EachPiece& each) {
  const auto& recovery = copy.recovery;
  const auto& end = recovery.log.end;
  std::vector<std::pair<std::string, std::uint64_t>> files;  // with as much of them as counts
  if (recovery.from.round != Round{})
    files.emplace_back(file_name(FileKind::checkpoint, recovery.from.round), ~std::uint64_t{0});
  for (std::size_t i = 0; i < end.segments.size(); ++i) {
    const bool last = i + 1 == end.segments.size();
    if (!last && end.segments[i + 1].first <= recovery.from.round.next()) continue;
    files.emplace_back(end.segments[i].name, last ? end.offset : ~std::uint64_t{0});
  }
  auto names = copy.folder->list();
  if (!names) return names.status();
  for (const auto& name : *names)
    if (name_of_snapshot_file(name)) files.emplace_back(name, ~std::uint64_t{0});
  std::vector<std::byte> piece;
  for (const auto& [name, upto] : files) {
    piece.assign(1, std::byte{'f'});
    ByteWriter(piece).put_raw(as_bytes(name));
    if (auto status = each(piece); !status) return status;
    auto file = copy.folder->open(name);
    if (!file) return file.status();
    std::uint64_t offset = 0;
    while (offset < upto) {
      piece.resize(1 + std::size_t(std::min<std::uint64_t>(piece_bytes, upto - offset)));
      piece[0] = std::byte{'d'};
      auto got = (*file)->read(offset, MutableBytes(piece).subspan(1));
      if (!got) return got.status();
      if (*got == 0) break;
      piece.resize(1 + *got);
      if (auto status = each(piece); !status) return status;
      offset += *got;
    }
  }
  return {};
}

Result<TakenFiles> TakenFiles::begin(Folders& folders, const std::string& path,
                                     const DatabaseIdentity& identity, const std::string& schema) {
  TakenFiles made(folders, path);
  auto folder = folders.hold(path + ".new");
  if (!folder) return folder.status();
  made.folder_ = std::move(*folder);
  std::string there;
  auto base = open_base(*made.folder_, identity, schema, there);
  if (!base) return base.status();
  return made;
}

Status TakenFiles::add(Bytes piece) {
  const auto rest = piece.empty() ? piece : piece.subspan(1);
  if (!piece.empty() && piece[0] == std::byte{'f'}) {
    const std::string name(as_text(rest));
    if (!round_of_name(FileKind::log, name) && !round_of_name(FileKind::checkpoint, name) &&
        !name_of_snapshot_file(name))
      return {ErrorCode::cluster_protocol, "a file of a name that no copy has"};
    if (file_)
      if (auto status = file_->sync(); !status) return status;
    auto file = folder_->create(name);
    if (!file) return file.status();
    file_ = std::move(*file);
    return {};
  }
  if (piece.empty() || piece[0] != std::byte{'d'} || !file_)
    return {ErrorCode::cluster_protocol, "a piece of a file that cannot be read"};
  auto size = file_->size();
  if (!size) return size.status();
  return file_->write(*size, rest);
}

Status TakenFiles::finish(std::uint64_t database, const Epochs& epochs) {
  if (file_)
    if (auto status = file_->sync(); !status) return status;
  if (auto status = write_epochs(*folder_, database, epochs); !status) return status;
  file_.reset();
  folder_.reset();
  auto there = is_there(*folders_, path_);
  if (!there) return there.status();
  if (*there) {
    if (auto status = folders_->rename(path_, old_of(path_)); !status) return status;
  }
  if (auto status = folders_->rename(path_ + ".new", path_); !status) return status;
  if (auto status = sync_folder(*folders_, parent_of(path_)); !status) return status;
  return folders_->remove(old_of(path_));
}

Status tidy_taken(Folders& folders, const std::string& path) {
  auto replaced = is_there(folders, path);
  if (!replaced) return replaced.status();
  auto old = is_there(folders, old_of(path));
  if (!old) return old.status();
  if (!*replaced && *old) {
    if (auto status = folders.rename(old_of(path), path); !status) return status;
  }
  // A process that was killed may not have come to make safe what it had renamed.
  if (*replaced || *old) {
    if (auto status = sync_folder(folders, parent_of(path)); !status) return status;
  }
  if (*replaced && *old) {
    if (auto status = folders.remove(old_of(path)); !status) return status;
  }
  return folders.remove(path + ".new");
}

}  // namespace exdb
