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
//   I1  Every MPI call after opening happens under `lock_` and after the gate was seen open.
//
//   I2  A rank that is gone stays gone (Transport::gone_is_final): it has died, or has closed its
//       database. Nothing is handed to MPI for the dead.
//
//   I3  A failed call that has one rank as its partner ends that rank here, and nothing else.
// Threads: as exdb::Transport.
// Failure: a failed call without one partner is remembered and returned by every later call.
#pragma once
#include <atomic>
#include <mutex>

#include "exdb/transport_counters.hpp"
#include "finalize_guard.hpp"
#include "survivors.hpp"

namespace exdb::mpi {

class ResilientTransport final : public Transport, private EndsWithMpi {
 public:
  explicit ResilientTransport(std::shared_ptr<ResilientSession> session);
  ~ResilientTransport() override;
  /// Makes the receives ready. To be called once, before anything else.
  Status start();

  [[nodiscard]] std::uint32_t self() const override { return rank_; }
  [[nodiscard]] std::uint32_t size() const override { return size_; }
  [[nodiscard]] std::string describe() const override;
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  [[nodiscard]] bool has_room(std::uint32_t node) const override;
  [[nodiscard]] std::size_t send_bound_bytes() const override {
    return session_->outbox.bound_bytes();
  }
  void remove(std::uint32_t node) override;
  Status add(std::uint32_t node) override;
  [[nodiscard]] bool gone_is_final() const override { return true; }
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override { doorbell_.wake(); }
  [[nodiscard]] bool wakes() const override { return wakes_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool crowded() const override { return crowded_; }
  [[nodiscard]] TransportStatistics statistics() const override { return counters_.statistics(); }
  /// Local, whatever is asked for: tells the others, and waits a second at most for what is on its
  /// way.
  void close(bool collective) override;

 private:
  std::shared_ptr<ResilientSession> session_;
  const std::uint32_t rank_, size_;
  const bool crowded_;
  std::atomic<bool> closed_{false}, mpi_ended_{false}, wakes_{false};
  mutable std::mutex lock_;
  Status failure_;  ///< under lock_
  std::vector<bool> removed_;
  Doorbell& doorbell_;
  TransportCounters counters_;

  void mpi_ends() override;
  void end();
  [[nodiscard]] Status usable() const;
  Status remember(Status status);
  Status hand_over(std::uint32_t to, const Frame& frame);
  Status tell_who_is_gone(FrameSink& sink);
  [[nodiscard]] bool takes_part(std::uint32_t node) const {
    return node != rank_ && !removed_[node] && !session_->gone(node);
  }
  void see_who_wakes();
};

/// COLLECTIVE: returns when every rank watches the others.
Result<std::unique_ptr<Transport>> resilient_transport(Opened opened, const Options& options);

}  // namespace exdb::mpi
