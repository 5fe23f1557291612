// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Files that hold a secret: a regular file of this user, that nobody else may read, and no link.
//
// Invariants
//   I1  What is checked is what is read: all questions are put to the open file.
// Threads: any.
// Failure: nothing is kept. The text names the parameter, the file and the remedy, never what the
//   file holds.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::tcp {

/// Overwrites `bytes` in a way that a compiler does not leave out.
void wipe(std::span<std::byte> bytes);

/// The whole of the file; cluster_invalid_parameter when it is longer than `bytes_max`, not there,
/// a link, no regular file, of another user, or open to others. `parameter` is what the user calls
/// it. Reads a file: may block as long as that takes.
Result<std::vector<std::byte>> read_secret_file(std::string_view parameter, const std::string& path,
                                                std::size_t bytes_max);

}  // namespace exdb::tcp
