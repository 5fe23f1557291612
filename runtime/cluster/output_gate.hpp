// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a member on disk says and gives out, held back until its store has all that was true when it
// said it. The member itself works as if everything were stored at once; so nobody outside can tell a
// crash from a node that stood still at the last thing it said.
//
// Invariants
//   G1  A frame leaves when the store has all that it had been given when hold() came, and after all
//       frames that were held before it.
//   G2  A round may be given out when the store has all that it had been given when the round was
//       first seen to be final: its own append, and the promise, view or rounds that made it so here.
//   G3  What is held for a node is lost with its link, as if it had been on its way.
// Threads: none; the caller has one lock around it.
#pragma once
#include <deque>

#include "cluster/view_member.hpp"

namespace exdb {

class OutputGate {
 public:
  OutputGate(StableStore& store, ViewMutation mutation) : store_(store), mutation_(mutation) {}

  /// What the member says now. It has remembered what it had to: a step of the store ends here.
  void hold(std::vector<ViewMember::Output> outputs) {
    const auto stamp = store_.newest();
    for (auto& output : outputs) held_.push_back({stamp, std::move(output)});
  }
  /// Gives to `send` what may leave.
  template <class Send>
  void release(Send&& send) {
    if (held_.empty()) return;
    const auto stored = store_.stored();
    for (; !held_.empty() &&
           (held_.front().stamp <= stored || mutation_ == ViewMutation::says_before_stored);
         held_.pop_front())
      send(std::move(held_.front().output));
  }
  void lose(MemberId to) {
    std::erase_if(held_, [to](const Held& one) { return one.output.to == to; });
  }
  [[nodiscard]] bool empty() const { return held_.empty(); }

  /// The member says that rounds up to here are final; to be told after each input of its.
  void see_final(Round upto) {
    if (upto > seen_) finals_.push_back({store_.newest(), upto});
    seen_ = std::max(seen_, upto);
  }
  /// Up to which round they may be given out.
  Round may_give() {
    if (mutation_ == ViewMutation::gives_before_stored) return seen_;
    if (finals_.empty()) return given_;
    const auto stored = store_.stored();
    for (; !finals_.empty() && finals_.front().stamp <= stored; finals_.pop_front())
      given_ = finals_.front().upto;
    return given_;
  }

 private:
  struct Held {
    StableStore::Ticket stamp;
    ViewMember::Output output;
  };
  struct Final {
    StableStore::Ticket stamp;
    Round upto;
  };
  StableStore& store_;
  ViewMutation mutation_;
  std::deque<Held> held_;
  std::deque<Final> finals_;
  Round seen_, given_;
};

}  // namespace exdb
