// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One node hands pieces of what it has to all others, over the gather that opens a cluster.
//
// Invariants
//   H1  All nodes come through the same gathers, whatever fails on one of them: what fails is told with
//       the next pieces, and ends hand_out() on all with the same Status.
// Threads: one a node.
// Failure: those of the giver, of who takes, and of the gather.
// Cost: each piece goes to all nodes, those included that need none of it. Small ones go together, in a
//   gather for each MiB: where processors are shared a gather costs each node some turns of the others.
#pragma once
#include <functional>

#include "database/restore_words.hpp"

namespace exdb {

class Handout {
 public:
  using Take = std::function<Status(Bytes)>;
  /// The giver: hands out what is in it.
  using Give = std::function<Status(Bytes)>;

  Handout(CollectiveGather& gather, std::uint32_t giver, bool gives)
      : gather_(gather), giver_(giver), gives_(gives) {}

  /// COLLECTIVE. `all_of_it` is called on the giver, with what hands a piece to all; `take` on all nodes
  /// with each piece, on the giver too: it may give from a folder that is not its own. `ready`: of this
  /// node, before anything is given.
  Status run(const Status& ready, const std::function<Status(const Give&)>& all_of_it,
             const Take& take);

 private:
  Status give(Bytes piece, const Take& take);
  Status flush(const Take& take);
  void take_all(Bytes pieces, const Take& take);
  Status receive(const Take& take);

  CollectiveGather& gather_;
  const std::uint32_t giver_;
  const bool gives_;
  std::vector<std::byte> pieces_;  ///< that go together, each behind its length
  Status taking_;                  ///< what fails here on the way
  bool given_up_ = false;          ///< all know of a failure
};

}  // namespace exdb
