// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The Transport over MPI: puts inbox, outbox, collective exchange and doorbell together under one
// lock.
//
// Invariants
//   I1  Every MPI call after opening happens under `lock_` and after the gate was seen open: so
//       once mpi_ends() or close() has returned, there is none.
//   I2  The lock is held for some calls of MPI_Test, never while a frame is delivered and never
//       while sleeping.
//   I3  After remove() broadcasts are point-to-point: a collective call that includes a rank that
//       has gone never completes.
// Threads: as exdb::Transport.
// Failure: the first failed MPI call is remembered and returned by every later call.
#pragma once
#include <atomic>
#include <mutex>

#include "exchange.hpp"
#include "finalize_guard.hpp"
#include "inbox.hpp"
#include "opening.hpp"
#include "outbox.hpp"

namespace exdb::mpi {

class MpiTransport final : public Transport, private EndsWithMpi {
 public:
  MpiTransport(Opened opened, const Options& options);
  ~MpiTransport() override;
  /// Makes the receives ready. To be called once, before anything else.
  Status start();

  [[nodiscard]] std::uint32_t self() const override { return opened_.rank; }
  [[nodiscard]] std::uint32_t size() const override { return opened_.size; }
  [[nodiscard]] std::string describe() const override;
  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override;
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  [[nodiscard]] bool broadcast_is_collective() const override { return collective_.load(); }
  void remove(std::uint32_t node) override;
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override { doorbell_->wake(); }
  [[nodiscard]] bool crowded() const override { return crowded_; }
  [[nodiscard]] TransportStatistics statistics() const override;
  void close(bool collective) override;

 private:
  struct Counters {
    std::atomic<std::uint64_t> frames_sent{0}, frames_received{0}, bytes_sent{0}, bytes_received{0},
        frames_long{0}, collectives{0}, polls{0}, sleeps{0};
  };

  Opened opened_;
  const std::chrono::milliseconds deadline_;
  bool crowded_ = false;
  std::atomic<bool> collective_{false};
  std::atomic<bool> closed_{false}, mpi_ended_{false};
  mutable std::mutex lock_;
  Status failure_;  ///< under lock_
  std::vector<bool> removed_;
  std::size_t removed_count_ = 0;
  // Shared, so that they can be kept for ever when MPI does not let go of their memory.
  std::shared_ptr<Doorbell> doorbell_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Outbox> outbox_;
  std::shared_ptr<CollectiveExchange> exchange_;
  Counters counters_;

  void mpi_ends() override;
  [[nodiscard]] Status usable() const;
  Status remember(Status status);
  Status send_point_to_point(std::uint32_t to, const Frame& frame, bool after_collective);
  void count_sent(std::uint64_t copies, std::size_t bytes, bool is_long);
  Status move_and_take(Inbox::Sweep& sweep, bool first, std::optional<Arrival>& arrival);
  void ring_all();
  bool drain(const Deadline& deadline);
  Status drain_turn();
  [[nodiscard]] bool all_ended(std::uint64_t& exchanges) const;
  [[nodiscard]] bool left_out() const;
  void let_go(std::chrono::milliseconds patience);
};

}  // namespace exdb::mpi
