// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Database: one node's replica, alone or as a member of a cluster.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "exdb/checkpoint.hpp"
#include "exdb/cluster_info.hpp"
#include "exdb/connection.hpp"
#include "exdb/schema.hpp"

namespace exdb {

/// A database on disk: what was committed is there when it is opened again.
struct DiskOptions {
  /// Its folder, which is made (0700) when it is not there; one process has it open at a time.
  std::string path;
  /// True: commit() returns when the device has the transaction; threads that commit at once share
  /// one fsync. False: when the system has it, so it outlives this process (kill -9), and not a
  /// crash of the machine, which may lose the newest commits, and never makes a state that was not.
  bool fsync = true;
  /// A checkpoint is written by a thread of the database when the log after the last one is larger
  /// than this, and than that checkpoint; 0: only by Database::checkpoint(). Bounds what the next
  /// open() has to read: some hundred MB a second.
  std::uint64_t checkpoint_bytes = std::uint64_t{256} << 20;
  /// Likewise when so much time has passed since the last one, and anything was committed; 0: not by
  /// time. In a cluster each node makes those by size and time for itself.
  std::chrono::milliseconds checkpoint_every{0};
  /// Of a cluster: so many nodes keep a copy (with `shared`, hosts), at most one a file system as far
  /// as there are enough of those; the others have the state in memory only, and take it from a copy
  /// when it is opened. commit() returns when all of them have the transaction, so what was
  /// acknowledged outlives the loss of all copies but one. 0: every node keeps one, and commit()
  /// returns when its own has it. The same on all nodes; 1 at most without a cluster.
  std::uint32_t copies = 0;
};

struct DatabaseOptions {
  std::size_t segment_bytes = std::size_t{128}
                              << 20;  ///< unit in which memory is reserved and grown
  std::uint32_t max_connections = 100;
  /// False: the program runs Connection::listen() in a thread of its own; true: the database has
  /// such a thread.
  bool own_listener = true;
  /// The processes of a host keep one replica, in memory that they share: one of them takes part in
  /// the rounds and writes it, the others read it and hand their transactions over. Needs
  /// ClusterParams::hosts. The same on all nodes.
  bool shared = false;
  /// Set: the database is on disk. On all nodes of a cluster, or none; unsupported where nodes come and
  /// go. Each node has a folder of its own below the path, and commit() returns when that has the
  /// transaction; rows of local classes are kept without a cluster only. Rows of classes declared
  /// `transient` are emptied when it is opened; all others, `local` ones too, are kept.
  std::optional<DiskOptions> disk;
};

/// Everything a node counts, by name: commits, aborts, conflicts, rounds, exchange_ns_median,
/// exchange_ns_p99, bytes_sent, …
using Statistics = std::map<std::string, std::uint64_t>;

/// What became of a transaction.
enum class TransactionOutcome { committed, aborted, unknown };

/// What still works of a database.
struct DatabaseState {
  enum class Phase {
    open,      ///< nothing has ended
    stopping,  ///< this node has called stop; the others have not
    stopped,   ///< all nodes have
    left,      ///< this node went without the others
    failed,    ///< this node cannot go on: `text` says why
    closed,    ///< close() or abandon() was called
  };
  Phase phase = Phase::open;
  bool reads = true;        ///< of what this node has
  bool writes = true;       ///< commits are accepted here
  bool fresh_reads = true;  ///< TransactionOptions::fresh
  std::string text;         ///< for people; empty when everything works
};

class Database {
 public:
  /// With `cluster`: COLLECTIVE over its transport, and whatever is wrong on one node (another
  /// dictionary, a wrong node id, options that must agree and do not, params.local_failure) throws
  /// the same Error on all. Blocks until all nodes are there.
  /// With DatabaseOptions::disk: recovers what is there, O(what is on disk); with a cluster from the
  /// furthest of all copies that any node sees. Throws inconsistent (copies that went on without each
  /// other), disk_in_use,
  /// disk_schema, disk_version, disk_damaged (naming file and offset), disk, disk_full.
  static std::unique_ptr<Database> open(const std::string& name,
                                        std::shared_ptr<const Dictionary> dictionary,
                                        const DatabaseOptions& options,
                                        std::optional<ClusterParams> cluster = std::nullopt);
  /// As abandon() if close() was not called: a destructor does not communicate.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Throws no_memory, naming max_connections, when that many are open.
  std::unique_ptr<Connection> connect();

  /// With a cluster COLLECTIVE: says that this node is done, waits until all have said so or left,
  /// then ends threads and communicators. Idempotent, and the database is closed however it ends.
  ///
  /// Nodes that live are waited for as long as it takes, since one may have an hour's work more than
  /// the others: a warning names them after 10 s, 20 s, 40 s …. What ends the wait otherwise:
  ///   a node is silent for ClusterParams::timeout: throws timeout, naming it;
  ///   `deadline` is over: throws timeout, naming the nodes that have not stopped; this one leaves;
  ///   abandon() in another thread: throws interrupted;
  ///   nodes close two databases in opposite order, or more in a circle, each by the thread that uses
  ///   both, so that they wait for each other: throws cluster on those nodes, naming the two that
  ///   this one uses, some seconds later (three for each database of the circle but the first).
  void close(std::optional<std::chrono::milliseconds> deadline = {});
  /// On disk, writes the state into a file, so that the log before it goes and the next open() is
  /// fast. Blocks for O(rows); commits and reads go on. Nothing is written when nothing was committed
  /// since the last. With a cluster any node, or several at once, may call it: all that keep a copy
  /// write the state of one agreed round, in which is all that was published here, and it returns
  /// when they have; nodes that left or stopped are not waited for. Throws disk, disk_full (the
  /// database goes on), disk_damaged, of whichever node, named; what a commit may end with;
  /// invalid_handle without DatabaseOptions::disk.
  void checkpoint();
  /// The same in a thread of its own. Does not block. close() and abandon() end it.
  std::shared_ptr<Checkpoint> begin_checkpoint();
  /// Gives the state of now a name; its csn. A commit: every node of the cluster has the name then,
  /// and means the same state. Keeps what is superseded later for as long as the name is there,
  /// and on disk is written into a file by the next checkpoint, O(rows), from which it is read after a
  /// restart; the log has it until then. Throws duplicate for a name that is there, conversion for one
  /// that is empty, longer than 200 bytes or has control characters, no_memory beyond 128 names, and
  /// what a commit may end with. A node that takes its state from another has no names from before.
  Csn snapshot(const std::string& name);
  /// A connection that reads there: its transactions are read-only, whatever their type. O(1) in the
  /// process that has seen the name given; else all rows are loaded from the file first, and freed
  /// with the last such connection. Throws not_found, and as open().
  std::unique_ptr<Connection> at(const std::string& name);
  /// Names and csns.
  [[nodiscard]] std::map<std::string, Csn> snapshots() const;
  /// A commit, after which no node has the name; connections at it go on. Throws not_found.
  void drop_snapshot(const std::string& name);
  /// Tells all nodes, by a commit, that this one was told to end; and the csn of the last such word that
  /// came here in this life, 0 for none.
  void announce_preempt();
  [[nodiscard]] Csn preempt_announced() const;
  /// On disk, what open() has recovered, from where, in how long, and what it has cut: one line. Else
  /// empty.
  [[nodiscard]] std::string recovered() const;
  /// Local: tells the others, as far as that goes at once, that this node leaves; ends threads, and
  /// whoever waits in close() or stop(); waits at most ~1 s for each. A callback of the program that
  /// does not come back is left behind. For interpreter exit and after exceptions. Idempotent.
  void abandon();
  [[nodiscard]] bool is_open() const;
  /// What still works, and why not more: a node may have failed, or lost its quorum, while it is
  /// open. Cheap.
  [[nodiscard]] DatabaseState state() const;

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::shared_ptr<const Dictionary>& dictionary() const;
  [[nodiscard]] bool clustered() const;
  [[nodiscard]] std::uint32_t node_id() const;  ///< 0 without a cluster
  [[nodiscard]] std::uint32_t nodes() const;    ///< 1 without a cluster

  /// csn of the newest commit that this node shows.
  [[nodiscard]] Csn published() const;
  /// 64-bit digest of all rows of replicated classes: equal on equal replicas. Of the newest
  /// published state; to compare nodes, let all take it at the same csn (e.g. between two barriers
  /// of the program, when nobody commits).
  [[nodiscard]] std::uint64_t digest() const;
  [[nodiscard]] Statistics statistics() const;
  /// The cluster as this node sees it. O(nodes + snapshots held); waits for the round that is being
  /// applied, asks nobody. Throws cluster_not_initialized without a cluster. Also after close().
  [[nodiscard]] ClusterInfo cluster_info() const;
  /// What became of a transaction of any node, wherever this is asked: agreed state. unknown when
  /// it has not come here (yet, or ever), or is not among the last 65,536 of its node. Where
  /// membership is fixed, what a node never sent is aborted everywhere once it has left with a word;
  /// of a node that was started again, those of the life before last are forgotten.
  [[nodiscard]] TransactionOutcome outcome(TxnId id) const;

  void set_window(const ClusterWindow& window);
  [[nodiscard]] ClusterWindow window() const;
  /// Progress::cooperative: takes part in the exchange now; true when something happened. Cheap
  /// when nothing is there.
  bool progress();
  /// For people: "MPI (MPICH 5.0.2, 4 ranks)", or "embedded".
  [[nodiscard]] std::string describe() const;

 private:
  friend std::unique_ptr<Database> open_on(std::shared_ptr<DatabaseCore> core);
  explicit Database(std::shared_ptr<DatabaseCore> core);
  static std::unique_ptr<Database> opened(std::shared_ptr<DatabaseCore> core);
  std::shared_ptr<DatabaseCore> core_;
};

}  // namespace exdb
