// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The thread of a leader that commits on behalf of its followers: takes transactions out of their
// rings, submits them to the node, drives as any committer does, and writes the answers.
//
// What comes while a round is under way goes into the window at once, so it travels with the next
// round, in one batch with all others: the relay is let go by a new record as by an answer. Taking
// the rings out in the middle of posting was thought of instead; it would save nothing but the way
// through the window, and would put foreign memory under the drive lock.
//
// Invariants
//   I1  A record that was taken out of a ring whole is answered once, unless its follower has died or
//       left; one that its follower did not finish changes nothing.
//   I2  The segment's phase ends after all answers are written, or a second after the node has ended
//       (a follower that takes no answers may not hold up the leader's end).
//   I3  Parts of transactions that were sent ahead for a follower that died or left are discarded
//       everywhere.
// Threads: start, end, busy and names from any thread; hooks come in the relay's own.
// Failure: a follower whose records cannot be read is treated as one that died.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "cluster/node.hpp"
#include "host/host_segment.hpp"
#include "host/process_watch.hpp"
#include "host/record_stream.hpp"

namespace exdb {

class HostRelay {
 public:
  struct Hooks {
    /// Answers a question of a follower.
    std::function<std::vector<std::byte>(std::uint32_t question, Bytes bytes)> answer;
    /// A follower's process has ended: what it held can be taken back.
    std::function<void()> reap;
    /// A follower has died, left, or ended with all.
    std::function<void(std::uint32_t node)> gone;
    std::string explain;  ///< ends the text of a failure
    /// How often followers see that the leader lives to whom nothing happens: often within the
    /// timeout after which they give it up.
    std::chrono::milliseconds beat{500};
  };

  /// `crowded`: there are more processes than processing units.
  HostRelay(HostSegment& segment, Node& node, bool crowded, Hooks hooks);
  ~HostRelay();
  HostRelay(const HostRelay&) = delete;
  HostRelay& operator=(const HostRelay&) = delete;

  /// REQUIRES: every follower has attached.
  void start();
  /// The leader goes without its followers: they are told so, also where its node has no others whom
  /// it would leave. Before its node leaves.
  void note_left() { left_ = true; }
  /// REQUIRES: the node is finished. Blocks for a second at the longest.
  void end();

  /// Followers that may still send something, or wait for an answer.
  [[nodiscard]] std::uint32_t busy() const { return busy_.load(); }
  /// "node 3", "nodes 3, 4": those that have not stopped.
  [[nodiscard]] std::string running_names() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Follower {
    std::uint32_t index = 0;
    NodeId node;
    RecordReader<SubmitHead> reader;
    std::optional<ProcessWatch> watch;
    std::deque<std::shared_ptr<PendingItem>> ready;      ///< not yet in the window
    std::deque<std::shared_ptr<PendingItem>> under_way;  ///< in the window, or in a round
    std::vector<std::byte> out;                          ///< answers, from out_at on
    std::size_t out_at = 0;
    std::set<std::uint64_t> ahead;  ///< transactions of which parts went ahead
    bool gone = false;

    [[nodiscard]] bool idle() const {
      return ready.empty() && under_way.empty() && out.empty() && !reader.has_more();
    }
  };

  void run();
  bool pass();
  bool collect(Follower& of);
  void take(Follower& of, RecordReader<SubmitHead>::Record record);
  bool submit_ready(Follower& of);
  bool settle(Follower& of);
  bool flush(Follower& of);
  void answer(Follower& of, std::uint64_t sequence, bool question, ErrorCode code, Csn csn,
              Bytes text);
  void look_for_gone(Clock::time_point now);
  void let_go(Follower& of);
  void count_busy();
  void rest();
  void finish();
  [[nodiscard]] bool any_under_way() const;

  HostSegment& segment_;
  Node& node_;
  const bool crowded_;
  const Hooks hooks_;
  std::vector<Follower> followers_;
  std::uint64_t work_seen_ = 0, applied_seen_ = 0;
  Clock::time_point last_work_, next_look_;
  std::atomic<std::uint32_t> busy_;
  std::atomic<bool> left_{false};
  std::thread thread_;
};

}  // namespace exdb
