// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The parts of an object's id (database/autoids.hpp).
#pragma once
#include "base/types.hpp"

namespace exdb {

constexpr unsigned autoid_count_bits = 40;

[[nodiscard]] constexpr std::uint64_t autoid_of(NodeId node, std::uint64_t count) {
  return (std::uint64_t{node.value} << autoid_count_bits) + count;
}
[[nodiscard]] constexpr std::uint64_t autoid_count(std::uint64_t id) {
  return id & ((std::uint64_t{1} << autoid_count_bits) - 1);
}

}  // namespace exdb
