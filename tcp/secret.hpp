// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The cluster secret: 256 bits that all nodes of a cluster share, by which they know each other
// where there is no TLS. It comes from a file or an inherited descriptor, never from a command line
// or the environment, which others can read; it is in no message of ours.
//
// Threads: any.
// Failure: cluster_invalid_parameter, with the file and how to make one.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::tcp {

inline constexpr std::size_t secret_bytes = 32;

/// Reads the secret that `cluster_secret_file` names: 32 bytes, or 64 hexadecimal digits and
/// perhaps a newline. `where` is the path of a file (see secret_file.hpp for what it must be), or
/// "fd:3" for a descriptor that this process was given: a file is read from its start, a pipe to its
/// end, and so once only. Blocks until a pipe's writer is done. The descriptor stays open, and is
/// not passed on to programs started later.
Result<std::vector<std::byte>> read_cluster_secret(const std::string& where);

/// The secret in `content`: what a file may hold. Pure.
Result<std::vector<std::byte>> parse_cluster_secret(const std::vector<std::byte>& content,
                                                    const std::string& where);

}  // namespace exdb::tcp
