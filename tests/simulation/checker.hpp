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
  /// `overrides`: views without a majority may be, and histories may part; what is checked then is
  /// the README's.
  Checker(Weights weights, bool overrides, std::function<void(const std::string&)> fail);

  /// `kept`: it has what is on its disk, and has applied so much of it.
  void node_started(std::uint32_t id, bool kept, Round applied);
  /// After anything happened to this node.
  /// `upto`: what it gives out; `holds`: what nobody can take from it but with its memory.
  void look(std::uint32_t id, const ViewMember& member, const RoundHistory& history, Round upto,
            const MemoryRoundHistory* holds);
  void installed(std::uint32_t id, const ViewMember& member, const RoundHistory& history);
  /// The node has applied this round, and has this state now.
  void applied(std::uint32_t id, const CompletedRound& round, Csn horizon, const ToyState& state);
  void replaced(std::uint32_t id, std::uint64_t start, RoundHistory::Chain upto,
                const ToyState& state);
  /// It gives its history up for another one: replaced() follows.
  void dropped(std::uint32_t id);
  void submitted(const ToyId& id);
  /// A client was told the outcome: in the state, the transaction is committed or aborted.
  void answered(const ToyId& id, bool by_majority);
  void unknown(const ToyId& id);

  /// No majority keeps a state from here on: what one has given out may be lost.
  void beyond_budget() { lossy_ = true; }
  /// This node's round was given out in a view of a majority, and not by an override first.
  [[nodiscard]] bool given_by_majority(std::uint32_t id, Round round);
  /// What was told to clients to be done is in the state that all have now: of views of a majority,
  /// or of all views.
  void check_kept(const ToyState& state, bool all_views);

  /// Rounds given out anywhere.
  [[nodiscard]] std::uint64_t rounds() const { return published_.size(); }
  /// Nodes without memory have formed a cluster of their own, as they reached nobody with a state:
  /// they cannot know, and what comes of it is no rule's.
  [[nodiscard]] bool formed_anew() const { return formed_anew_; }
  [[nodiscard]] std::uint64_t overrides() const;
  [[nodiscard]] std::uint64_t drops() const { return drops_; }
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
    Ballot promised, accepted, view, lineage;
    std::uint64_t final = 0, applied = 0;
    bool was_installed = false;
  };

  void check(bool good, std::uint32_t id, const std::string& what) const;
  void see_history(std::uint32_t id, const MemoryRoundHistory& history);
  void see_final(std::uint32_t id, const ViewMember& member, const RoundHistory& history,
                 Round upto);
  void publish(std::uint32_t id, RoundHistory::Chain chain, const RoundHistory& history,
               bool by_override);
  [[nodiscard]] std::string holders_of(RoundHistory::Chain chain, std::uint64_t& weight) const;
  void check_state(std::uint32_t id, Published& published, std::uint64_t round,
                   const ToyState& state);
  Published* published_as(std::uint32_t id, std::uint64_t round);
  void see_transactions(std::uint32_t id, const CompletedRound& round);

  Weights weights_;
  std::function<void(const std::string&)> fail_;
  std::vector<Node> nodes_;
  const bool overrides_;
  bool lossy_ = false, formed_anew_ = false;
  std::uint64_t drops_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Published> published_;  ///< by round and hash
  /// Given out in views of a majority, by round: one history while the budget is kept. Without
  /// overrides that is all of published_.
  std::map<std::uint64_t, Published*> canonical_;
  std::map<Ballot, View> views_;  ///< installed anywhere
  bool anybody_accepted_ = false;
  // Transactions: submitted, then in a round, then an outcome.
  std::set<ToyId> submitted_, answered_;
  std::vector<std::pair<ToyId, bool>> done_;  ///< told to be in the state; in a view of a majority
  std::map<ToyId, std::uint64_t> in_round_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> lives_replaced_;
};

}  // namespace exdb::simulation
