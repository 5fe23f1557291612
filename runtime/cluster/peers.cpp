// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/peers.hpp"

namespace exdb {

void Peers::link(MemberId member, bool up, ViewTime now) {
  auto& peer = of(member);
  if (!up && peer.linked) peer.unlinked_at = now;
  peer.linked = up;
}

bool Peers::hear(MemberId member, Incarnation incarnation, ViewTime now) {
  auto& peer = of(member);
  if (incarnation < peer.incarnation) return false;
  if (incarnation > peer.incarnation) {
    peer.incarnation = incarnation;
    peer.seated = peer.voter = peer.leaves = peer.consents = false;
    peer.view = {};
    peer.final = {};
    peer.reach = {};
    peer.newest = peer.applied = {};
    peer.level_since.reset();
    peer.lineage = {};
  }
  peer.heard = now;
  return true;
}

bool Peers::reached(MemberId member, ViewTime now) const {
  const auto& peer = of(member);
  return peer.linked && peer.heard && now - *peer.heard < timing_.suspect;
}

bool Peers::suspected(MemberId member, ViewTime now) const {
  const auto& peer = of(member);
  if (!peer.linked && now - peer.unlinked_at >= timing_.link_grace) return true;
  return !peer.heard || now - *peer.heard >= timing_.suspect;
}

MemberSet Peers::reach(ViewTime now) const {
  MemberSet set;
  set.add(self_);
  for (const auto member : others())
    if (reached(member, now)) set.add(member);
  return set;
}

std::vector<MemberId> Peers::others() const {
  std::vector<MemberId> members;
  for (std::uint32_t id = 0; id < peers_.size(); ++id)
    if (id != self_.value) members.push_back({id});
  return members;
}

void Peers::left_out(MemberId member, ViewTime now) {
  auto& peer = of(member);
  if (peer.seated_at > ViewTime{} && now - peer.seated_at >= timing_.backoff_max) peer.backoff = {};
  peer.backoff = peer.backoff == ViewTime{} ? timing_.backoff
                                            : std::min(2 * peer.backoff, timing_.backoff_max);
  peer.readmit_at = now + peer.backoff;
  peer.seated_at = {};
}

void Peers::taken_in(MemberId member, ViewTime now) {
  auto& peer = of(member);
  if (peer.seated_at == ViewTime{}) peer.seated_at = now;
  peer.readmit_at = {};
}

}  // namespace exdb
