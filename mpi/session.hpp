// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What one opened cluster holds of MPI: three communicators, and the inbox, outbox and exchange
// that use them. Apart from the transport, because it may have to outlive it: freeing communicators
// is collective, and a node that goes away alone (an exception, a failure) cannot do that.
//
// Invariants
//   I1  The communicators are freed only after a drain that succeeded on every rank: MPI uses their
//       numbers again, and a message that was not received would be taken for one of the next
//       cluster.
//
//   I2  Each rank says to every other how it closes it: together (tag_end with the exchanges that it
//       has begun), or alone (end_without_you), and who has said together says alone after it when
//       it gives up, up to the barrier. Nobody says together when it knows of one that goes alone,
//       and who waits gives up as soon as it hears of one. So a close waits for ranks only that have
//       not closed yet, and for those no longer than its deadline.
//
//   I3  After the barrier has begun nothing is sent: others may have freed the communicators.
// Threads: one at a time (the transport's lock, then the list of left sessions).
// Failure: a Status of a failed MPI call. What MPI has not let go of is never freed.
#pragma once
#include <memory>

#include "exchange.hpp"
#include "inbox.hpp"
#include "opening.hpp"
#include "outbox.hpp"

namespace exdb::mpi {

struct Session {
  Session(Opened from, std::size_t bound_bytes);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// One step of everything, and the next frame that has arrived. `first`: of a sweep.
  Status move_and_take(Inbox::Sweep& sweep, bool first, std::optional<Arrival>& arrival);
  void ring_all();
  /// Something is on its way that only polling moves.
  [[nodiscard]] bool moving() const {
    return outbox.moving() || exchange.under_way() || inbox.transferring();
  }
  [[nodiscard]] Result<bool> something_there();

  /// Receives and throws away all that is on its way, together with all other ranks, who do the
  /// same with the same `tag`: tag_end, or tag_end_left when the transport is long closed. True
  /// when nothing more will come here. False also when a rank closes alone (I2). COLLECTIVE; once
  /// for each tag.
  bool collective_drain(int tag, const Deadline& deadline);
  /// True when all ranks have come here with true. COLLECTIVE, after a drain with tag_end.
  bool collective_barrier(const Deadline& deadline);
  /// Says to `node` that this rank takes no part in a collective close with it. REQUIRES: no
  /// barrier has begun.
  Status say_alone(std::uint32_t node) { return outbox.send_end(node, tag_end, end_without_you); }
  /// One step of everything; what has arrived is thrown away.
  Status drain_turn();
  /// Moves what has to leave this process, for at most `patience`.
  void flush(std::chrono::milliseconds patience);
  /// Takes the receives back. False when MPI still holds memory of this object, which must be kept
  /// then.
  bool cancel() { return inbox.cancel() && outbox.empty() && !exchange.under_way(); }
  void free() { free_communicators(opened); }

  Opened opened;
  Inbox inbox;
  Outbox outbox;
  CollectiveExchange exchange;
  bool barrier_begun = false;

 private:
  [[nodiscard]] bool all_ended(int tag, std::uint64_t& exchanges) const;
  [[nodiscard]] bool left_out() const;
};

}  // namespace exdb::mpi
