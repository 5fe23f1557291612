// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The Transport over MPI of a cluster whose ranks live as long as it: point-to-point or collective
// broadcasts, and a collective end.
//
// Invariants
//   I1  After remove() broadcasts are point-to-point: a collective call that includes a rank that
//       has gone never completes.
//   I2  A session is freed here by a collective close in which all take part; else it goes to the
//       left sessions, or, when MPI has failed or ended, is kept for ever.
//
//   I3  Whoever goes alone says so to all (session.hpp, I2), so a close never waits for a rank that
//       has closed, however, and for others no longer than Options::close_deadline.
// Threads: as exdb::Transport.
// Failure: the first failed MPI call is remembered and returned by every later call.
#pragma once
#include "exdb/collective_gather.hpp"
#include "session_transport.hpp"

namespace exdb::mpi {

class MpiTransport final : public SessionTransport, private CollectiveGather {
 public:
  MpiTransport(Opened opened, const Options& options);
  ~MpiTransport() override;

  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] CollectiveGather* gather() override { return this; }
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  [[nodiscard]] bool has_room(std::uint32_t node) const override;
  [[nodiscard]] bool broadcast_is_collective() const override { return collective_.load(); }
  void remove(std::uint32_t node) override;
  Status add(std::uint32_t node) override;
  [[nodiscard]] bool can_rejoin() const override { return !began_collective_; }

 private:
  const std::chrono::milliseconds close_deadline_;
  const bool began_collective_;
  std::atomic<bool> collective_;
  bool ever_removed_ = false;

  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override;
  void end(bool collective) override;
  void end_with_mpi() override;
  Status broadcast_collectively(Frame frame);
  [[nodiscard]] UnderWay exchanges_under_way() const;
  void say_alone();
  void leave_session();
};

}  // namespace exdb::mpi
