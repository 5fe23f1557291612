// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/file_head.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "base/bytes.hpp"
#include "cluster/crc32c.hpp"

namespace exdb {
namespace {

constexpr std::array<std::string_view, 3> magics = {"EXDBBASE", "EXDBLOG_", "EXDBCKPT"};
constexpr std::array<std::string_view, 3> prefixes = {"", "log-", "checkpoint-"};
constexpr std::string_view being_written = ".new";
constexpr std::string_view snapshot_prefix = "snapshot-";
constexpr std::size_t version_at = 8, head_crc_at = 12, after_crc = 16, digits = 20;

std::uint32_t head_crc_of(Bytes head) {
  return crc32c(head.subspan(after_crc, head_bytes - after_crc), crc32c(head.first(head_crc_at)));
}

}  // namespace

void encode_head(const FileHead& head, std::vector<std::byte>& out) {
  const auto begin = out.size();
  ByteWriter writer(out);
  writer.put_raw(as_bytes(magics[std::size_t(head.kind)]));
  writer.put(head.identity.format);
  writer.put(std::uint32_t{0});
  writer.put(head.identity.database);
  writer.put(head.identity.dictionary);
  writer.put(head.at.round.value);
  writer.put(head.at.hash);
  writer.put(head.marks.sequence);
  writer.put(head.marks.autoid);
  writer.put(head.more_bytes);
  writer.patch(begin + head_crc_at, head_crc_of(Bytes(out).subspan(begin)));
}

Result<FileHead> decode_head(Bytes bytes, FileKind kind, const std::string& path) {
  ByteReader in(bytes);
  if (as_text(in.get_raw(version_at)) != magics[std::size_t(kind)])
    return damaged(path, 0, "it does not begin as such a file does");
  const auto version = in.get<std::uint32_t>();
  if (in.ok() && version > disk_format_newest)
    return {ErrorCode::disk_version, "'" + path + "' has format " + std::to_string(version) +
                                         ", and this exdb reads up to " +
                                         std::to_string(disk_format_newest) +
                                         ": open it with the exdb that wrote it, or a newer one"};
  if (bytes.size() < head_bytes) return damaged(path, bytes.size(), "it ends within its head");
  if (version == 0) return damaged(path, version_at, "there is no format 0");
  if (in.get<std::uint32_t>() != head_crc_of(bytes))
    return damaged(path, head_crc_at, "the checksum of its head is wrong");
  FileHead head;
  head.kind = kind;
  head.identity.format = version;
  head.identity.database = in.get<std::uint64_t>();
  head.identity.dictionary = in.get<std::uint64_t>();
  head.at.round.value = in.get<std::uint64_t>();
  head.at.hash = in.get<std::uint64_t>();
  head.marks.sequence = in.get<std::uint64_t>();
  head.marks.autoid = in.get<std::uint64_t>();
  head.more_bytes = in.get<std::uint64_t>();
  return head;
}

Result<FileHead> read_head(Folder& folder, FileKind kind, const std::string& name) {
  auto file = folder.open(name);
  if (!file) return file.status();
  std::vector<std::byte> bytes(head_bytes);
  auto got = (*file)->read(0, bytes);
  if (!got) return got.status();
  bytes.resize(*got);
  return decode_head(bytes, kind, folder.path_of(name));
}

Status check_identity(const DatabaseIdentity& found, const DatabaseIdentity& wanted,
                      const std::string& path) {
  if (found.database != wanted.database)
    return {ErrorCode::disk_damaged,
            "'" + path + "' is of another database than the folder it is in"};
  if (found.format != wanted.format)
    return {ErrorCode::disk_damaged, "'" + path + "' is of format " + std::to_string(found.format) +
                                         ", and its folder of format " +
                                         std::to_string(wanted.format)};
  if (found.dictionary != wanted.dictionary)
    return {ErrorCode::disk_schema, "'" + path + "' was written with another schema"};
  return {};
}

std::string unfinished(const std::string& name) { return name + std::string(being_written); }
bool is_unfinished(const std::string& name) { return name.ends_with(being_written); }

std::string file_name(FileKind kind, Round round) {
  auto number = std::to_string(round.value);
  return std::string(prefixes[std::size_t(kind)]) + std::string(digits - number.size(), '0') +
         number;
}

std::optional<Round> round_of_name(FileKind kind, const std::string& name) {
  const auto prefix = prefixes[std::size_t(kind)];
  if (!name.starts_with(prefix) || name.size() != prefix.size() + digits) return std::nullopt;
  Round round;
  const auto* const end = name.data() + name.size();
  const auto [stopped, error] = std::from_chars(name.data() + prefix.size(), end, round.value);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return round;
}

std::string snapshot_file_name(const std::string& name) {
  std::string file(snapshot_prefix);
  for (const char each : name) {
    const auto byte = static_cast<unsigned char>(each);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '_';
    if (plain) {
      file += each;
    } else {
      constexpr const char* digit = "0123456789ABCDEF";
      file += {'%', digit[byte >> 4], digit[byte & 15]};
    }
  }
  return file;
}

std::optional<std::string> name_of_snapshot_file(const std::string& file) {
  if (!file.starts_with(snapshot_prefix)) return std::nullopt;
  std::string name;
  for (auto at = snapshot_prefix.size(); at < file.size(); ++at) {
    if (file[at] != '%') {
      name += file[at];
      continue;
    }
    unsigned byte = 0;
    const auto* const end = file.data() + std::min(at + 3, file.size());
    if (std::from_chars(file.data() + at + 1, end, byte, 16).ptr != file.data() + at + 3)
      return std::nullopt;
    name += static_cast<char>(byte);
    at += 2;
  }
  return snapshot_file_name(name) == file ? std::optional(name) : std::nullopt;
}

}  // namespace exdb
