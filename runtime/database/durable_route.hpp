// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The route of a database on disk without a cluster. What waits is made into one round by whoever
// comes first, written and synced once, applied, and answered: while one round waits for the device
// the next one gathers, so many threads share an fsync and one pays for its own alone.
//
// Invariants
//   D1  A commit is answered ok only when its round is in the log, synced, and applied.
//   D2  A commit of which anything may be in the log, and that was not applied, is answered
//       unknown_outcome; all others are refused for certain (L4 of round_log.hpp).
//   D3  After a failure nothing more is written; what was published can be read.
//   D4  One thread has the turn at a time. What it writes it writes without the replica's lock: who reads,
//       or takes the state for a checkpoint, does not wait for the device.
//   D5  What nobody waits for, of commit_later(), is written with the next commit that somebody waits
//       for, or soon by a thread of this: a window of them shares one fsync.
//   D6  Who has the turn waits for those who were just answered, since as a rule they come back:
//       not longer than an eighth of the last fsync. Else two halves of the threads would take turns,
//       each with an fsync of its own.
// Threads: as CommitRoute.
// Failure: as AloneRoute; the text says to open the database again.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "database/alone_route.hpp"
#include "database/logged_rounds.hpp"

namespace exdb {

class DurableRoute final : public OnlyRoute, public LoggedRounds {
 public:
  /// `lock`: the one under which the replica changes. `autoids`: the next of an object. `marks`: as
  /// recovered. `now`: the clock by which an fsync is measured (D6).
  DurableRoute(
      Replica& replica, std::unique_ptr<RoundLog> log, std::mutex& lock,
      const std::atomic<std::uint64_t>& autoids, Marks marks,
      std::chrono::steady_clock::time_point (*now)() noexcept = std::chrono::steady_clock::now);

  [[nodiscard]] std::size_t record_bytes_max() const override { return item_bytes_max; }
  Result<std::shared_ptr<PendingItem>> submit(Outgoing& out) override;
  ItemOutcome wait(PendingItem& item) override;

  // --- LoggedRounds ---
  [[nodiscard]] State state() const override { return state_; }
  /// Between two rounds: it waits for the one under way, and the next waits for it.
  Status in_turn(const std::function<Status(RoundLog&)>& what) override;
  /// What waits is refused.
  void stop(const Status& why) override;
  /// Commits what waits.
  Status close() override;
  [[nodiscard]] Status failure() const override;
  [[nodiscard]] std::uint64_t written_bytes() const override { return log_->written_bytes(); }
  [[nodiscard]] std::uint64_t rounds() const override {
    return rounds_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t groups() const override { return rounds(); }
  /// Told by the thread that has the turn, before it has answered.
  void on_round(std::function<void()> tell) override { on_round_ = std::move(tell); }

 private:
  using Clock = std::chrono::steady_clock;
  using Items = std::vector<std::shared_ptr<PendingItem>>;
  static constexpr std::size_t item_bytes_max = std::size_t{1} << 30;

  void lead(std::unique_lock<std::mutex>& queue);
  void gather(std::unique_lock<std::mutex>& queue);
  Items take();
  void commit_round(Items& items);
  CompletedRound round_of(const Items& items);
  Status write(CompletedRound&& made);
  Status apply(Round round);
  void fail(Items& items, const Status& why, bool in_doubt);
  void refuse_waiting();
  bool leave_to_writer();
  void run(const std::stop_token& stop);

  const std::unique_ptr<RoundLog> log_;
  std::mutex& lock_;
  const std::atomic<std::uint64_t>& autoids_;
  Clock::time_point (*const now_)() noexcept;
  std::function<void()> on_round_;
  std::atomic<std::uint64_t> rounds_{0};
  // Of who has the turn.
  Marks marks_;
  Clock::duration sync_took_{};  ///< the last
  bool closed_ = false;
  State state_;  ///< under lock_

  mutable std::mutex queue_lock_;
  std::condition_variable changed_;  ///< the turn is free, or items are answered
  std::condition_variable arrived_;  ///< `expected_` are waiting
  Items waiting_;
  bool leading_ = false;       ///< D4
  unsigned turns_wanted_ = 0;  ///< in_turn() goes before the next round
  std::size_t expected_ = 0;   ///< D6: commits that are likely to come
  Status failure_;             ///< D3

  // D5
  std::condition_variable_any left_;
  bool nobody_waits_ = false;  ///< for something that is waiting
  bool writer_sleeps_ = true;  ///< until it is told of something
  std::uint64_t turns_ = 0;    ///< rounds that were begun
  std::jthread writer_;        ///< from the first commit_later() on; ends before all else
};

}  // namespace exdb
