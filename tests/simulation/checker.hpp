// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Looks at all nodes after each event and says which invariant of protocol.md §3 is broken, by its
// number there. It knows what no node knows: what everybody holds, and what has been given out.
//
// Threads: none.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/view_member.hpp"
#include "toy_state.hpp"

namespace exdb::simulation {

class Checker {
 public:
  explicit Checker(Weights weights, std::function<void(const std::string&)> fail);

  void node_started(std::uint32_t id);
  /// After anything happened to this node.
  void look(std::uint32_t id, const ViewMember& member, const MemoryRoundHistory& history);
  void installed(std::uint32_t id, const ViewMember& member, const MemoryRoundHistory& history);
  /// The node has applied this round, and has this state now.
  void applied(std::uint32_t id, const CompletedRound& round, Csn horizon, const ToyState& state);
  void replaced(std::uint32_t id, Incarnation life, Round round, const ToyState& state);
  void submitted(const ToyId& id);
  /// A client was told the outcome: in the state, the transaction is committed or aborted.
  void answered(const ToyId& id);
  void unknown(const ToyId& id);

  /// Rounds given out anywhere.
  [[nodiscard]] std::uint64_t rounds() const { return canonical_.size(); }
  [[nodiscard]] bool was_installed(std::uint32_t id) const { return nodes_[id].was_installed; }
  [[nodiscard]] bool anybody_accepted() const { return anybody_accepted_; }
  [[nodiscard]] std::uint64_t views() const { return views_.size(); }

 private:
  /// A round as the first one that gave it out had it.
  struct Published {
    std::uint64_t hash = 0;
    Ballot view;
    std::uint64_t digest = 0, horizon = 0;
    bool applied = false;
  };
  struct Node {
    std::map<std::uint64_t, std::uint64_t> held;                    ///< round, hash
    std::set<std::pair<std::uint64_t, std::uint64_t>> held_before;  ///< in former lives
    std::uint64_t held_upto = 0;                                    ///< in a snapshot: all of them
    Ballot promised, accepted;
    std::uint64_t final = 0, applied = 0;
    bool was_installed = false;
  };

  void check(bool good, std::uint32_t id, const std::string& what) const;
  void see_history(std::uint32_t id, const MemoryRoundHistory& history);
  void see_final(std::uint32_t id, const ViewMember& member, const MemoryRoundHistory& history);
  void publish(std::uint32_t id, RoundHistory::Chain chain, const MemoryRoundHistory& history);
  [[nodiscard]] std::string holders_of(RoundHistory::Chain chain, std::uint64_t& weight) const;
  void check_state(std::uint32_t id, std::uint64_t round, const ToyState& state);
  void see_transactions(std::uint32_t id, const CompletedRound& round);

  Weights weights_;
  std::function<void(const std::string&)> fail_;
  std::vector<Node> nodes_;
  std::vector<Published> canonical_;  ///< by round - 1
  std::map<Ballot, View> views_;      ///< installed anywhere
  bool anybody_accepted_ = false;
  // Transactions: submitted, then in a round, then an outcome.
  std::set<ToyId> submitted_, answered_;
  std::map<ToyId, std::uint64_t> in_round_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> lives_replaced_;
};

}  // namespace exdb::simulation
