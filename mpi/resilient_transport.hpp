// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The Transport over MPI whose ranks may die: point-to-point messages only, each on its own, so that
// none waits for a rank that is gone. Opening is collective; nothing after it is. Who may write, and
// what a rank that comes back from a stop has missed, the views decide (runtime/cluster).
//
// MPICH tells nothing of a death (mpi-notes: a receive from the dead stays pending, a short send to
// it succeeds). So processes of this host are watched (liveness.hpp); a rank of another host that is
// silent is gone for the views by their keep-alive, and this transport goes on sending to it, up to the
// bound. Where an MPI does say that a call with a rank has failed, that rank is dead here.
//
// Invariants
//   I1  A rank that is gone stays gone (Transport::gone_is_final): it has died, or has closed its
//       database. Nothing is handed to MPI for the dead.
//
//   I2  A failed call that has one rank as its partner ends that rank here, and nothing else.
// Threads: as exdb::Transport.
// Failure: a failed call without one partner is remembered and returned by every later call.
#pragma once
#include "session_transport.hpp"
#include "survivors.hpp"

namespace exdb::mpi {

class ResilientTransport final : public SessionTransport {
 public:
  explicit ResilientTransport(std::shared_ptr<ResilientSession> session);
  /// Local, whatever is asked for: tells the others, and waits a second at most for what is on its
  /// way. So does close().
  ~ResilientTransport() override;

  [[nodiscard]] std::string describe() const override { return described("resilient"); }
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  [[nodiscard]] bool has_room(std::uint32_t node) const override;
  void remove(std::uint32_t node) override;
  Status add(std::uint32_t node) override;
  [[nodiscard]] bool gone_is_final() const override { return true; }
  Status poll(FrameSink& sink, bool& any) override;

 private:
  const std::shared_ptr<ResilientSession> resilient_;  ///< is session_

  void end(bool collective) override;
  void end_with_mpi() override;
  Status tell_who_is_gone(FrameSink& sink);
  [[nodiscard]] bool takes_part(std::uint32_t node) const override {
    return SessionTransport::takes_part(node) && !resilient_->gone(node);
  }
  void heard(std::uint32_t node) override { resilient_->heard(node); }
};

/// COLLECTIVE: returns when every rank watches the others.
Result<std::unique_ptr<Transport>> resilient_transport(Opened opened, const Options& options);

}  // namespace exdb::mpi
