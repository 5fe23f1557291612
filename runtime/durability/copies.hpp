// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Of several copies of one database, each in a folder of its own, which is the furthest, and whether
// the others are older states of the same history. That is told by epochs: each opening of the
// database begins one, with a random name, after the newest round that there is. Within an epoch all
// nodes have one history, so two copies are of one history exactly when the newer one went through
// the last epoch of the other, and not on from an earlier round of it.
//
// The file `epochs` of a folder
//
//   at size
//    0  8   "EXDBEPOC"
//    8  4   version of the format (disk_format_version)
//   12  4   CRC32C of all other bytes
//   16  8   database: as in the heads of the other files
//   24  8   how many follow, oldest first, 32 bytes each:
//           number 8, name 8, the round it began after 8, the chain of that round 8
//
// Invariants
//   K1  The furthest is the one of the newest epoch, and among those the one of the newest round.
//       Never the longest: a copy that went on alone for long may have what nobody was told of.
//   K2  A copy that is no older state of the furthest is a fork: its epoch is not one that the
//       furthest went through, or it has rounds of that epoch beyond where the furthest left it, or
//       another chain at a round that both know.
//   K3  An epoch counts for a copy only when it has rounds of it: what was begun and came to nothing
//       is no fork. So a folder may be told of epochs before it has their rounds.
// Threads: pure functions; read_epochs() and write_epochs() as file.hpp.
// Failure: inconsistent for a fork, disk_damaged, disk_version, and as file.hpp.
// Cost: O(epochs), of which the newest epochs_max are kept.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "durability/file_head.hpp"

namespace exdb {

inline constexpr const char* epochs_name = "epochs";
/// A copy that is more openings behind than this is not known to be of the same history.
constexpr std::size_t epochs_max = 4096;

struct Epoch {
  std::uint64_t number = 0;    ///< one more than that of the epoch before
  std::uint64_t name = 0;      ///< random
  RoundHistory::Chain before;  ///< the newest round when it began
  bool operator==(const Epoch&) const = default;
};
using Epochs = std::vector<Epoch>;

/// What a folder holds.
struct Copy {
  std::string path;  ///< for people
  std::uint64_t database = 0;
  Epochs epochs;  ///< those that count (K3)
  RoundHistory::Chain newest;
  [[nodiscard]] std::uint64_t epoch() const { return epochs.empty() ? 0 : epochs.back().number; }
};

/// Those that count for a copy whose newest round this is.
[[nodiscard]] Epochs epochs_until(Epochs epochs, Round newest);
/// K1; the first of equal ones, whatever the others are. Nothing when there are none.
[[nodiscard]] std::optional<std::size_t> furthest_one(const std::vector<Copy>& copies);
/// The same; fails when they are not of one database,
/// or one is a fork of the furthest, naming both folders and what can be done.
[[nodiscard]] Result<std::optional<std::size_t>> furthest_of(const std::vector<Copy>& copies);
/// ok, or why `copy` is no older state of `furthest` (K2), or of another database.
[[nodiscard]] Status check_older(const Copy& copy, const Copy& furthest);

[[nodiscard]] std::vector<std::byte> encode_epochs(std::uint64_t database, const Epochs& epochs);
[[nodiscard]] Result<Epochs> decode_epochs(Bytes bytes, std::uint64_t database,
                                           const std::string& path);
/// None when the file is not there.
Result<Epochs> read_epochs(Folder& folder, std::uint64_t database);
/// Replaces the file, safely.
Status write_epochs(Folder& folder, std::uint64_t database, Epochs epochs);

}  // namespace exdb
