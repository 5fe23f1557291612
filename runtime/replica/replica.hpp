// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A Replica turns agreed transactions into state: it certifies and installs what a round brings, in
// order. It is the one funnel: without a cluster a commit is a round of one. Classes declared
// `local` live in a LocalPart, for what is not replicated must not count in the agreed order.
//
// Invariants
//   R1  Replicated state is a function of the sequence of rounds alone.
//   R2  csns are dense: the n-th committed transaction has csn n.
//   R3  A round is published once, when all of it is installed, with the local parts of its
//       transactions (L1 of local_part.hpp).
//   R4  After a change that failed half-way nothing more is installed or published.
//   R5  A transaction is certified once, however often it comes (expect_repeats()).
//   R6  Of a transaction whose parts went ahead either all parts are applied, each once and in its
//       order, or nothing: parts are numbered, one that comes again is passed over, and one that is
//       missing ends the transaction in a conflict.
//   R7  csns are compared within one history only: a snapshot says of which it is (history()), and no
//       transaction that has read one is certified in another.
//   R8  autoids_seen() is at least the count of every autoid that any row has had, of any node, also of
//       rows that are gone, and goes with the state: a node begins its life above it, so no id is
//       given to a second object.
// Threads: apply_round, forget and digest under the caller's lock (the drive lock of the node, or
//   the database's own); the rest from any thread.
// Failure: what cannot be applied (no memory, a record that cannot be read) is a Status that stops
//   the node: the replica is behind then, and only reads may go on.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "cluster/round_consumer.hpp"
#include "replica/agreed_words.hpp"
#include "replica/local_part.hpp"
#include "replica/named_snapshots.hpp"
#include "replica/outcome_table.hpp"
#include "replica/replaceable.hpp"

namespace exdb {

struct AppliedCounts {
  std::uint64_t committed = 0, aborted = 0, rows_written = 0, fragments = 0;
  std::uint64_t remote_committed = 0, remote_aborted = 0;  ///< of those, other members'
};

struct ReplicaCounters {
  std::atomic<std::uint64_t> committed{0}, aborted{0}, rows_written{0}, fragments{0};
  std::atomic<std::uint64_t> remote_committed{0}, remote_aborted{0};
  [[nodiscard]] AppliedCounts now() const {
    return {committed, aborted, rows_written, fragments, remote_committed, remote_aborted};
  }
};

/// What processes that read a shared replica hold and wait for, as its writer sees it. Called under
/// the caller's lock.
class ReplicaReaders {
 public:
  virtual ~ReplicaReaders() = default;
  /// The oldest of their open snapshots whose reads will be certified; Csn::max() if none is.
  /// REQUIRES: what is published was read before.
  [[nodiscard]] virtual Csn oldest_open() const = 0;
  /// A transaction of another process that this member has sent committed as `csn`, and is not
  /// published yet.
  virtual void committing(TxnId id, Csn csn) const = 0;
  /// How a transaction of any origin ended; what committed is published.
  virtual void decided(TxnId id, ErrorCode code) const = 0;
};

class Replica final : public RoundConsumer {
 public:
  static Result<std::unique_ptr<Replica>> create(std::shared_ptr<const Dictionary> dictionary,
                                                 const StorageOptions& options, bool clustered,
                                                 NodeId self);

  /// For a process whose replicated part is in the shared segment behind `fd`, and is installed by
  /// another process: has everything but RoundConsumer, which it may not be given to. `local`: of the
  /// storage of local classes; `oldest_open`: where this process tells of its open snapshots; `joint`:
  /// where it is told of transactions over both.
  static Result<std::unique_ptr<Replica>> attach(std::shared_ptr<const Dictionary> dictionary,
                                                 int fd, const StorageOptions& local, NodeId self,
                                                 OldestOpenWord* oldest_open,
                                                 const JointWords& joint);
  /// Other processes read this one's shared segment. Before the first round.
  void set_readers(const ReplicaReaders* readers) { readers_ = readers; }
  /// The nodes for which each member sends; without it each for itself. Agreed; before the first
  /// round.
  void set_origins(std::vector<std::vector<NodeId>> of_members) {
    origins_ = std::move(of_members);
  }
  /// The descriptor of the shared segment; -1 when it is private.
  [[nodiscard]] int shared_fd() const { return replicated_->fd(); }
  /// As Storage::reap_readers(). REQUIRES: the caller's lock.
  void reap_readers() { (void)replicated_->reap_readers(); }

  // --- readers ---
  Result<std::shared_ptr<Snapshots>> pin();
  [[nodiscard]] bool is_local(const ClassDef& type) const { return clustered_ && type.local; }
  [[nodiscard]] const Dictionary& dictionary() const { return *dictionary_; }

  /// A serializable transaction holds the agreed horizon back while it is open: register before
  /// pinning, release at its end.
  struct Registered {
    Csn replicated, local;
  };
  Registered register_open();
  void release_open(const Registered& open);
  /// Whether nothing was published since: a new pin would show the same.
  [[nodiscard]] bool current(const Snapshots& snapshots) const;

  /// The classes of this process alone, and their commits; null without a cluster, or when none is
  /// declared local.
  [[nodiscard]] LocalPart* local() const { return local_.get(); }

  /// What is agreed becomes that of `made`, which has the same dictionary and a state that is not
  /// older. Pins stay valid; open transactions go on. `parted`: it is of another history, and may be
  /// older; then those only read what they have pinned (R7). REQUIRES: the caller's lock, between two
  /// rounds.
  void replace(std::unique_ptr<Replica> made, bool parted = false);
  /// From now on transactions may come again that are decided already: they change nothing, and are
  /// answered as they were. To be called before the first round, on all replicas or none.
  void expect_repeats() { repeats_ = true; }
  /// No transaction with an older snapshot commits any more, by the rounds that were applied.
  [[nodiscard]] Csn horizon() const { return horizon_; }

  // --- RoundConsumer ---
  Status apply_round(Round round, std::span<const RoundItem> items, Csn horizon,
                     const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) override;
  void forget(MemberId member) override;
  void forget_others(std::span<const MemberId> members) override;
  [[nodiscard]] std::uint64_t digest() const override;
  [[nodiscard]] Csn oldest_snapshot() const override;
  [[nodiscard]] Csn published() const override;
  [[nodiscard]] std::uint64_t history() const override {
    return history_.load(std::memory_order_acquire);
  }

  /// What became of a transaction of any origin, if it came and is not forgotten (OutcomeTable O2).
  /// What is told to be committed is published here.
  [[nodiscard]] std::optional<ErrorCode> outcome(TxnId id) const { return outcomes_.find(id); }

  /// Empty where another process installs the rounds.
  [[nodiscard]] NamedSnapshots& names() { return names_; }
  [[nodiscard]] AgreedWords& words() { return words_; }
  /// A state of the past that another process of this host keeps pinned, as it must be known to do
  /// still after this. With the local classes of now.
  Result<std::shared_ptr<Snapshots>> pin_older(Csn csn);
  /// R8. From any thread; in a process that attached it is 0.
  [[nodiscard]] std::uint64_t autoids_seen() const {
    return autoids_seen_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const ReplicaCounters& counters() const { return counters_; }
  [[nodiscard]] StorageStatistics storage_statistics() const;
  /// The csns of replicated snapshots that are held: as Storage::pinned().
  [[nodiscard]] std::vector<Csn> pinned() const { return replicated_->pinned(); }
  /// An op that the newest state here already shows to be in conflict, or null: spares an exchange.
  /// Lock-free.
  [[nodiscard]] const WriteOp* hopeless(const TransactionRecord& record) const;
  /// csn of the newest change of this row, published or about to be. Lock-free.
  [[nodiscard]] Csn newest_change(const ClassDef& type, SlotId slot) const;

 private:
  friend class SnapshotReader;  // snapshot_stream.hpp: all of the agreed state, from and to bytes
  friend class SnapshotWriter;
  Replica(std::shared_ptr<const Dictionary> dictionary, bool clustered, NodeId self);
  struct Arrived {
    std::size_t item = 0;  ///< of the round
    TransactionRecord record;
    std::vector<std::vector<std::byte>> fragments;  ///< the record's ops may be views into these
    bool parts_missing = false;                     ///< R6
  };
  Arrived& next_arrived(std::size_t item);
  Status assemble(const RoundItem& item, Arrived& arrived);
  Status add_fragments(const RoundItem& item, Arrived& arrived);
  void keep_fragment(const RoundItem& item);
  void forget_former_life(TxnId id);
  void forget_origin(const RoundItem& gone);
  Status unpack(std::span<const RoundItem> items);
  void fetch(std::size_t first);
  ItemOutcome settle(const Arrived& arrived, bool mine);
  ItemOutcome aborted(ErrorCode code, std::string text, bool mine);
  [[nodiscard]] std::optional<ItemOutcome> decided(const RoundItem& item) const;
  void settle_all(std::span<const RoundItem> items, const std::vector<bool>& mine,
                  std::vector<ItemOutcome>& outcomes);
  void remember(std::span<const RoundItem> items, const std::vector<ItemOutcome>& outcomes);

  std::shared_ptr<const Dictionary> dictionary_;
  const bool clustered_;
  const NodeId self_;
  bool attached_ = false;
  const ReplicaReaders* readers_ = nullptr;
  std::vector<std::vector<NodeId>> origins_;
  HalfWay half_way_;  ///< R4
  Replaceable<Storage> replicated_;
  std::atomic<std::uint64_t> history_{0};
  std::unique_ptr<ConflictLog> log_;
  std::unique_ptr<Certifier> certifier_;
  OpenSnapshots open_;
  std::unique_ptr<LocalPart> local_;
  Csn applied_;  ///< R2
  Csn horizon_;

  struct Fragments {
    MemberId member;  ///< who sent them, and with whom they go
    std::vector<std::vector<std::byte>> parts;
  };
  std::map<TxnId, Fragments> fragments_;
  /// Of the round being applied: the first arrived_count_ of them. The rest keep their room for the
  /// next round: a round of one costs no allocation.
  std::vector<Arrived> arrived_;
  std::size_t arrived_count_ = 0;
  std::vector<RoundItem> gone_;  ///< of this round
  static constexpr std::size_t fetch_ahead = 16;

  void see_autoids() { autoids_seen_.store(certifier_->autoids_seen(), std::memory_order_relaxed); }
  void name_state(Round round);
  void say_words(Round round);
  struct Naming {
    std::string name;
    bool drops;
    Csn seen;
  };
  std::vector<Naming> naming_, saying_;  ///< of the round being applied
  NamedSnapshots names_;
  AgreedWords words_;

  OutcomeTable outcomes_;
  bool repeats_ = false;
  std::atomic<std::uint64_t> autoids_seen_{0};  ///< R8
  ReplicaCounters counters_;
};

}  // namespace exdb
