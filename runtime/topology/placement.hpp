// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Memory on NUMA nodes, by what the kernel says.
//
// Threads: any.
// Failure: what cannot be read is empty.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb {

/// "0-2,5" of the kernel's lists: 0, 1, 2, 5. What is no such list is empty.
std::vector<std::uint32_t> parse_list(const std::string& text);
/// The choice in "always [madvise] never": "madvise".
std::string chosen_of(const std::string& text);
/// NUMA nodes that have memory and that this process may take it from, ascending.
std::vector<std::uint32_t> memory_nodes_of_kernel();
/// place_shared() over these nodes.
Status interleave(void* memory, std::size_t bytes, const std::vector<std::uint32_t>& nodes);

}  // namespace exdb
