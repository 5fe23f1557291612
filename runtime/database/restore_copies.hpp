// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The copies of a database of a cluster, as one process sees them: a folder `node-<n>` below one path
// for each node that writes, and `place`, a random number by which processes find out which of them
// see the same file system.
//
// Invariants
//   P1  A folder is replaced by a copy from another node only when that is whole and safe, by two
//       renames. What a crash leaves between them is a folder that is whole, under its own name or
//       with `.old` behind it, which the next opening puts back.
// Threads: one.
// Failure: as file.hpp, with the path.
#pragma once
#include <functional>

#include "durability/copies.hpp"
#include "durability/folders.hpp"
#include "durability/recovery.hpp"
#include "exdb/schema.hpp"

namespace exdb {

/// "<path>/node-<n>".
[[nodiscard]] std::string node_folder(const std::string& path, std::uint32_t node);
/// The nodes that have a folder below `path`, in order; those included that have it under the name that
/// P1 gives it.
Result<std::vector<std::uint32_t>> nodes_below(Folders& folders, const std::string& path);
/// Makes the last part of `path` if it is not there. Fails where there is a database of one process.
Status make_path(Folders& folders, const std::string& path);
/// The number of this place; nothing when it has none.
Result<std::optional<std::uint64_t>> read_place(Folders& folders, const std::string& path);
/// Gives it one. Of several that do so at once one stays, which all of them can read once all are
/// back.
Status write_place(Folders& folders, const std::string& path, std::uint64_t number,
                   std::uint32_t node);

/// A folder that this process holds and has read.
struct HeldCopy {
  std::unique_ptr<Folder> folder;
  bool empty = true;  ///< there was nothing: what follows has no meaning but identity.database 0
  DatabaseIdentity identity;
  Copy copy;
  Recovery recovery;
};
/// Holds and reads it; makes it if it is not there. `sink` has its state then.
Result<HeldCopy> hold_copy(Folders& folders, const std::string& path, const Dictionary& dictionary,
                           RecoverySink& sink);

/// Chunks of whole files, as they are on disk, of what a recovery needs of a copy.
using EachPiece = std::function<Status(Bytes)>;
Status give_files(HeldCopy& copy, const EachPiece& each);

/// The other end: takes pieces into `<path>.new`.
class TakenFiles {
 public:
  /// `folders` outlives it.
  static Result<TakenFiles> begin(Folders& folders, const std::string& path,
                                  const DatabaseIdentity& identity, const std::string& schema);
  Status add(Bytes piece);
  /// All has come: `epochs` too. P1. The folder may not be held. Then hold_copy() reads it.
  Status finish(std::uint64_t database, const Epochs& epochs);

 private:
  TakenFiles(Folders& folders, std::string path) : folders_(&folders), path_(std::move(path)) {}
  Folders* folders_;
  std::string path_;
  std::unique_ptr<Folder> folder_;
  std::unique_ptr<File> file_;
};
/// Puts back what a crash has left of one, and removes what was not finished.
Status tidy_taken(Folders& folders, const std::string& path);

}  // namespace exdb
