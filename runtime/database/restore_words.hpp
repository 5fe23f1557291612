// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What nodes tell each other when they open a database that is on disk, and what they tell people.
//
// Invariants
//   W1  exchange() gives the same on all nodes: everybody's bytes, or the failure of the lowest node
//       that has one, with its number.
// Threads: none.
#pragma once
#include <chrono>
#include <map>

#include "base/bytes.hpp"
#include "database/restore_copies.hpp"
#include "exdb/collective_gather.hpp"

namespace exdb {

using Blocks = std::vector<std::vector<std::byte>>;

/// COLLECTIVE. Without a deadline: some nodes may have much to read first.
Result<Blocks> exchange(CollectiveGather& gather, const Status& mine, Bytes bytes);

/// A copy that some node holds, as all know it.
struct Known {
  std::uint32_t by = 0;
  std::uint32_t held = 0;  ///< the how manieth of that node
  bool own = false;        ///< of the node itself
  bool empty = true;
  Copy copy;
  Round checkpoint;
  Marks marks;
  bool torn_down = false;  ///< who had it open did not close it
  std::string cut;         ///< what was passed over, for people
};
[[nodiscard]] Known said_of(const HeldCopy& held, bool own);
void encode(const Known& known, ByteWriter& out);
Status decode(ByteReader& in, Known& known);

/// By node: what it had.
using CaughtUp = std::map<std::uint32_t, Round>;
/// "recovered to round …": one line.
[[nodiscard]] std::string told_of(const std::vector<Known>& known, const Known& giver,
                                  const CaughtUp& by_rounds, const CaughtUp& by_files,
                                  const CaughtUp& in_memory,
                                  std::chrono::steady_clock::duration took);

}  // namespace exdb
