// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rounds of a node whose replica is on disk: a history in memory of those that are not applied,
// and a log behind it. A thread writes: while it waits for the device the exchange goes on and the
// next rounds gather, so they share the next fsync. On a device that answers at once (a file system
// in memory), or when the device is not waited for, the thread that drives writes itself: to hand a
// round to another thread and back would cost more than the write.
//
// Invariants
//   N1  A round that carries anything is final, so applied and answered, only when it is in the log
//       of this node and synced, and all before it are. Empty rounds say nothing that could be lost:
//       they wait for those before them, and for no sync of their own.
//   N2  A round is kept until it is written and applied.
//   N3  After a failure of the log nothing more is final; the node fails with its text (Finality).
//   N4  What waits for the device is bounded: beyond queued_bytes_max a round waits in append(), and
//       with it the exchange.
// Threads: RoundHistory, newest_final() and state() under the drive lock; the rest from any.
// Cost: in memory as MemoryRoundHistory, and one copy of each payload on the way to the log.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "database/logged_rounds.hpp"

namespace exdb {

class DurableHistory final : public RoundHistory, public Finality, public LoggedRounds {
 public:
  /// About what it costs to wake a thread and to be woken by it.
  static constexpr std::chrono::microseconds at_once_default{50};

  /// `marks`: what this process has given out, now; lock-free, called once there are rounds. `waits`: for the device.
  /// `at_once`: who drives writes itself while a sync takes less.
  DurableHistory(std::unique_ptr<RoundLog> log, std::function<Marks()> marks, bool waits,
                 std::chrono::nanoseconds at_once = at_once_default);
  ~DurableHistory() override;
  DurableHistory(const DurableHistory&) = delete;
  DurableHistory& operator=(const DurableHistory&) = delete;

  // --- RoundHistory ---
  Status append(CompletedRound&& round) override;
  Status sync() override;
  [[nodiscard]] Chain chain() const override { return kept_.chain(); }
  [[nodiscard]] const CompletedRound& held(Round round) const override { return kept_.held(round); }
  void release(Round upto) override;
  CompletedRound spare() override { return kept_.spare(); }
  Status read_from(Round from, const Reader& each) const override {
    return kept_.read_from(from, each);
  }
  [[nodiscard]] Result<Chain> chain_at(Round round) const override { return kept_.chain_at(round); }

  // --- Finality ---
  Round newest_final(const RoundHistory& history) override;
  [[nodiscard]] Status failure() const override;
  void on_change(std::function<void()> tell) override;

  // --- LoggedRounds ---
  [[nodiscard]] State state() const override;
  /// Of a round that is complete and not released. Under the drive lock.
  [[nodiscard]] State state_after(Round round) const;
  Status in_turn(const std::function<Status(RoundLog&)>& what) override;
  void stop(const Status& why) override;
  Status close() override;
  [[nodiscard]] std::uint64_t written_bytes() const override { return log_->written_bytes(); }
  [[nodiscard]] std::uint64_t rounds() const override { return groups_rounds_.load(); }
  void on_round(std::function<void()> tell) override { on_round_ = std::move(tell); }
  /// All rounds up to this one are in the log and synced.
  [[nodiscard]] Round written() const;
  /// How many times the log was synced.
  [[nodiscard]] std::uint64_t groups() const { return groups_.load(); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Queued {
    const CompletedRound* round;
    Marks marks;
  };
  static constexpr std::size_t queued_bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t queued_empty_max = 4096;

  void run(const std::stop_token& stop);
  void write_group(Lock& lock);
  Status write(const std::vector<Queued>& group);
  void tell();

  const std::unique_ptr<RoundLog> log_;  ///< of who writes
  const std::function<Marks()> marks_;
  const bool waits_;
  const std::chrono::nanoseconds at_once_below_;
  std::function<void()> on_round_;
  std::atomic<std::uint64_t> groups_{0}, groups_rounds_{0};

  // --- under the drive lock ---
  MemoryRoundHistory kept_;
  Round applied_, final_;

  mutable std::mutex mutex_;  ///< of what follows
  std::condition_variable_any changed_;
  std::vector<Queued> queue_;
  std::size_t queued_bytes_ = 0;
  Round full_;     ///< the newest round that carries anything
  Round wanted_;   ///< is to be written by now
  Round written_;  ///< and synced
  bool writing_ = false;
  bool at_once_;  ///< the device answers at once: no thread
  std::chrono::nanoseconds sync_time_{0};
  bool closed_ = false;
  Status failure_;

  std::mutex tell_lock_;
  std::function<void()> tell_;
  std::jthread writer_;
};

}  // namespace exdb
