// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Many round protocols over a simulated network: one thread, one seed, links that keep their own
// order and nothing else. After every event the invariants of round_protocol.hpp are checked; the
// first one broken ends the run with its name. Frames of old rounds and of a foreign cluster are
// thrown in on the way.
#pragma once
#include <deque>
#include <map>
#include <random>
#include <string>

#include "cluster/round_protocol.hpp"

namespace exdb {

class SimulatedRounds {
 public:
  struct Options {
    std::uint32_t nodes = 3;
    std::uint64_t seed = 1;
    bool collective = false;
    RoundProtocol::Mutation mutation = RoundProtocol::Mutation::none;
    std::uint64_t rounds = 40;  ///< after which the nodes begin to say stop
    bool leaves = true;
  };

  explicit SimulatedRounds(const Options& options);

  /// The first broken rule ("I3: …"), or nothing.
  std::string run();
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  struct SimulatedNode {
    explicit SimulatedNode(const RoundProtocol::Options& options) : protocol(options) {}
    RoundProtocol protocol;
    std::uint64_t taken = 0;   ///< rounds taken
    std::uint64_t posted = 0;  ///< batches posted: the running number in its payloads
    std::uint64_t broadcasts = 0;
    bool stopping = false, said_stop = false, leaving = false, left = false, ended = false;
    std::uint64_t wants = 0;  ///< items it would like to send
  };

  bool event();
  void deliver(std::uint64_t number);
  void disturb(std::uint32_t to);
  void work(std::uint32_t node);
  void post(std::uint32_t node);
  void flush(std::uint32_t node);
  void flush_collectives();
  void take(std::uint32_t node);
  void check_round(std::uint32_t node, const CompletedRound& round);
  void check_counts();
  void fail(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  Options options_;
  std::mt19937_64 random_;
  std::vector<SimulatedNode> nodes_;
  /// from * nodes + to; the second half for collective exchanges, which sent frames may overtake.
  std::vector<std::deque<Frame>> links_;
  std::vector<std::vector<Frame>> collective_;        ///< by broadcast number, by node
  std::vector<std::pair<std::uint32_t, Frame>> old_;  ///< sender, frame: to be sent again
  std::map<std::uint64_t, std::string> history_;  ///< round -> what the first node to take it saw
  std::map<std::uint64_t, std::vector<bool>> members_;  ///< round -> who should be in it
  std::vector<std::uint64_t> removed_at_;               ///< node -> first broadcast without it
  std::string broken_;
  std::uint64_t events_ = 0;
};

}  // namespace exdb
