// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The first bytes of each file of a database, and the names of the files.
//
//   at size
//    0  8   "EXDBBASE", "EXDBLOG_" or "EXDBCKPT"
//    8  4   version of the format: 1, or 2 of a node of a cluster whose nodes come and go
//   12  4   CRC32C of the other bytes of the head
//   16  8   database: a random number, the same in all files of one
//   24  8   hash of its dictionary
//   32  8   round: of the base 0; of a log the one before its first; of a checkpoint its own
//   40  8   the chain of that round (RoundHistory I2)
//   48  8   Marks::sequence; of a base of format 2 the number of the cluster
//   56  8   Marks::autoid; of a base of format 2 the number of the node
//   64  8   bytes that follow: of the base the schema and its checksum; else 0. Of a log of format 2:
//           1 where it begins anew, with a state that was not made of the rounds before
//
// Invariants
//   I1  decode_head() accepts exactly what encode_head() makes. What a newer exdb has written is told
//       apart from damage: its version is read before its checksum.
// Threads: pure functions.
// Failure: disk_damaged with path and offset; disk_version, naming both versions; disk_schema when it
//   is of another schema.
#pragma once
#include <optional>
#include <vector>

#include "cluster/round_history.hpp"
#include "durability/file.hpp"

namespace exdb {

constexpr std::size_t head_bytes = 72;
/// Of files from which nothing is ever taken back.
constexpr std::uint32_t disk_format_version = 1;
/// Of a node of a cluster whose nodes come and go: what its log has is not final yet, and may be
/// taken back (log_record.hpp).
constexpr std::uint32_t disk_format_views = 2;
constexpr std::uint32_t disk_format_newest = disk_format_views;

/// Which database it is, of which schema, and in which format its files are.
struct DatabaseIdentity {
  std::uint64_t database = 0;
  std::uint64_t dictionary = 0;
  std::uint32_t format = disk_format_version;
  bool operator==(const DatabaseIdentity&) const = default;
};

/// Numbers this process has given out beside the agreed state: kept with each round, so that none
/// is given twice.
struct Marks {
  std::uint64_t sequence = 0;  ///< the highest of a transaction
  std::uint64_t autoid = 0;    ///< the next of an object
  bool operator==(const Marks&) const = default;
};

enum class FileKind : std::uint8_t { base, log, checkpoint };

struct FileHead {
  FileKind kind = FileKind::base;
  DatabaseIdentity identity;
  RoundHistory::Chain at;
  Marks marks;
  std::uint64_t more_bytes = 0;  ///< as above, "64 8"
  bool operator==(const FileHead&) const = default;
};

/// Appends.
void encode_head(const FileHead& head, std::vector<std::byte>& out);
/// `path`: for the message.
[[nodiscard]] Result<FileHead> decode_head(Bytes bytes, FileKind kind, const std::string& path);
/// That of a file of the folder: its first bytes are read, no more.
[[nodiscard]] Result<FileHead> read_head(Folder& folder, FileKind kind, const std::string& name);
/// ok, or that a file of `found` is not one of the database `wanted`, or in another format.
Status check_identity(const DatabaseIdentity& found, const DatabaseIdentity& wanted,
                      const std::string& path);

inline constexpr const char* base_name = "database";
/// While it is written: what is found under such a name was never finished.
[[nodiscard]] std::string unfinished(const std::string& name);
[[nodiscard]] bool is_unfinished(const std::string& name);
/// Of the log that begins with this round, or the checkpoint after it: names sort by round. In format 2
/// a file of the log may begin earlier than its name says: each has a name behind that of the one before.
[[nodiscard]] std::string file_name(FileKind kind, Round round);
/// The round of such a name.
[[nodiscard]] std::optional<Round> round_of_name(FileKind kind, const std::string& name);

/// Of the file of a snapshot that has this name: what is neither letter, digit, '-' nor '_' as %XX.
[[nodiscard]] std::string snapshot_file_name(const std::string& name);
[[nodiscard]] std::optional<std::string> name_of_snapshot_file(const std::string& file);

}  // namespace exdb
