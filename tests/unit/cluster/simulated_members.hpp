// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whole members over a simulated network with a simulated clock: they commit, stop at times of
// their own, leave, and one of them may go wrong. The network is fast: the clock moves only when
// nothing else can happen, so whatever takes time takes it for a reason.
//
// Checked after every event: rounds come in order, only when final, equal everywhere; who has left
// does not count in the quorum; nobody ends before its last round is applied. At the end: each
// member ended as the fault says it must, and in time.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "cluster/member.hpp"

namespace exdb {

/// Holds rounds back until the test lets them go.
class HeldFinality final : public Finality {
 public:
  Round newest_final(const RoundHistory& history) override {
    return std::min(released, history.chain().round);
  }
  Round released;
};

class SimulatedMembers {
 public:
  enum class Fault { none, odd, silent, gone, unfit };
  struct Options {
    std::uint32_t members = 3;
    std::uint64_t seed = 1;
    bool collective = false;
    Fault fault = Fault::none;
    bool leaves = false;  ///< some members leave before the others stop
    bool holds = false;   ///< rounds become final late, and at different times
    Member::Mutation mutation = Member::Mutation::none;
  };

  explicit SimulatedMembers(const Options& options);

  /// The first broken rule, or nothing.
  std::string run();
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  using Time = Member::Time;
  struct Node {
    MemoryRoundHistory history;
    HeldFinality finality;
    std::unique_ptr<Member> member;
    std::uint64_t digest = 0, broadcasts = 0, wants = 0, made = 0;
    Round applied;
    Time stops_at{0}, leaves_at{Time::max()}, ended_at{0};
    std::vector<bool> lost;
    Status why;
  };
  struct Arrival {
    Frame frame;  ///< none: the sender is gone
  };

  [[nodiscard]] bool over() const;
  [[nodiscard]] bool links_empty() const;
  [[nodiscard]] bool cut(std::uint32_t id) const;
  void deliver();
  bool work(std::uint32_t id);
  bool apply(std::uint32_t id);
  void post(std::uint32_t id);
  void flush(std::uint32_t id);
  void flush_collectives();
  void drain(std::uint32_t id);
  void pass_time();
  void strike();
  void check_end();
  void check_end_of(std::uint32_t id);
  void fail(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  Options options_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::deque<Arrival>> links_;  ///< from * members + to; twice, the second collective
  std::vector<std::vector<Frame>> collective_;
  std::vector<std::uint64_t> removed_at_;  ///< first broadcast without this member
  std::map<Round, std::uint64_t> chains_;  ///< of the first member that took the round
  Time now_{0}, strikes_at_{0};
  std::uint32_t victim_ = 0;
  bool struck_ = false;
  std::string broken_;
  std::uint64_t events_ = 0;
};

}  // namespace exdb
