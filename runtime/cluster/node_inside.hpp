// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The state of a Node, and its parts: driving and listening (drive.cpp), rounds (rounds.cpp), its
// ends (ending.cpp). node.cpp has the other public functions.
//
// Invariants
//   I1  phase_ changes once, from running to something else, under the drive lock.
//   I2  posted_ is stored before the batch of that round is handed to the transport (wait_fresh
//       rests on it).
//   I3  Order of locks: turn (no lock) -> drive_lock_ -> the locks inside window, turn, quorum,
//       notifier, state_lock_. Nothing that calls out of the runtime happens under any but the
//       drive lock, and there only the consumer's.
//   I4  Where nodes come and go a fresh read waits until a round is final that this node posted after
//       it began, in the view in which it was posted; after a change of view, for one of the new view.
//       A majority was in that view then, so no later one had given anything out. That a node is
//       seated, and reaches a majority, proves less: it may have been evicted and not know.
// Threads: members below "under the drive lock" only so; atomics and the parts with locks of their
//   own from anywhere.
#pragma once
#include <atomic>
#include <condition_variable>
#include <thread>

#include "cluster/closing.hpp"
#include "cluster/commit_window.hpp"
#include "cluster/log_histogram.hpp"
#include "cluster/node.hpp"
#include "cluster/notifier.hpp"
#include "cluster/quorum.hpp"
#include "cluster/round_driver.hpp"
#include "cluster/trace.hpp"
#include "cluster/traffic.hpp"
#include "cluster/turn.hpp"

#include "exdb/large_buffers.hpp"

namespace exdb {

struct Node::Inside final : FrameSink {
  using Clock = std::chrono::steady_clock;
  using Nanoseconds = std::chrono::nanoseconds;
  using Phase = Member::Phase;
  /// Why drive_until came back.
  enum class Driven { done, finished, expired };

  Inside(std::unique_ptr<Transport> moved, RoundConsumer& with, Options wanted);

  // --- driving: drive.cpp ---
  /// Drives, or sleeps while another thread does, until `done` (which reads atomics only), the node
  /// is finished, or `deadline`.
  Driven drive_until(const Turn::Condition& done, Clock::time_point deadline);
  bool drive(const Turn::Condition& done, Clock::time_point deadline);
  bool spin_for_turn(const Turn::Condition& done);
  bool pause(Clock::time_point now, Clock::time_point deadline, Nanoseconds& nap);
  /// Sleeps in the transport, unless another thread does; then for a moment only.
  void sleep_in_transport(Nanoseconds cap, bool has_turn);
  [[nodiscard]] Nanoseconds nap_cap(Nanoseconds idle) const;
  [[nodiscard]] Nanoseconds polls_after_event(Nanoseconds slept) const;
  void listen();

  // --- rounds, under the drive lock: rounds.cpp ---
  bool step();
  bool advance();
  [[nodiscard]] bool should_post() const;
  [[nodiscard]] bool wants_fresh() const;
  void post();
  void flush();
  /// What the disk here has, where others wait for that.
  void tell_kept();
  /// Hands a final round to the consumer, and its outcomes to who waits.
  void take(const CompletedRound& round);
  Status apply(const CompletedRound& round);
  Status hand_over(const CompletedRound& round);
  void forget_others(const CompletedRound& round);
  void origin_gone(MemberId by, NodeId origin);
  void answer_mine();
  void handle_events();
  void handle(const Member::Event& event);
  void handle(const ViewMember::Event& event);
  /// Time passes, while somebody waits.
  void tick(Clock::time_point now);
  void finish(Phase phase, const Status& why);
  /// Shuts the window, and answers what never left it: certainly not committed. From any thread.
  void refuse_waiting(ErrorCode code, const std::string& text);
  void answer_unknown(const std::string& text);
  /// Lets the others hear the leave of a node that has failed, for a moment. The drive lock is not
  /// held.
  void part();
  void go();
  void refuse_stop(const Status& why);
  Status give_up_stop(Node& node, std::optional<std::chrono::milliseconds> deadline);
  void on_frame(std::uint32_t from, std::span<const std::byte> frame) override;
  void on_whole_frame(std::uint32_t from, const Frame& frame) override;
  void on_gone(std::uint32_t node) override;
  void on_up(std::uint32_t node, std::uint32_t incarnation) override;

  // --- nodes that come and go, under the drive lock: views.cpp ---
  void tick_views();
  void flush_views();
  void set_seated(bool seated);
  void ask_quorum();
  void count_apart(std::uint64_t commits);
  void drop_history(const ViewMember::Event& event);
  [[nodiscard]] Status refusal_of(std::uint32_t node) const;
  [[nodiscard]] Status refused() const;
  void count_refusals();

  // --- for people, under the drive lock: node_info.cpp ---
  void fill_members(ClusterInfo& info);

  // --- for all ---
  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_acquire); }
  [[nodiscard]] bool finished() const { return phase() != Phase::running; }
  /// Somebody has to poll: it runs, or its leave is not heard yet.
  [[nodiscard]] bool active() const { return !finished() || parting.load(); }
  [[nodiscard]] Status failure() const;
  /// Whether refusal() has anything to say: without its lock, once a commit. A failure that is being
  /// written down shuts the window before anything can be added to it that would not be refused.
  [[nodiscard]] bool refuses() const { return finished() || leave_wanted || window.is_shut(); }
  /// Why nothing more is accepted here; ok while it is.
  [[nodiscard]] Status refusal(bool of_engine = false) const;
  /// Whether this node may write; waits, and drives, while quorumCallback has not said so. The drive
  /// lock is not held.
  Status check_quorum();
  [[nodiscard]] NodeInfo info(std::uint32_t node) const;
  [[nodiscard]] Clock::time_point deadline_after(std::chrono::milliseconds cap) const;
  void note_event() { last_event_.store(now_.time_since_epoch().count()); }
  [[nodiscard]] Nanoseconds idle_since(Clock::time_point now) const {
    return now.time_since_epoch() - Clock::duration(last_event_.load());
  }

  const Options options;
  const std::unique_ptr<Transport> transport;
  RoundConsumer& consumer;
  const MemberId self;
  const Trace trace;
  const std::shared_ptr<RoundHistory> history;
  const std::shared_ptr<Finality> finality;
  const Nanoseconds tick_every;  ///< somebody has to look at the clock so often
  CommitWindow window;
  const LargeBuffers::Keeper large_buffers;  ///< let go in sleep_in_transport()
  Turn turn;
  Quorum quorum;
  Notifier notifier;
  const std::shared_ptr<Closing> kept_closing;
  Closing& closing;
  std::mutex drive_lock;

  std::atomic<Phase> phase_{Phase::running};
  std::atomic<std::uint64_t> posted_{0}, applied_{0};
  std::atomic<std::uint64_t> view_from_{0};  ///< the round that the view goes on from
  /// I4: fresh reads so far, and how many of them have their round.
  std::atomic<std::uint64_t> fresh_wanted{0}, fresh_done{0};
  std::atomic<bool> seated_;
  std::atomic<bool> refused_by_too_many{false};  ///< what is left could not form a quorum
  std::atomic<bool> stop_wanted{false}, leave_wanted{false};
  std::atomic<bool> parting{false};       ///< as Member::parting
  std::atomic<bool> stop_refused{false};  ///< stop_refusal_ is set
  std::atomic<int> stop_waiters{0};
  std::atomic<Clock::rep> last_event_{0};
  enum class Napper { none, listener, driver };
  std::atomic<Napper> napper{Napper::none};
  std::atomic<bool> in_transport_wait{false};

  // --- under the drive lock ---
  Clock::time_point now_ = Clock::now();  ///< as of the last step that found something to do
  RoundDriver member;
  CommitWindow::Items in_flight;  ///< posted and not answered, in order
  /// I4: the round that those fresh reads wait for.
  struct {
    std::uint64_t reads = 0;
    Round round;
    Ballot view;
  } fresh_posted;
  Clock::time_point round_began, next_look, parting_until;
  std::optional<MemberSet> asked_about;  ///< quorumCallback has not answered yet
  /// What this node has given out without a majority since `root` (Lineage).
  struct {
    Ballot root;
    std::uint64_t commits = 0;
  } apart;
  // Of the round being applied: kept, so that a round allocates nothing for them.
  std::vector<RoundItem> items;
  std::vector<MemberId> batch_members;  ///< of the round that is handed over
  std::vector<bool> mine;
  std::vector<ItemOutcome> outcomes;
  std::vector<RoundProtocol::Output> outputs;  ///< being sent; kept likewise

  // --- statistics ---
  Traffic traffic;
  LogHistogram exchange_ns;
  std::atomic<std::uint64_t> rounds{0}, rounds_empty{0}, items_sent{0}, items_received{0},
      apply_ns{0}, views{0}, states_taken{0};

  mutable std::mutex state_lock;  ///< of what follows
  Status failure_, stop_refusal_;
  std::condition_variable listening_changed;
  bool listening = false;
  std::thread listener;
};

}  // namespace exdb
