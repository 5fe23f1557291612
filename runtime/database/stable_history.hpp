// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rounds and the memory of a node on disk where nodes come and go: a history in memory, of which
// others can be given rounds, and a log of steps behind it. All that is given between two calls of
// newest() is one step: to take a view is to take back rounds, to append others and to remember what
// was accepted, and half of it would be a member that there never was.
//
// Invariants
//   H1  Steps reach the device in order, each whole or not at all (StableStore S1, L6 of round_log.hpp).
//   H2  A round is kept until it is written and applied.
//   H3  What is taken back was written before, or never is: the log never refers to a round that is gone.
//   H4  restart() needs the state in the folder (ArrivingState): with the step in which it comes that
//       state takes the place of what was there.
//   H5  What a recovery has read since the checkpoint is kept for others as what was applied since: who was
//       down as well, and lacks a little of it, takes rounds and no state.
// Threads: RoundHistory, remember(), newest() and state() under the drive lock; the rest from any.
// Failure: as StableStore.
// Cost: in memory as MemoryRoundHistory, and one copy of each payload into the log. drop_after() and the
//   end of a step with restart() wait for the device, as they do beyond what may be queued.
#pragma once
#include <deque>

#include "cluster/stable_store.hpp"
#include "database/group_writer.hpp"
#include "database/logged_rounds.hpp"

namespace exdb {

class StableHistory final : public RoundHistory, public StableStore, public LoggedRounds {
 public:
  /// What a recovery has found (ReadLog): where the replica is, and the rounds after that.
  struct Begin {
    Chain applied;
    std::deque<CompletedRound> held;
    std::deque<CompletedRound> before;  ///< up to `applied`, for others (H5)
    Chain from = applied;               ///< before those
  };
  struct Options {
    std::size_t bytes_max = std::size_t{32} << 20;  ///< of applied rounds, kept for others
    bool waits = true;                              ///< for the device
    std::chrono::nanoseconds at_once = at_once_default;
  };
  /// `folder` is that of the log. `marks`: what this process has given out, now; lock-free, called once
  /// there are rounds.
  StableHistory(Folder& folder, std::unique_ptr<RoundLog> log, Begin begin,
                std::function<Marks()> marks, const Options& options);

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
  Status drop_after(Round round) override;
  Status restart(Chain at, bool parted = false) override;

  // --- StableStore ---
  void remember(Bytes memory) override;
  Ticket newest() override;
  [[nodiscard]] Ticket stored() const override { return writer_.written(); }
  [[nodiscard]] Status failure() const override { return writer_.failure(); }
  void on_change(std::function<void()> tell) override { writer_.on_change(std::move(tell)); }

  // --- LoggedRounds ---
  [[nodiscard]] State state() const override;
  Status in_turn(const std::function<Status(RoundLog&)>& what) override {
    return writer_.in_turn(what);
  }
  void stop(const Status& why) override { writer_.stop(why); }
  /// Nobody drives any more.
  Status close() override;
  [[nodiscard]] std::uint64_t written_bytes() const override { return writer_.log_bytes(); }
  [[nodiscard]] std::uint64_t rounds() const override { return rounds_.load(); }
  void on_round(std::function<void()> tell) override { writer_.on_group(std::move(tell)); }
  [[nodiscard]] std::uint64_t groups() const override { return writer_.groups(); }

 private:
  using Step = std::vector<LogChange>;

  Status begin_anew(Chain at, const Step& step);
  [[nodiscard]] Round written();

  Folder& folder_;
  const std::function<Marks()> marks_;
  std::atomic<std::uint64_t> rounds_{0};

  // --- under the drive lock ---
  MemoryRoundHistory kept_;
  Round applied_;
  Step step_;  ///< that is not ended
  std::size_t step_bytes_ = 0;
  std::optional<Chain> restart_;  ///< with which it begins
  std::uint64_t restarts_ = 0;
  std::deque<std::pair<Ticket, Round>> unwritten_;  ///< the newest round of each step
  Round written_;

  GroupWriter<Step> writer_;  ///< ends before all else
};

}  // namespace exdb
