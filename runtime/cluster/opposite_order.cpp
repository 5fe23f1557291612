// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/opposite_order.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace exdb {

void OppositeOrder::set_kept(std::vector<Elsewhere> kept) {
  kept_ = std::move(kept);
  if (kept_.empty()) std::fill(sightings_.begin(), sightings_.end(), Sighting());
}

/// Without the name: it may be another one on each node, and each names its own databases.
std::vector<std::byte> OppositeOrder::note_of(const Elsewhere& where) {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  out.put(where.cluster_id);
  out.put(std::uint8_t(where.sure));
  return bytes;
}

bool OppositeOrder::sure() const {
  return std::any_of(sightings_.begin(), sightings_.end(),
                     [this](const Sighting& one) { return one.times >= rounds_needed_; });
}

std::optional<OppositeOrder::Heard> OppositeOrder::hear(MemberId from, Round round, Bytes note,
                                                        bool waits_here) {
  ByteReader in(note);
  const auto cluster = in.get<std::uint64_t>();
  const bool sure_there = in.get<std::uint8_t>() != 0;
  if (!in.ok() || in.remaining() > 0) return std::nullopt;
  const bool sure_before = sure();
  auto& seen = sightings_[from.value];
  const auto kept = std::find_if(kept_.begin(), kept_.end(), [cluster](const Elsewhere& one) {
    return one.cluster_id == cluster;
  });
  if (!waits_here || kept == kept_.end()) {
    seen = {};
    return Heard();
  }
  // A round without a note was one in which nobody waited elsewhere.
  if (seen.cluster_id != cluster || round > seen.last.next())
    seen = {cluster, round, 1};
  else if (round == seen.last.next())
    seen = {cluster, round, seen.times + 1};
  const bool here = seen.times >= rounds_needed_;
  return Heard{here && !sure_before, here && (sure_there || alone_), kept->name};
}

}  // namespace exdb
