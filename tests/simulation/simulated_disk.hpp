// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The disk of a simulated node: a history and what a member remembers, which reach the device in order
// and some time after they were given. A crash leaves on it what stored() names, and by chance some of
// what was given after.
//
// Invariants
//   D1  What a new life finds is what was there after one of the steps, not before the last that
//       stored() named (StableStore S1).
//   D2  How far rounds were applied comes to the device with the next step only.
// Threads: none.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "cluster/round_history.hpp"
#include "cluster/stable_store.hpp"
#include "cluster/view_memory.hpp"
#include "toy_state.hpp"
#include "virtual_network.hpp"

namespace exdb::simulation {

class SimulatedDisk final : public RoundHistory, public StableStore {
 public:
  /// `pace`: of a write, on the average. `state`: that of the node, as it is now.
  SimulatedDisk(Clock& clock, Random& random, std::size_t history_bytes, Time pace,
                std::function<const ToyState&()> state);

  // --- from one life to the next ---
  /// The node's process is gone: what is not on the device is lost.
  void crash();
  /// What is on the device is what the node has.
  void open();
  [[nodiscard]] std::optional<ViewMemory> memory() const;
  [[nodiscard]] const ToyState& state() const { return device_.state; }
  [[nodiscard]] Round applied() const { return device_.applied; }
  [[nodiscard]] Csn horizon() const { return device_.horizon; }
  /// What is on the device.
  [[nodiscard]] const MemoryRoundHistory& on_device() const { return device_.history; }
  /// Nothing is written until then.
  void stall(Time until) { not_before_ = std::max(not_before_, until); }
  /// Of the state that came last: restart() is not told.
  void set_horizon(Csn horizon) { *coming_horizon_ = horizon; }

  // --- RoundHistory ---
  Status append(CompletedRound&& round) override;
  Status sync() override { return {}; }
  [[nodiscard]] Chain chain() const override { return now_->chain(); }
  [[nodiscard]] const CompletedRound& held(Round round) const override { return now_->held(round); }
  void release(Round upto) override;
  Status read_from(Round from, const Reader& each) const override {
    return now_->read_from(from, each);
  }
  [[nodiscard]] Result<Chain> chain_at(Round round) const override { return now_->chain_at(round); }
  Status drop_after(Round round) override;
  Status restart(Chain at, bool parted = false) override;

  // --- StableStore ---
  void remember(Bytes memory) override;
  Ticket newest() override;
  [[nodiscard]] Ticket stored() const override { return stored_; }
  [[nodiscard]] Status failure() const override { return {}; }
  void on_change(std::function<void()> tell) override { tell_ = std::move(tell); }

 private:
  struct Device {
    MemoryRoundHistory history;
    Round applied;
    ToyState state;  ///< after that round
    Csn horizon;
    std::vector<std::byte> memory;
  };
  using Change = std::function<void(Device&)>;
  using Step = std::vector<Change>;

  void give(Change change);
  void begin_write();
  void write(std::size_t steps);
  void apply(Round upto);

  Clock& clock_;
  Random& random_;
  const Time pace_;
  const std::function<const ToyState&()> state_;
  std::unique_ptr<MemoryRoundHistory> now_;  ///< of the node's process
  Device device_;
  Step given_;
  std::deque<Step> queue_;
  Ticket newest_ = 0, stored_ = 0;
  Round released_;
  std::shared_ptr<Csn> coming_horizon_ = std::make_shared<Csn>();
  std::uint64_t life_ = 0;
  bool writing_ = false;
  Time not_before_{0};
  std::function<void()> tell_;
};

}  // namespace exdb::simulation
