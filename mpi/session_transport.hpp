// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the Transports over MPI have in common: a session and the doorbell under one lock, from the
// first receive to the end.
//
// Invariants
//   I1  Every MPI call after opening happens under `lock_` and after the gate was seen open: so
//       once mpi_ends() or close() has returned, there is none.
//   I2  The lock is held for some calls of MPI_Test, never while a frame is delivered and never
//       while sleeping.
// Threads: as exdb::Transport.
// Failure: the first failed MPI call is remembered and returned by every later call.
#pragma once
#include <atomic>
#include <mutex>

#include "exdb/transport_counters.hpp"
#include "finalize_guard.hpp"
#include "session.hpp"

namespace exdb::mpi {

class SessionTransport : public Transport, private EndsWithMpi {
 public:
  /// REQUIRES: closed, by the class that is made of it.
  ~SessionTransport() override;
  /// Makes the receives ready. To be called once, before anything else.
  Status start();

  [[nodiscard]] std::uint32_t self() const override { return rank_; }
  [[nodiscard]] std::uint32_t size() const override { return size_; }
  [[nodiscard]] std::size_t send_bound_bytes() const override {
    return session_->outbox.bound_bytes();
  }
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override { doorbell_.wake(); }
  [[nodiscard]] bool wakes() const override { return wakes_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool crowded() const override { return crowded_; }
  [[nodiscard]] TransportStatistics statistics() const override { return counters_.statistics(); }
  void close(bool collective) final;

 protected:
  explicit SessionTransport(std::shared_ptr<Session> session);

  // Under lock_, as all below.
  /// It is sent to.
  [[nodiscard]] virtual bool takes_part(std::uint32_t node) const {
    return node != rank_ && !removed_[node];
  }
  virtual void heard(std::uint32_t /*node*/) {}
  /// The session ends; called once, by close() or mpi_ends().
  virtual void end(bool collective) = 0;
  virtual void end_with_mpi() = 0;

  [[nodiscard]] Status usable() const;
  Status remember(Status status);
  [[nodiscard]] Status is_other(std::uint32_t node) const;
  Status hand_over(std::uint32_t to, const Frame& frame, bool after_collective);
  [[nodiscard]] std::optional<std::uint32_t> first_without_room() const;
  void see_who_wakes();
  /// "MPI (MPICH 5.0.2, 4 ranks, `how`)"
  [[nodiscard]] std::string described(const char* how) const;

  // Shared, so that it can be kept when MPI does not let go of its memory.
  const std::shared_ptr<Session> session_;
  const std::uint32_t rank_, size_;
  mutable std::mutex lock_;
  Status failure_;
  std::vector<bool> removed_;
  TransportCounters counters_;

 private:
  const bool crowded_;
  std::atomic<bool> closed_{false}, mpi_ended_{false}, wakes_{false};
  Doorbell& doorbell_;

  void mpi_ends() override;
};

/// Of what may be on its way to one rank.
std::size_t bound_bytes_of(const Options& options);

}  // namespace exdb::mpi
