// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/opposite_order.hpp"

#include <algorithm>
#include <utility>

#include "base/bytes.hpp"

namespace exdb {

namespace {

const Elsewhere* find(std::span<const Elsewhere> in, std::uint64_t cluster_id) {
  const auto found = std::find_if(in.begin(), in.end(), [cluster_id](const Elsewhere& one) {
    return one.cluster_id == cluster_id;
  });
  return found == in.end() ? nullptr : &*found;
}

std::optional<std::vector<Elsewhere>> read(Bytes note) {
  ByteReader in(note);
  std::vector<Elsewhere> said;
  while (in.ok() && in.remaining() > 0) {
    Elsewhere one;
    one.cluster_id = in.get<std::uint64_t>();
    one.sure = in.get<std::uint8_t>() != 0;
    one.hops = in.get<std::uint8_t>();
    said.push_back(std::move(one));
  }
  if (!in.ok()) return std::nullopt;
  return said;
}

}  // namespace

Status opposite_order_error(const OppositeOrderFound& found) {
  const auto other = "node " + std::to_string(found.other);
  const auto here = "node " + std::to_string(found.self) + " closes (or stops) '" + found.name +
                    "' before '" + found.kept_name + "', ";
  const auto there = found.circle ? "and " + other + " waits, through other databases, for '" +
                                        found.kept_name + "' to be closed before '" + found.name +
                                        "', so all wait for each other"
                                  : other + " the other way round, so each waits for the other";
  return {ErrorCode::cluster, "databases are closed in opposite order: " + here + there +
                                  " for ever; close them in the same order on all nodes"};
}

void OppositeOrder::set_kept(std::vector<Elsewhere> kept) {
  kept_ = std::move(kept);
  if (!kept_.empty()) return;
  for (auto& seen : sightings_) seen.matches.clear();
}

/// Without the name: it may be another one on each node, and each names its own databases.
std::vector<std::byte> OppositeOrder::note_of(std::span<const Elsewhere> where) {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  for (const auto& one : where) {
    out.put(one.cluster_id);
    out.put(std::uint8_t(one.sure));
    out.put(one.hops);
  }
  return bytes;
}

bool OppositeOrder::sure() const {
  return std::any_of(sightings_.begin(), sightings_.end(), [](const Sighting& seen) {
    return std::any_of(seen.matches.begin(), seen.matches.end(),
                       [](const Match& match) { return match.times >= match.needed; });
  });
}

std::optional<OppositeOrder::Heard> OppositeOrder::hear(MemberId from, Round round, Bytes note,
                                                        bool waits_here) {
  auto said = read(note);
  if (!said) return std::nullopt;
  const bool sure_before = sure();
  auto& seen = sightings_[from.value];
  // A round without a note was one in which nobody waited elsewhere.
  if (!waits_here || round > seen.last.next()) seen.matches.clear();
  const bool next = round == seen.last.next();
  const auto before = std::exchange(seen.matches, {});
  seen.last = round;
  seen.said = waits_here ? std::move(*said) : std::vector<Elsewhere>();
  Heard heard;
  for (const auto& where : seen.said) {
    const auto* const kept = find(kept_, where.cluster_id);
    if (!kept) continue;
    Match match{where.cluster_id, 1, rounds_needed_ * where.hops};
    for (const auto& one : before)
      if (one.cluster_id == where.cluster_id) match.times = one.times + (next ? 1 : 0);
    const bool here = match.times >= match.needed;
    seen.matches.push_back(match);
    heard.sure |= here && !sure_before;
    if (!here || heard.both || !(where.sure || alone_)) continue;
    heard.both = true;
    heard.circle = where.hops > 1;
    heard.kept_name = kept->name;
  }
  return heard;
}

void OppositeOrder::add(std::vector<Elsewhere>& to, Elsewhere where) {
  for (auto& one : to) {
    if (one.cluster_id != where.cluster_id) continue;
    one.sure |= where.sure;
    one.hops = std::min(one.hops, where.hops);
    return;
  }
  if (where.hops <= hops_max) to.push_back(std::move(where));
}

std::vector<Elsewhere> OppositeOrder::beyond(Round completed,
                                             const std::vector<bool>& stopped) const {
  std::vector<Elsewhere> all;
  for (std::size_t member = 0; member < sightings_.size(); ++member) {
    const auto& seen = sightings_[member];
    if (stopped[member] || seen.last.next() < completed) continue;
    for (auto one : seen.said) {
      ++one.hops;
      add(all, std::move(one));
    }
  }
  return all;
}

}  // namespace exdb
