// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The folder of a database on disk for who looks at it from outside: what its files are and whether
// they are whole, the state after any round that they reach, and who wrote what in which round.
//
// Invariants
//   I1  Nothing is made or changed in the folder, and its lock is not held: it is asked for once,
//       shared, and given back in the same moment, to say who has the database open.
//   I2  The database may be open and be written meanwhile. What is found then is what an open would
//       have found after a kill at some moment since the call. Files that go away, and bytes that
//       come while they are read, are read again; what is found twice is damage.
// Threads: functions from any; they share nothing.
// Failure: throws Error: disk, disk_damaged (naming file and offset), disk_version, not_found for a
//   round that the files do not reach, inconsistent for a digest that differs.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exdb/database.hpp"

namespace exdb {

struct ArchiveFile {
  std::string name, kind;  ///< "database", "log", "checkpoint", "snapshot", "unfinished", "other"
  std::uint64_t bytes = 0;
  std::uint64_t used_bytes = 0;                   ///< of a log, what is not room for more
  std::uint64_t first_round = 0, last_round = 0;  ///< of a log; of a checkpoint both its own
  std::uint64_t items = 0;                        ///< rounds of a log, chunks of a checkpoint
  std::string damage;                             ///< names file and offset; empty: whole
};

struct ArchiveReport {
  std::string path;
  std::uint64_t database = 0, dictionary = 0;
  std::uint32_t format = 0;  ///< 1; 2 of a node where nodes come and go
  std::string schema;
  std::vector<ArchiveFile> files;
  std::uint64_t first_round = 0, last_round = 0;  ///< of the log; 0: none
  std::uint64_t chain = 0;                        ///< stands for all rounds up to the last
  std::uint64_t held = 0;  ///< rounds after the last, of which the cluster decides (format 2)
  bool closed = false;                            ///< the log says that it was closed
  std::string torn;            ///< of a commit that was not finished: file, offset and bytes
  std::optional<int> open_by;  ///< process that has it open; 0 when that is not known
  [[nodiscard]] bool damaged() const;
};

/// Reads and checks every byte of every file. Memory: the largest file of the log, or chunk of a
/// checkpoint. Throws when the file `database` cannot be read, for nothing else can be judged then.
ArchiveReport inspect_archive(const std::string& path);

/// The text of its schema.
std::string archive_schema(const std::string& path);

/// Where the log of a folder ends, as inspect_archive() has it.
struct ArchiveEnd {
  std::string path;
  std::uint64_t round = 0, chain = 0;
};

struct ComparedArchives {
  std::size_t furthest = 0;  ///< that an open would take: of the newest epoch, then the newest round
  std::uint64_t epoch = 0;   ///< of it
  std::vector<std::string> forks;  ///< why others are no older states of it, as an open says it
};

/// The copies of nodes of one cluster, judged as an open judges them. REQUIRES: there is one. Cost: the
/// epochs of each, and one file of the log of the furthest for each other.
ComparedArchives compare_archives(const std::vector<ArchiveEnd>& ends);

/// Who has the folder open: its process, 0 when that is not known; nothing when nobody has.
std::optional<int> archive_holder(const std::string& path);

/// One write of a transaction.
struct LoggedWrite {
  /// snapshot, drop_snapshot: the key is a name, and there is no class.
  enum class Kind { insert, update, remove, snapshot, drop_snapshot };
  Kind kind = Kind::insert;
  std::string class_name;
  std::string index;       ///< whose key it is; empty: the class has none, and the keys are slots
  std::string key;         ///< "(2013, 'UA')"; of an update the new one
  std::string key_before;  ///< of an update that changed it
};

/// One transaction of a round, with what became of it when it was certified again just now.
struct LoggedTransaction {
  std::uint64_t round = 0;
  std::uint32_t member = 0;  ///< whose batch brought it
  TxnId id;
  bool committed = false;
  std::uint64_t csn = 0;  ///< when committed
  std::string why_not;
  /// Parts of it came before the checkpoint from which this reading began: their writes are not
  /// among these.
  bool parts_missing = false;
  std::vector<LoggedWrite> writes;
};

struct ArchiveOptions {
  /// The round after which the state is wanted; none: the last there is.
  std::optional<std::uint64_t> upto;
  /// The first round that `each` is told of.
  std::uint64_t from = 1;
  std::string class_name;  ///< whose writes `each` is told of; empty: all
  std::string index_name;  ///< of that class, whose keys are given; empty: its first unique one
  std::function<void(const LoggedTransaction&)> each;
  std::size_t segment_bytes = std::size_t{64} << 20;
};

struct OpenedArchive {
  std::unique_ptr<Database> database;    ///< in memory, read-only: writes throw `access`
  std::uint64_t checkpoint_round = 0;    ///< from which it was made; 0: from the empty database
  std::uint64_t round = 0;               ///< after which its state is
  std::uint64_t rounds = 0;              ///< that were applied
  std::uint64_t digests = 0;             ///< in those that were found to be that of the state
  std::vector<std::string> passed_over;  ///< checkpoints that are damaged
};

/// The state after a round, made again from the newest checkpoint at or before it (or before
/// options.from, if there is one and `each` is set) and the rounds of the log after that, each certified
/// again and compared with the digests that are written in it. Blocks; O(checkpoint + log). Memory:
/// the database's.
OpenedArchive open_archive(const std::string& path, std::shared_ptr<const Dictionary> dictionary,
                           const ArchiveOptions& options = {});

}  // namespace exdb
