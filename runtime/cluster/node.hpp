// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Node drives a Member, or a ViewMember where nodes come and go, over a transport: it gathers local commits in the window, posts batches,
// hands final rounds to the replica, and wakes who waits. Whoever waits for a commit drives (one at
// a time, by a try-lock); the listener steps in when nobody does. So a commit costs no hand-over
// between threads, and an idle node sleeps. What is decided (silence, digests, leaving, stopping)
// is decided in the Member.
//
// Invariants
//   I1  Rounds are handed to the consumer in order, each once, under the drive lock.
//   I2  A submitted item is answered exactly once: with the consumer's outcome, or with
//       unknown_outcome when the node stops before its round is complete, or with a certain refusal
//       when it never left the window.
//   I3  After stop() no new item is accepted here; items accepted before are still exchanged.
//   I4  No callback of the program can hold anything up: close, leave and stop end whoever waits
//       for one.
// Threads: all public functions from any thread. Callbacks of the consumer come under the drive
//   lock.
// Failure: once failed, every waiting and later call returns the same Status, which names node,
//   round and reason.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "cluster/closing.hpp"
#include "cluster/participant.hpp"
#include "cluster/peers.hpp"
#include "cluster/quorum_count.hpp"
#include "cluster/round_consumer.hpp"
#include "cluster/round_history.hpp"
#include "cluster/stable_store.hpp"
#include "cluster/state_transfer.hpp"
#include "cluster/view_memory.hpp"

namespace exdb {

class Node final : public Participant {
 public:
  /// Of one item. Transports count in int: beyond this a frame with its header would not fit.
  static constexpr std::size_t item_bytes_max = std::size_t(1) << 30;

  /// For nodes that come and go: who takes part is agreed by ballots (ViewMember).
  struct Membership {
    ViewTiming timing;
    /// Higher than that of any former life of this node.
    Incarnation incarnation;
    /// The state of the consumer; called under the drive lock. They outlive the node.
    StateSource* source = nullptr;
    StateSink* sink = nullptr;
    // Of a node on disk (ViewMember::Options has what they mean). The store outlives the node, and
    // is told to tell it of changes.
    StableStore* store = nullptr;
    std::optional<ViewMemory> memory = {};
    Round applied = {};
    Csn horizon = {};
  };

  struct Options {
    std::string name;                      ///< of the database, for texts
    std::vector<ClusterNodeParams> nodes;  ///< one a node, qrank filled in
    /// Where a node speaks for several (host/): what counts in the quorum and what its callback is
    /// asked about are these. None: the nodes themselves.
    std::optional<Voters> voters;
    std::uint64_t cluster_id = 0;
    ClusterWindow window;
    std::uint32_t in_exchange_max =
        50;  ///< submitted and not answered; submit waits above it (back-pressure)
    unsigned mode_mask = 0;
    Progress progress = Progress::adaptive;
    std::chrono::milliseconds timeout{60'000};
    std::function<void(Notification, const NodeInfo&)> notify;  ///< called by the notifier thread
    std::function<bool(const std::vector<std::uint32_t>&)> quorum;
    std::shared_ptr<RoundHistory> history;  ///< none: in memory, nothing kept
    std::shared_ptr<Finality> finality;     ///< none: complete is final
    /// None: all nodes are there from the start, and who is gone is gone.
    std::optional<Membership> membership;
    /// None: a registration of its own. Else shared with who waits on behalf of this node.
    std::shared_ptr<Closing> closing;
    NodeObserver* observer = nullptr;  ///< outlives the node; may be null
  };

  Node(std::unique_ptr<Transport> transport, RoundConsumer& consumer, Options options);
  ~Node() override;  ///< stops threads; local only

  /// Starts connect notifications, and the listener thread if `own_listener`.
  void start(bool own_listener);

  /// Puts an item into the window; blocks only for back-pressure, and for the answer of the quorum
  /// callback. Fails with cluster_stopped after stop(), with cluster_no_quorum, with conflict where
  /// its history was given up (PendingItem::history), or with the node's failure.
  /// `sequence` is unique at its origin; no `origin` = this member's own number.
  Result<std::shared_ptr<PendingItem>> submit(RoundItem::Kind kind, std::uint64_t sequence,
                                              std::vector<std::byte> bytes, int priority,
                                              std::optional<NodeId> origin = {});
  /// The same for an item that its maker will use again; kind, origin, sequence, bytes, priority and
  /// history are given in it. The bytes are gone when it is answered.
  Status submit(const std::shared_ptr<PendingItem>& item);
  /// The same for what may as well be left, and whose outcome nobody asks for: waits for no room and
  /// does not ask the quorum callback. False when it was not taken. Lock-free but for the window's.
  bool try_submit(RoundItem::Kind kind, std::uint64_t sequence, std::vector<std::byte> bytes,
                  int priority, std::optional<NodeId> origin = {});
  /// Drives until the item is answered, or the timeout passes without any progress
  /// (unknown_outcome, naming who is waited for).
  ItemOutcome wait(PendingItem& item);
  /// Answered already? Does not drive.
  static bool done(const PendingItem& item);

  /// Waits until this node has every commit that returned anywhere before the call (protocol I3).
  /// No message; where nodes come and go a round, as the others may have gone on without this one.
  /// Both end early, with cluster_stopped, when stop() comes and `*wanted` is false.
  Status wait_fresh(const std::atomic<bool>* wanted = nullptr);
  /// Waits until the consumer has published `csn`.
  Status wait_published(Csn csn, const std::atomic<bool>* wanted = nullptr);

  /// Drives until `done` (which reads atomics only, and is asked between steps and when a round has
  /// come), the node has ended, or `deadline`. True when done. `done` may become true by other
  /// processes' doing: a thread that sleeps in the transport sees that after some milliseconds.
  bool drive(const std::function<bool()>& done, std::chrono::steady_clock::time_point deadline);
  /// PendingItem::head_room that spares copies of a large item; 0 where it would not.
  [[nodiscard]] std::size_t item_head_room() const;
  /// Whether submit() would not wait for room now.
  [[nodiscard]] bool has_room() const;

  // --- Participant ---
  Status listen() override;
  bool progress() override;
  void used() override;
  Status stop(std::optional<std::chrono::milliseconds> deadline = {}) override;
  void leave(std::chrono::milliseconds cap) override;
  void close(bool collective) override;
  void set_window(const ClusterWindow& window) override;
  [[nodiscard]] ClusterWindow window() const override;

  /// Whether this node is a member of the cluster now, and has applied what its view goes on from;
  /// always, where membership is fixed.
  [[nodiscard]] bool seated() const;
  /// Why this node is not let in: ok unless every node that answers at all refuses it. Never, where
  /// membership is fixed.
  [[nodiscard]] Status refused() const;
  /// Why those that refuse it do, one after the other; empty when nobody does.
  [[nodiscard]] std::string refusals() const;
  /// Drives until this node is a member, has the state and may write, or so many nodes refuse it
  /// that it never can be, or `cap` has passed, or `*cancelled`. True when it may write.
  bool wait_seated(std::chrono::milliseconds cap, const std::atomic<bool>* cancelled = nullptr);
  [[nodiscard]] bool stopped() const;
  /// Nothing more will come, and every item is answered.
  [[nodiscard]] bool finished() const;
  [[nodiscard]] Status failure() const override;
  [[nodiscard]] NodeState state() const override;
  [[nodiscard]] NodeStatistics statistics() const override;
  [[nodiscard]] TransportStatistics transport_statistics() const override;
  [[nodiscard]] ClusterInfo cluster_info() const override;
  /// The lock under which the consumer is called: for local commits that must not run beside a
  /// round.
  std::mutex& drive_lock();

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace exdb
