// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/recovery.hpp"

#include <algorithm>
#include <sstream>

#include "base/bytes.hpp"
#include "cluster/crc32c.hpp"
#include "durability/arrived_state.hpp"

namespace exdb {
namespace {

constexpr std::uint64_t base_bytes_max = std::uint64_t{256} << 20;

bool is_ours(const std::string& name) {
  return round_of_name(FileKind::log, name) || round_of_name(FileKind::checkpoint, name);
}

Status write_base(Folder& folder, const DatabaseIdentity& identity, const std::string& text,
                  Marks owner) {
  std::vector<std::byte> bytes;
  encode_head({FileKind::base, identity, {}, owner, text.size() + sizeof(std::uint32_t)}, bytes);
  ByteWriter out(bytes);
  out.put_raw(as_bytes(text));
  out.put(crc32c(as_bytes(text)));
  const auto name = unfinished(base_name);
  auto file = folder.create(name);
  if (!file) return file.status();
  if (auto status = (*file)->write(0, bytes); !status) return status;
  if (auto status = (*file)->sync(); !status) return status;
  if (auto status = folder.rename(name, base_name); !status) return status;
  return folder.sync();
}

/// A crash has left what was being written: nobody was told that it is there.
Status remove_unfinished(Folder& folder, const std::vector<std::string>& names) {
  const auto ours = [](const std::string& name) {
    const auto finished = name.substr(0, name.size() - unfinished("").size());
    return is_unfinished(name) &&
           (finished == base_name || finished == arriving_name || is_ours(finished));
  };
  for (const auto& name : names) {
    if (!ours(name)) continue;
    if (auto status = folder.remove(name); !status) return status;
  }
  // Names that a crash has kept by luck are kept for good before anything is built on them.
  return folder.sync();
}

/// Newest first.
std::vector<std::string> checkpoints(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const auto& name : names)
    if (round_of_name(FileKind::checkpoint, name)) found.push_back(name);
  std::sort(found.rbegin(), found.rend());
  return found;
}

Result<FileHead> load(Folder& folder, const std::string& name, const DatabaseIdentity& identity,
                      RecoverySink& sink, std::uint64_t& bytes) {
  if (auto status = sink.begin(); !status) return status;
  auto read =
      read_checkpoint(folder, name, identity, [&sink](Bytes chunk) { return sink.chunk(chunk); });
  if (!read) return read.status();
  if (read->head.at.round != *round_of_name(FileKind::checkpoint, name))
    return damaged(folder.path_of(name), 0, "its name is not that of its round");
  bytes = read->bytes;
  if (auto status = sink.complete(read->head.at); !status)
    return Status(status.code(), "'" + folder.path_of(name) + "': " + status.text());
  return read->head;
}

}  // namespace

Result<DatabaseIdentity> read_base(Folder& folder, std::string& text_there) {
  const auto path = folder.path_of(base_name);
  auto file = folder.open(base_name);
  if (!file) return file.status();
  auto bytes = read_all(**file, base_bytes_max);
  if (!bytes) return bytes.status();
  auto head = decode_head(*bytes, FileKind::base, path);
  if (!head) return head.status();
  ByteReader in(Bytes(*bytes).subspan(head_bytes));
  if (head->more_bytes != in.remaining() || in.remaining() < sizeof(std::uint32_t))
    return damaged(path, head_bytes, "its length is wrong");
  const auto text = in.get_raw(in.remaining() - sizeof(std::uint32_t));
  if (in.get<std::uint32_t>() != crc32c(text))
    return damaged(path, head_bytes, "the checksum of the schema is wrong");
  text_there = as_text(text);
  return head->identity;
}

Result<DatabaseIdentity> open_base(Folder& folder, const DatabaseIdentity& made,
                                   const std::string& text, std::string& text_there, Marks owner) {
  auto names = folder.list();
  if (!names) return names.status();
  if (std::find(names->begin(), names->end(), base_name) != names->end()) {
    auto found = read_base(folder, text_there);
    if (!found) return found;
    if (auto status = check_format(folder.path_of(""), *found, made.format); !status) return status;
    return found;
  }
  for (const auto& name : *names) {
    if (is_ours(name))
      return damaged(folder.path_of(base_name), 0, "it is missing, and '" + name + "' is there");
  }
  if (auto status = remove_unfinished(folder, *names); !status) return status;
  if (auto status = write_base(folder, made, text, owner); !status) return status;
  text_there = text;
  return made;
}

Status check_format(const std::string& path, const DatabaseIdentity& found, std::uint32_t wanted) {
  if (found.format == wanted) return {};
  if (found.format == disk_format_views)
    return {
        ErrorCode::unsupported,
        "'" + path +
            "' is of a node of a cluster whose nodes come and go: open it as that node, over TCP "
            "or with resilient=True; `python -m exdb backup` and `restore` make another database "
            "of what it has"};
  return {
      ErrorCode::unsupported,
      "'" + path +
          "' is of a database of one process, or of a cluster over MPI whose nodes start "
          "together: it cannot be that of a node that comes and goes (TCP, resilient=True). Open "
          "it as it was, or give another path"};
}

Result<Recovery> recover(Folder& folder, const DatabaseIdentity& identity, RecoverySink& sink) {
  if (identity.format == disk_format_views) {
    if (auto status = settle_arrived(folder, identity); !status) return status;
  }
  auto names = folder.list();
  if (!names) return names.status();
  if (auto status = remove_unfinished(folder, *names); !status) return status;
  Recovery recovery;
  Marks marks;
  Status first_damage;
  bool loaded = false;
  for (const auto& name : checkpoints(*names)) {
    auto head = load(folder, name, identity, sink, recovery.checkpoint_bytes);
    if (head) {
      recovery.from = head->at;
      marks = head->marks;
      loaded = true;
      break;
    }
    if (head.status().code() != ErrorCode::disk_damaged) return head.status();
    if (first_damage.ok()) first_damage = head.status();
    recovery.passed_over.push_back(head.status().text());
  }
  if (!loaded) {
    recovery.checkpoint_bytes = 0;
    if (auto status = sink.begin(); !status) return status;
  }
  auto log = read_log(folder, identity, recovery.from, marks,
                      [&sink](const CompletedRound& round) { return sink.round(round); });
  // Without the checkpoint the log did not reach: that is what has to be told.
  if (!log && !first_damage.ok() && log.status().code() == ErrorCode::disk_damaged)
    return Status(
        first_damage.code(),
        first_damage.text() + "; what is there beside it is not enough: " + log.status().text());
  if (!log) return log.status();
  recovery.log = std::move(*log);
  return recovery;
}

bool Recovery::torn_down() const {
  return log.torn || (!log.end.segments.empty() && !log.end.closed);
}

std::string Recovery::told(const std::string& database, const std::string& path, Csn csn,
                           std::chrono::steady_clock::duration took, std::size_t undecided) const {
  std::ostringstream out;
  out << "database '" << database << "' recovered from '" << path << "': ";
  if (from.round == Round{}) {
    out << "no checkpoint";
  } else {
    out << "the checkpoint of round " << from.round.value;
  }
  out << " and " << log.rounds << " rounds of the log, to csn " << csn.value << ", in "
      << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms";
  if (undecided != 0) out << "; the cluster decides of the " << undecided << " after them";
  if (log.torn)
    out << "; cut " << log.torn->bytes << " bytes of what was not finished, at offset "
        << log.torn->offset << " of '" << log.torn->path << "'";
  for (const auto& why : passed_over) out << "; passed over a checkpoint: " << why;
  return out.str();
}

}  // namespace exdb
