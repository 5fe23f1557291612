// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/autoids.hpp"

#include "cluster/node.hpp"
#include "schema/autoid.hpp"

namespace exdb {

std::uint64_t autoids_from(std::uint64_t life_ns) {
  constexpr std::uint64_t second_ns = 1'000'000'000, start_of_2025 = 1'735'689'600;
  return ((life_ns / second_ns - start_of_2025) << 10) + 1;
}

Marks marks_of(const DatabaseCore& core) {
  return {core.route ? core.route->last_number() : 0,
          std::max(core.next_autoid.load(), core.replica->autoids_seen() + 1)};
}

bool settle_autoids(DatabaseCore& core) {
  // Where nodes come and go it is always one. Asked first: what comes in between is seen next time.
  const bool seated = static_cast<const Node&>(*core.node).seated();
  const auto above = core.replica->autoids_seen() + 1;
  auto next = core.next_autoid.load();
  while (next < above && !core.next_autoid.compare_exchange_weak(next, above)) {
  }
  core.autoids_settled = seated;
  return seated;
}

}  // namespace exdb
