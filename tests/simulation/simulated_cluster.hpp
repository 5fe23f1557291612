// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whole ViewMembers over a virtual network, with clients that commit, and a checker that looks at
// them after every event. Who breaks what and when is faults.hpp's.
//
// Threads: none.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "checker.hpp"
#include "cluster/output_gate.hpp"
#include "cluster/view_member.hpp"
#include "simulated_disk.hpp"
#include "toy_state.hpp"
#include "virtual_network.hpp"

namespace exdb::simulation {

struct ClusterOptions {
  std::vector<std::uint32_t> qranks{1, 1, 1};
  std::uint64_t seed = 1;
  ViewMutation mutation = ViewMutation::none;
  bool traced = false;  ///< each event as a line on stderr
  /// Whose quorumCallback says yes: a bit each. With 0 there is none anywhere.
  std::uint64_t consenting = 0;
  /// Nodes lose their memory also when no majority keeps a state, as long as one that consents does.
  bool beyond_budget = false;
  bool disks = false;  ///< nodes are on disk
  // Instead of what the seed says.
  std::optional<std::size_t> history_bytes{};  ///< of rounds that are kept for others
  /// How often it is asked whether a state that has come is fit for use before it is.
  std::optional<std::uint64_t> asked_until_ready{};
  std::optional<std::size_t> ahead_bytes_min{}, state_bytes_per_second{};
};

/// One node: its life, its state, its clients.
struct SimulatedNode final : StateSource, StateSink {
  Result<std::unique_ptr<StateStream>> open(RoundHistory::Chain upto) override;
  void begin(bool /*parted*/) override { coming = ToyState(); }
  Status add(Bytes chunk) override;
  Status finish(RoundHistory::Chain upto) override;
  Result<bool> ready() override;
  void drop() override { coming = ToyState(); }

  std::uint32_t id = 0;
  bool up = false, leaving = false;
  bool asked = false;       ///< its quorumCallback has not answered yet
  std::uint64_t start = 0;  ///< counts those of all nodes: of its clients' transactions
  Incarnation life;
  std::unique_ptr<MemoryRoundHistory> in_memory;
  std::unique_ptr<SimulatedDisk> disk;  ///< outlives its lives
  RoundHistory* history = nullptr;      ///< one of the two
  std::optional<OutputGate> gate;       ///< of a disk
  std::unique_ptr<ViewMember> member;
  ToyState state, coming;
  std::uint64_t asked_until_ready = 0;
  std::function<std::uint64_t()> ready_after;  ///< so many questions
  // Clients.
  std::vector<ToyTransaction> waiting;  ///< not posted yet
  std::set<std::uint64_t> pending;      ///< sequences without an outcome
  std::uint64_t submitted = 0;
  std::uint64_t digest_mask = 0;  ///< what makes its state look another one
  // Its clock, and what slows it down.
  double rate = 1;
  Time offset{0};
  Time paused_until{0}, applies_at{0};
  std::deque<std::function<void(SimulatedNode&, Time)>> deferred;  ///< while it is stopped
};

class SimulatedCluster final : public NetworkUser {
 public:
  explicit SimulatedCluster(const ClusterOptions& options);

  // What the faults use.
  [[nodiscard]] std::uint32_t size() const { return std::uint32_t(nodes_.size()); }
  SimulatedNode& node(std::uint32_t id) { return *nodes_[id]; }
  Clock& clock() { return clock_; }
  Random& random() { return random_; }
  VirtualNetwork& network() { return network_; }
  Checker& checker() { return checker_; }
  [[nodiscard]] const ClusterOptions& options() const { return options_; }
  void start(std::uint32_t id);
  void crash(std::uint32_t id, bool silent);
  /// A node that is down: its folder is gone.
  void lose_disk(std::uint32_t id) { lost_disks_.push_back(std::move(node(id).disk)); }
  /// Whether this node may lose its memory, or leave, and the state stays with a majority.
  [[nodiscard]] bool can_spare(std::uint32_t id) const;
  /// Whether it may lose its memory: as can_spare(), or what is left may go on by itself.
  [[nodiscard]] bool may_lose(std::uint32_t id);
  [[nodiscard]] bool consents(std::uint32_t id) const { return options_.consenting >> id & 1; }
  /// All nodes are applied as far as each other, with one state.
  [[nodiscard]] bool same_state() const;
  /// Some node is down, or a member of no view.
  [[nodiscard]] bool somebody_is_out() const;
  void pause(std::uint32_t id, Time for_so_long);
  void leave(std::uint32_t id);
  /// A frame of a former life of its sender comes once more. False when there is none.
  bool replay_old_frame();
  /// Clients of all nodes that are up submit, on the average, so often.
  void set_load(Time every) { load_every_ = every; }
  [[nodiscard]] Time load_every() const { return load_every_; }
  /// Called for each frame that a node sends.
  std::function<void(std::uint32_t from, std::uint32_t to, const Frame& frame)> on_send;

  /// Runs until `when` says so, the time has come, or a rule is broken. Whether `when` did.
  bool run_until(Time end, const std::function<bool()>& when);
  [[nodiscard]] std::uint64_t trace_hash() const { return trace_hash_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  /// All nodes are members of one view, and no client waits.
  [[nodiscard]] bool whole() const;
  void submit(std::uint32_t id);
  void trace(const std::string& line);
  void fail(const std::string& what);
  /// What is broken was meant to be.
  void forgive() { broken_.clear(); }
  [[nodiscard]] const std::string& broken() const { return broken_; }

  void on_frame(std::uint32_t node, std::uint32_t from, const Frame& frame) override;
  void on_link(std::uint32_t node, std::uint32_t other, bool up) override;

 private:
  struct OldFrame {
    std::uint32_t from, to;
    Incarnation life;
    Frame frame;
  };

  /// `what` happens to the node when it is next awake; then it works until it has nothing to do.
  void wake(std::uint32_t id, const std::function<void(SimulatedNode&, Time)>& what);
  void resume_at(std::uint32_t id);
  void work(SimulatedNode& node);
  void open_disk(SimulatedNode& node, ViewMember::Options& made);
  void look(SimulatedNode& node);
  void see_final(SimulatedNode& node);
  [[nodiscard]] bool keeps_state(const SimulatedNode& node) const;
  bool apply(SimulatedNode& node);
  bool post(SimulatedNode& node);
  bool send(SimulatedNode& node);
  void see_events(SimulatedNode& node);
  void answer(SimulatedNode& node, std::uint64_t sequence, bool by_majority);
  void ask(SimulatedNode& node);
  void drop(SimulatedNode& node);
  void tick(std::uint32_t id, std::uint64_t start);
  void load();
  [[nodiscard]] Time local(const SimulatedNode& node) const;
  void mix(std::uint64_t word);

  ClusterOptions options_;
  Random random_;
  Clock clock_;
  VirtualNetwork network_;
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;
  Weights weights_;
  Checker checker_;
  std::size_t history_bytes_;
  ViewMember::Options member_options_;
  Time load_every_;
  std::vector<OldFrame> old_frames_;
  std::vector<std::unique_ptr<SimulatedDisk>> lost_disks_;  ///< that still write
  std::uint64_t starts_ = 0, trace_hash_ = 0, events_ = 0;
  std::string broken_;
};

}  // namespace exdb::simulation
