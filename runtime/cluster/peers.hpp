// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a member knows of each other node: its link, when it was heard last, in which life, what it
// said of itself, and for how long it is not to be taken in again. From this comes suspicion; nothing
// is decided here.
//
// Invariants
//   P1  A node is reached while its link is up and it was heard within `suspect`; a member is
//       suspected when it has not been reached for that long. Only time that passes here counts
//       (H16).
//   P2  The incarnation known of a node only grows; a new one knows nothing of what the old one said
//       (I13).
//   P3  Who is left out of a view waits before it is taken in again, each time twice as long, until
//       it has stayed in for long enough (H23: a bad link must not end every view).
// Threads: a plain value.
#pragma once
#include <chrono>
#include <optional>
#include <vector>

#include "cluster/view_messages.hpp"

namespace exdb {

/// Of a clock that never goes back; its zero is the caller's.
using ViewTime = std::chrono::nanoseconds;

struct ViewTiming {
  ViewTime beat{std::chrono::milliseconds(1000)};  ///< how often an idle member says that it lives
  ViewTime suspect{std::chrono::seconds(10)};      ///< silent for so long: gone
  ViewTime link_grace{std::chrono::seconds(2)};    ///< without a link for so long: gone
  ViewTime grace{std::chrono::milliseconds(200)};  ///< for promises after there are enough
  ViewTime patience{std::chrono::seconds(2)};      ///< for a ballot without progress
  ViewTime stagger{std::chrono::milliseconds(200)};  ///< between two that might begin a ballot
  ViewTime form_grace{std::chrono::seconds(2)};      ///< for all nodes, before some form a cluster
  ViewTime stall{std::chrono::seconds(20)};          ///< a round that gets no further
  ViewTime backoff{std::chrono::seconds(2)}, backoff_max{std::chrono::seconds(60)};
};

struct Peer {
  bool linked = false;
  ViewTime unlinked_at{0};
  std::optional<ViewTime> heard;
  Incarnation incarnation;
  // What it said last.
  bool seated = false, voter = false, leaves = false, consents = false;
  Ballot view;  ///< installed there, when seated
  RoundHistory::Chain final;
  Round newest;                         ///< complete there
  Round applied;                        ///< of who is outside of the view, as it said
  std::optional<ViewTime> level_since;  ///< outside of the view: it has had all rounds since
  MemberSet reach;
  Lineage lineage;
  // Back-off.
  ViewTime readmit_at{0}, backoff{0}, seated_at{0};
  ViewTime spoken_to{0};  ///< when something was sent to it last
};

class Peers {
 public:
  Peers(std::uint32_t nodes, MemberId self, const ViewTiming& timing)
      : self_(self), timing_(timing), peers_(nodes) {}

  [[nodiscard]] Peer& of(MemberId member) { return peers_[member.value]; }
  [[nodiscard]] const Peer& of(MemberId member) const { return peers_[member.value]; }

  void link(MemberId member, bool up, ViewTime now);
  /// A frame came. False when it is of a life that is over (P2).
  bool hear(MemberId member, Incarnation incarnation, ViewTime now);
  [[nodiscard]] bool reached(MemberId member, ViewTime now) const;
  [[nodiscard]] bool suspected(MemberId member, ViewTime now) const;
  /// All that are reached, and self.
  [[nodiscard]] MemberSet reach(ViewTime now) const;
  [[nodiscard]] std::vector<MemberId> others() const;

  [[nodiscard]] bool backs_off(MemberId member, ViewTime now) const {
    return now < of(member).readmit_at;
  }
  void left_out(MemberId member, ViewTime now);
  void taken_in(MemberId member, ViewTime now);

 private:
  MemberId self_;
  ViewTiming timing_;
  std::vector<Peer> peers_;
};

}  // namespace exdb
