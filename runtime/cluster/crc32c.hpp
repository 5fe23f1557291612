// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// CRC32C (Castagnoli, RFC 3720 B.4): the checksum of frames between members. By the processor's own
// instruction where there is one, else by table.
//
// Threads: a pure function.
#pragma once
#include "base/types.hpp"

namespace exdb {

/// `before`: the crc of the bytes that come first, 0 for none.
[[nodiscard]] std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0);
/// By table: what crc32c() gives where the instruction is missing.
[[nodiscard]] std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before = 0);

}  // namespace exdb
