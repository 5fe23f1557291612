// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A database of a cluster of which only some nodes keep a copy on disk: which of them do, and when a
// round is final on all.
//
// Invariants
//   C1  A round that carries anything is final, on every node, only when each member that keeps a copy
//       and has not left has it on its disk, and all before it. So what was acknowledged anywhere is
//       in each of the copies, and outlives the loss of all but one of them.
//   C2  Empty rounds say nothing that could be lost, and wait for those before them only.
//   C3  Who keeps a copy is the same on all nodes: a function of what they have told each other.
//   C4  Without a member that keeps a copy nothing that carries anything is final: the node fails.
// Threads: as Finality.
// Failure: as DurableHistory N3 where this node keeps a copy; disk when nobody is left who does (C4).
// Cost: a frame of 64 bytes from each who keeps a copy to each other member for each of its syncs; a
//   commit waits for the slowest of their disks and one message.
#pragma once
#include <map>

#include "database/durable_history.hpp"

namespace exdb {

/// Of the nodes that may, those that keep a copy, `copies` of them (0: all): first one on each file
/// system, then the next; there who has a folder already, so that least has to be given; then by number.
/// `places`: of each node, the file system that it sees; `has_folder`: of itself, there. C3.
[[nodiscard]] std::vector<bool> choose_keepers(const std::vector<bool>& may, std::uint32_t copies,
                                               const std::vector<std::uint64_t>& places,
                                               const std::vector<bool>& has_folder);

class KeptCopies final : public Finality {
 public:
  /// `keepers`: the members that keep a copy. `own`: the history here, if this one does; else null.
  /// `newest`: the round that all have at first. `name`: of the database, for people.
  KeptCopies(std::vector<MemberId> keepers, std::shared_ptr<DurableHistory> own, Round newest,
             std::string name);

  Round newest_final(const RoundHistory& history) override;
  [[nodiscard]] Status failure() const override;
  void on_change(std::function<void()> tell) override;
  [[nodiscard]] bool asks_others() const override { return true; }
  std::optional<Round> to_tell() override;
  void told(MemberId by, Round upto) override;
  void gone(MemberId member) override;

 private:
  const std::shared_ptr<DurableHistory> own_;
  const std::string name_;
  std::map<MemberId, Round> others_;  ///< who keeps a copy besides this one, and what is there
  Round looked_at_;                   ///< in the history
  Round full_;                        ///< the newest round so far that carries anything
  Round final_, told_;
  Status failure_;
};

}  // namespace exdb
