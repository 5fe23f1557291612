// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rounds of one installed view: RoundProtocol among its members, and the watermarks that say how
// far each of them holds what is complete.
//
// Invariants (I: protocol.md)
//   R1  A round is complete when the batches of all members of the view are here, one of each (I6).
//   R2  held_by_majority() is a round that members with more than half of the configured qrank hold,
//       by their own word (I5). A batch of round r+1 says so of round r; an ACK says it when idle.
//       In a view without a majority's word it is a round that all of its members hold.
//   R3  What is on its way twice, after a link came back, counts once.
// Threads: none; the caller has one lock around it.
// Failure: a batch that breaks the rules of the rounds gives a Status cluster_protocol.
#pragma once
#include <deque>

#include "cluster/mutation.hpp"
#include "cluster/round_protocol.hpp"
#include "cluster/view_messages.hpp"

namespace exdb {

class ViewRounds {
 public:
  ViewRounds(MemberId self, View view, Round after, const Weights& weights, ViewMutation mutation);

  Status on_batch(MemberId from, const BatchMessage& message);
  void on_watermark(MemberId from, Round recv, Round applied);
  /// This member holds the rounds up to here.
  void holds(Round round);
  /// REQUIRES: may_post().
  void place(Batch own, Frame frame);
  /// The frames of this member's batches after `recv`, oldest first.
  [[nodiscard]] std::vector<Frame> sent_after(Round recv) const;

  [[nodiscard]] const View& view() const { return view_; }
  [[nodiscard]] bool may_post() const { return protocol_.may_post(); }
  [[nodiscard]] bool asked() const { return protocol_.asked(); }
  [[nodiscard]] Round posted() const { return protocol_.posted(); }
  [[nodiscard]] Round completed() const { return protocol_.completed(); }
  [[nodiscard]] std::vector<MemberId> missing() const { return protocol_.missing(); }
  std::optional<CompletedRound> take_round();
  [[nodiscard]] Round held_by_majority() const;
  [[nodiscard]] Round slowest_applied() const;
  /// What this member has applied, by its own last word. REQUIRES: one of view().
  [[nodiscard]] Round applied_by(MemberId member) const { return marks_[member.value].applied; }

 private:
  struct Sent {
    Round round;
    Frame frame;
  };
  struct Mark {
    Round received, recv, applied;  ///< newest batch here; what it holds; what it has applied
  };

  View view_;
  MemberId self_;
  const Weights& weights_;
  ViewMutation mutation_;
  RoundProtocol protocol_;
  std::vector<Mark> marks_;  ///< by member
  std::deque<Sent> sent_;    ///< what somebody may still lack
};

}  // namespace exdb
