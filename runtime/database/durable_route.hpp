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
//   D4  One thread has the turn at a time. What it writes it writes without the replica's lock:
//       readers and checkpoints do not wait for the device.
// Threads: as CommitRoute.
// Failure: as AloneRoute; the text says to open the database again.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>

#include "database/alone_route.hpp"
#include "database/logged_rounds.hpp"

namespace exdb {

class DurableRoute final : public OnlyRoute, public LoggedRounds {
 public:
  /// `lock`: the one under which the replica changes. `autoids`: the next of an object. `marks`: as
  /// recovered.
  DurableRoute(Replica& replica, std::unique_ptr<RoundLog> log, std::mutex& lock,
               const std::atomic<std::uint64_t>& autoids, Marks marks);

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
  /// Told by the thread that has the turn, before it has answered.
  void on_round(std::function<void()> tell) override { on_round_ = std::move(tell); }

 private:
  static constexpr std::size_t item_bytes_max = std::size_t{1} << 30;
  using Items = std::vector<std::shared_ptr<PendingItem>>;

  void lead(std::unique_lock<std::mutex>& queue);
  Items take();
  void commit_round(Items& items);
  CompletedRound round_of(const Items& items);
  Status write(CompletedRound&& made);
  Status apply(Round round);
  void fail(Items& items, const Status& why, bool in_doubt);
  void refuse_waiting();

  const std::unique_ptr<RoundLog> log_;
  std::mutex& lock_;
  const std::atomic<std::uint64_t>& autoids_;
  std::function<void()> on_round_;
  std::atomic<std::uint64_t> rounds_{0};
  // Of who has the turn.
  Marks marks_;
  std::vector<RoundItem> read_;
  std::vector<ItemOutcome> outcomes_;
  bool closed_ = false;
  State state_;  ///< under lock_

  mutable std::mutex queue_lock_;
  std::condition_variable changed_;
  Items waiting_;
  bool leading_ = false;       ///< D4
  unsigned turns_wanted_ = 0;  ///< in_turn() goes before the next round
  unsigned blocked_ = 0;       ///< in wait(), so able to lead
  Status failure_;             ///< D3
};

}  // namespace exdb
