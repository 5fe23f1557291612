// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rounds of a node whose replica is on disk: a history in memory of those that are not applied,
// and a log behind it, which is written beside the exchange (group_writer.hpp).
//
// Invariants
//   N1  A round that carries anything is final, so applied and answered, only when it is in the log
//       of this node and synced, and all before it are. Empty rounds say nothing that could be lost:
//       they wait for those before them, and for no sync of their own.
//   N2  A round is kept until it is written and applied.
//   N3  After a failure of the log nothing more is final; the node fails with its text (Finality).
//   N4  What waits for the device is bounded (GroupWriter G3): a round waits in append(), and with it the
//       exchange.
// Threads: RoundHistory, newest_final() and state() under the drive lock; the rest from any.
// Cost: in memory as MemoryRoundHistory, and one copy of each payload on the way to the log.
#pragma once
#include <optional>

#include "database/group_writer.hpp"
#include "database/logged_rounds.hpp"

namespace exdb {

class DurableHistory final : public RoundHistory, public Finality, public LoggedRounds {
 public:
  /// `marks`: what this process has given out, now; lock-free, called once there are rounds. `waits`: for the device.
  /// `answered`: whose transactions are answered when they are on this device (GroupWriter G5); none: those of all members.
  /// `at_once`: who drives writes itself while a sync takes less. `now`: as GroupWriter.
  DurableHistory(
      std::unique_ptr<RoundLog> log, std::function<Marks()> marks, bool waits,
      std::optional<MemberId> answered = {}, std::chrono::nanoseconds at_once = at_once_default,
      std::chrono::steady_clock::time_point (*now)() noexcept = std::chrono::steady_clock::now);

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
  [[nodiscard]] Status failure() const override { return writer_.failure(); }
  void on_change(std::function<void()> tell) override { writer_.on_change(std::move(tell)); }

  // --- LoggedRounds ---
  [[nodiscard]] State state() const override;
  /// Of a round that is complete and not released. Under the drive lock.
  [[nodiscard]] State state_after(Round round) const;
  Status in_turn(const std::function<Status(RoundLog&)>& what) override {
    return writer_.in_turn(what);
  }
  void stop(const Status& why) override { writer_.stop(why); }
  Status close() override { return writer_.close(); }
  [[nodiscard]] std::uint64_t written_bytes() const override { return writer_.log_bytes(); }
  [[nodiscard]] std::uint64_t rounds() const override { return writer_.written(); }
  void on_round(std::function<void()> tell) override { writer_.on_group(std::move(tell)); }
  /// All rounds up to this one are in the log and synced.
  [[nodiscard]] Round written() const { return {first_.value + writer_.written()}; }
  [[nodiscard]] std::uint64_t groups() const override { return writer_.groups(); }

 private:
  struct Queued {
    const CompletedRound* round;
    Marks marks;
  };
  static Status lay_out(RoundLog& log, const std::vector<Queued>& group);
  [[nodiscard]] std::size_t answers(const CompletedRound& round) const;

  const std::function<Marks()> marks_;
  const std::optional<MemberId> answered_;

  // --- under the drive lock ---
  MemoryRoundHistory kept_;
  const Round first_;  ///< before the first that is appended
  Round applied_, final_;
  Round full_;  ///< the newest round that carries anything

  GroupWriter<Queued> writer_;  ///< ends before all else
};

}  // namespace exdb
