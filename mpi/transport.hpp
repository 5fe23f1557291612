// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The Transport over MPI: a session (inbox, outbox, collective exchange) and the doorbell under one
// lock.
//
// Invariants
//   I1  Every MPI call after opening happens under `lock_` and after the gate was seen open: so
//       once mpi_ends() or close() has returned, there is none.
//   I2  The lock is held for some calls of MPI_Test, never while a frame is delivered and never
//       while sleeping.
//   I3  After remove() broadcasts are point-to-point: a collective call that includes a rank that
//       has gone never completes.
//   I4  A session is freed here by a collective close in which all take part; else it goes to the
//       left sessions, or, when MPI has failed or ended, is kept for ever.
//
//   I5  Whoever goes alone says so to all (session.hpp, I2), so a close never waits for a rank that
//       has closed, however, and for others no longer than Options::close_deadline.
// Threads: as exdb::Transport.
// Failure: the first failed MPI call is remembered and returned by every later call.
#pragma once
#include <atomic>
#include <mutex>

#include "exdb/collective_gather.hpp"
#include "exdb/transport_counters.hpp"
#include "finalize_guard.hpp"
#include "session.hpp"

namespace exdb::mpi {

class MpiTransport final : public Transport, private CollectiveGather, private EndsWithMpi {
 public:
  MpiTransport(Opened opened, const Options& options);
  ~MpiTransport() override;
  /// Makes the receives ready. To be called once, before anything else.
  Status start();

  [[nodiscard]] std::uint32_t self() const override { return rank_; }
  [[nodiscard]] std::uint32_t size() const override { return size_; }
  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] CollectiveGather* gather() override { return this; }
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  [[nodiscard]] bool has_room(std::uint32_t node) const override;
  [[nodiscard]] std::size_t send_bound_bytes() const override {
    return session_->outbox.bound_bytes();
  }
  [[nodiscard]] bool broadcast_is_collective() const override { return collective_.load(); }
  void remove(std::uint32_t node) override;
  Status add(std::uint32_t node) override;
  [[nodiscard]] bool can_rejoin() const override { return !began_collective_; }
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override { doorbell_.wake(); }
  [[nodiscard]] bool wakes() const override { return wakes_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool crowded() const override { return crowded_; }
  [[nodiscard]] TransportStatistics statistics() const override { return counters_.statistics(); }
  void close(bool collective) override;

 private:
  const std::uint32_t rank_, size_;
  const std::chrono::milliseconds close_deadline_;
  bool crowded_ = false;
  const bool began_collective_;
  std::atomic<bool> collective_;
  std::atomic<bool> closed_{false}, mpi_ended_{false};
  mutable std::mutex lock_;
  Status failure_;  ///< under lock_
  std::vector<bool> removed_;
  std::atomic<bool> wakes_{false};
  bool ever_removed_ = false;
  // Shared, so that it can be kept when MPI does not let go of its memory.
  std::shared_ptr<Session> session_;
  Doorbell& doorbell_;
  TransportCounters counters_;

  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override;
  void mpi_ends() override;
  [[nodiscard]] Status usable() const;
  Status remember(Status status);
  Status send_point_to_point(std::uint32_t to, const Frame& frame, bool after_collective);
  Status broadcast_collectively(Frame frame);
  [[nodiscard]] UnderWay exchanges_under_way() const;
  [[nodiscard]] std::optional<std::uint32_t> first_without_room() const;
  void say_alone();
  void leave_session();
  void see_who_wakes();
};

}  // namespace exdb::mpi
