// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a member whose node is on disk knows in its next life, beside its rounds: what it has promised
// and accepted, and that its state counts. Small, and the same from one change of view to the next, so
// it is written seldom. Whether a view that it accepted has its rounds here, the rounds say; which of
// them are final and applied, the log; whom it reaches, the next life finds out.
//
// What is not here on purpose: that it was a member of a view. It cannot know what it posted there after
// the last thing that was stored, so it takes part again only in a view that names its new life.
//
// Invariants
//   Y1  decode_view_memory accepts exactly what encode_view_memory makes, and never reads past its end.
//   Y2  What is remembered claims no more than the rounds stored before it: a view is remembered as
//       accepted when what it goes on from is in the history, and history and memory reach the device
//       in that order (StableStore S1). That a history was founded, before its first final round.
//   Y3  A life that has said anything is remembered, so the next one is higher (next_life()).
// Threads: plain values.
// Failure: bytes that are no memory, or one of a newer version, give a Status disk_damaged or
//   disk_version; a memory of another node or cluster gives cluster_incompatible.
#pragma once
#include <chrono>
#include <vector>

#include "cluster/lineage.hpp"
#include "cluster/view.hpp"

namespace exdb {

struct ViewMemory {
  std::uint64_t cluster_id = 0;
  MemberId self;
  Incarnation incarnation;  ///< the newest life
  bool voter = false;       ///< its state counts (ViewMember W5)
  Ballot promised, accepted;
  Ballot history_view;              ///< whose rounds the complete ones are
  Ballot installed;                 ///< the newest view in which this node was a member
  Ballot final_view;                ///< of a round that was final here
  std::vector<Ballot> unconfirmed;  ///< accepted before this node was a voter
  Lineage lineage;
  bool operator==(const ViewMemory&) const = default;
};

[[nodiscard]] std::vector<std::byte> encode_view_memory(const ViewMemory& memory);
[[nodiscard]] Result<ViewMemory> decode_view_memory(Bytes bytes);
/// cluster_incompatible when it is of another node, or of a cluster with another schema or qranks.
[[nodiscard]] Status check_view_memory(const ViewMemory& memory, MemberId self,
                                       std::uint64_t cluster_id);

/// Of a node that remembers nothing: by the wall clock, which is the caller's to read.
[[nodiscard]] Incarnation first_life(std::chrono::nanoseconds since_1970);
/// Of one that does: above all lives that have said anything.
[[nodiscard]] inline Incarnation next_life(const ViewMemory& memory) {
  return {memory.incarnation.value + 1};
}

}  // namespace exdb
