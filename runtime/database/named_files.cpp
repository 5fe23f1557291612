// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/named_files.hpp"

#include <algorithm>

#include "replica/pinned_stream.hpp"

namespace exdb {

Status write_named(Folder& folder, const DatabaseIdentity& identity,
                   const std::shared_ptr<const Dictionary>& dictionary, bool clustered,
                   NamedSnapshots& names, Round upto, const std::stop_token& stop) {
  auto there = folder.list();
  if (!there) return there.status();
  const auto exists = [&](const std::string& file) {
    return std::binary_search(there->begin(), there->end(), file);
  };
  for (const auto& entry : names.all()) {
    if (entry.on_disk || entry.round > upto || !entry.pinned) continue;
    const auto file = snapshot_file_name(entry.name);
    if (exists(unfinished(file))) {
      if (auto status = folder.remove(unfinished(file)); !status) return status;
    }
    PinnedStream stream(dictionary, entry, clustered, file_bounds);
    auto bytes =
        write_state(folder, file, identity, {entry.round, 0}, {entry.csn.value, 0}, stream, stop);
    if (!bytes) return bytes.status();
    names.written(entry.name, entry.round);
  }
  bool removed = false;
  for (const auto& name : names.files_to_remove()) {
    if (exists(snapshot_file_name(name))) {
      if (auto status = folder.remove(snapshot_file_name(name)); !status) return status;
      removed = true;
    }
    names.removed(name);
  }
  return removed ? folder.sync() : Status();
}

Result<std::vector<NamedSnapshot>> list_named(Folder& folder, const DatabaseIdentity& identity) {
  auto files = folder.list();
  if (!files) return files.status();
  std::vector<NamedSnapshot> found;
  for (const auto& file : *files) {
    const auto name = name_of_snapshot_file(file);
    if (!name) continue;
    auto head = read_checkpoint_head(folder, file, identity);
    if (!head && head.status().code() != ErrorCode::disk_damaged) return head.status();
    NamedSnapshot entry;
    entry.name = *name;
    entry.why_not = head.status();
    if (head) {
      entry.csn.value = head->marks.sequence;
      entry.round = head->at.round;
    }
    entry.on_disk = true;
    found.push_back(std::move(entry));
  }
  return found;
}

Result<std::unique_ptr<Replica>> read_named(Folder& folder, const DatabaseIdentity& identity,
                                            const std::shared_ptr<const Dictionary>& dictionary,
                                            const StorageOptions& storage,
                                            const NamedSnapshot& snapshot) {
  const auto file = snapshot_file_name(snapshot.name);
  SnapshotReader reader(dictionary, storage, NodeId{}, false);
  auto read =
      read_checkpoint(folder, file, identity, [&reader](Bytes chunk) { return reader.add(chunk); });
  if (!read) return read.status();
  if (!reader.header() || reader.header()->csn != snapshot.csn)
    return damaged(folder.path_of(file), 0, "its chunks are of another csn than its head");
  return reader.finish();
}

void encode_names(const std::vector<NamedSnapshot>& names, std::vector<std::byte>& into) {
  ByteWriter out(into);
  for (const auto& entry : names) {
    out.put_text(entry.name);
    out.put(entry.csn.value);
    out.put(entry.round.value);
    out.put(std::uint8_t(entry.pinned != nullptr));
    out.put(static_cast<std::int32_t>(entry.why_not.code()));
    out.put_text(entry.why_not.text());
  }
}

Result<std::vector<NamedSnapshot>> decode_names(Bytes bytes) {
  std::vector<NamedSnapshot> names;
  ByteReader in(bytes);
  while (in.ok() && in.remaining() != 0) {
    NamedSnapshot entry;
    entry.name = in.get_text();
    entry.csn.value = in.get<std::uint64_t>();
    entry.round.value = in.get<std::uint64_t>();
    entry.pinned_there = in.get<std::uint8_t>() != 0;
    const auto code = static_cast<ErrorCode>(in.get<std::int32_t>());
    entry.why_not = {code, std::string(in.get_text())};
    names.push_back(std::move(entry));
  }
  if (!in.ok()) return Status(ErrorCode::cluster_protocol, "names that cannot be read");
  return names;
}

}  // namespace exdb
