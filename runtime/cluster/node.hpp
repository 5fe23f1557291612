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

#include "cluster/peers.hpp"
#include "cluster/round_consumer.hpp"
#include "cluster/round_history.hpp"
#include "cluster/state_transfer.hpp"
#include "exdb/cluster_info.hpp"

namespace exdb {

/// What still works at a node, and why not more.
struct NodeState {
  enum class Phase { open, stopping, stopped, left, failed };
  Phase phase = Phase::open;
  bool writes = true;       ///< commits are accepted (or the quorumCallback decides)
  bool fresh_reads = true;  ///< so are transactions that must see every commit that returned
  std::string text;         ///< for people: why; empty when all works
};

struct NodeStatistics {
  std::uint64_t rounds = 0, rounds_empty = 0;  ///< empty: nobody sent a transaction
  std::uint64_t items_sent = 0, items_received = 0;
  std::uint64_t exchange_ns_total = 0;  ///< from posting to completion, summed over rounds
  std::uint64_t exchange_ns_median = 0, exchange_ns_p99 = 0;
  std::uint64_t apply_ns_total = 0;
  std::uint64_t views = 0, states_taken = 0;  ///< where nodes come and go
};

class Node {
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
  };

  struct Options {
    std::string name;                      ///< of the database, for texts
    std::vector<ClusterNodeParams> nodes;  ///< one a node, qrank filled in
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
  };

  Node(std::unique_ptr<Transport> transport, RoundConsumer& consumer, Options options);
  ~Node();  ///< stops threads; local only

  /// Starts connect notifications, and the listener thread if `own_listener`.
  void start(bool own_listener);

  /// Puts an item into the window; blocks only for back-pressure. Fails with cluster_stopped after
  /// stop(), with cluster_no_quorum (after asking the callback), or with the node's failure.
  /// `sequence` is unique at its origin; no `origin` = this member's own number.
  Result<std::shared_ptr<PendingItem>> submit(RoundItem::Kind kind, std::uint64_t sequence,
                                              std::vector<std::byte> bytes, int priority,
                                              std::optional<NodeId> origin = {});
  /// The same for an item that its maker will use again; kind, origin, sequence, bytes and priority are
  /// given in it. The bytes are gone when it is answered.
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
  /// No message. Both end early, with cluster_stopped, when stop() comes and `*wanted` is false.
  Status wait_fresh(const std::atomic<bool>* wanted = nullptr);
  /// Waits until the consumer has published `csn`.
  Status wait_published(Csn csn, const std::atomic<bool>* wanted = nullptr);

  /// Drives in this thread until the cluster stops (the listener of the program's own). Returns ok
  /// then, or the failure.
  Status listen();
  /// Some polls; true when something happened. For cooperative programs.
  bool progress();

  /// This thread uses the database: so it is the one that is going to stop it (closing.hpp). submit,
  /// the waits and stop say so themselves.
  void used();

  /// Says that this node wants to end, and returns after ALL nodes have said so or left. Waits for
  /// nodes that live as long as it takes, with a warning that names them after 10 s, 20 s, 40 s …;
  /// for a silent one no longer than Options::timeout. Past `deadline` it gives up with timeout,
  /// naming the nodes that have not stopped; where databases are being closed in opposite order,
  /// with cluster; when another thread lets this node leave or closes it, with interrupted. After
  /// these three the node has left.
  Status stop(std::optional<std::chrono::milliseconds> deadline = {});
  /// Goes away without waiting for the others' stop: takes part in at most the round under way and
  /// one more, at most `cap`.
  void leave(std::chrono::milliseconds cap);
  /// After stop or leave: ends threads; `collective` as Transport::close, and only where all nodes
  /// have stopped together.
  void close(bool collective);

  void set_window(const ClusterWindow& window);
  [[nodiscard]] ClusterWindow window() const;
  /// Whether this node is a member of the cluster now; always, where membership is fixed.
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
  [[nodiscard]] Status failure() const;
  [[nodiscard]] NodeState state() const;
  [[nodiscard]] NodeStatistics statistics() const;
  [[nodiscard]] TransportStatistics transport_statistics() const;
  /// What a node knows of the cluster; the rest of it is the database's. O(nodes); waits for the
  /// drive lock, which is held for a few rounds at most.
  [[nodiscard]] ClusterInfo cluster_info() const;
  /// The lock under which the consumer is called: for local commits that must not run beside a
  /// round.
  std::mutex& drive_lock();

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace exdb
