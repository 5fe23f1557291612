// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Named snapshots in files: each has the format of a checkpoint under the name "snapshot-NAME", where
// what is neither letter, digit, '-' nor '_' is %XX. Its head has the round and no chain, and its csn in
// the place of Marks::sequence.
//
// Invariants
//   N1  A checkpoint has its name only after all names of its round and before have their files, and
//       files of names that were dropped till then are gone: what the log before it said of names
//       goes with it. Names that came later are in the log that is kept.
// Threads: none.
// Failure: as checkpoint.hpp.
// Cost: O(rows) a name, once.
#pragma once
#include <stop_token>

#include "base/bytes.hpp"
#include "durability/checkpoint.hpp"
#include "replica/replica.hpp"

namespace exdb {

/// N1, before the checkpoint of `upto` has its name.
Status write_named(Folder& folder, const DatabaseIdentity& identity,
                   const std::shared_ptr<const Dictionary>& dictionary, bool clustered,
                   NamedSnapshots& names, Round upto, const std::stop_token& stop);
/// Those that are there, by their heads. Damage is told when the name is read, not here.
Result<std::vector<NamedSnapshot>> list_named(Folder& folder, const DatabaseIdentity& identity);
/// A replica to be read (PinnedStream). O(rows), time and memory.
Result<std::unique_ptr<Replica>> read_named(Folder& folder, const DatabaseIdentity& identity,
                                            const std::shared_ptr<const Dictionary>& dictionary,
                                            const StorageOptions& storage,
                                            const NamedSnapshot& snapshot);

/// A list of names for another process: `pinned` becomes `pinned_there`.
void encode_names(const std::vector<NamedSnapshot>& names, std::vector<std::byte>& into);
[[nodiscard]] Result<std::vector<NamedSnapshot>> decode_names(Bytes bytes);

}  // namespace exdb
