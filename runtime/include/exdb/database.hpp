// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Database: one node's replica, alone or as a member of a cluster.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "exdb/cluster.hpp"
#include "exdb/connection.hpp"
#include "exdb/schema.hpp"

namespace exdb {

struct DatabaseOptions {
  std::size_t segment_bytes = std::size_t{128}
                              << 20;  ///< unit in which memory is reserved and grown
  std::uint32_t max_connections = 100;
  /// False: the program runs Connection::listen() in a thread of its own; true: the database has
  /// such a thread.
  bool own_listener = true;
};

/// Everything a node counts, by name: commits, aborts, conflicts, rounds, exchange_ns_median,
/// exchange_ns_p99, bytes_sent, …
using Statistics = std::map<std::string, std::uint64_t>;

/// What became of a transaction.
enum class TransactionOutcome { committed, aborted, unknown };

class Database {
 public:
  /// With `cluster`: COLLECTIVE over its transport, and whatever is wrong on one node (another
  /// dictionary, a wrong node id, options that must agree and do not, params.local_failure) throws
  /// the same Error on all. Blocks until all nodes are there.
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

  /// With a cluster COLLECTIVE: stop(), then ends threads and communicators. Waits for a silent
  /// node no longer than ClusterParams::timeout, then throws naming it; the database is closed all
  /// the same. Idempotent.
  void close();
  /// Local: tells the others, as far as that goes at once, that this node leaves; ends threads;
  /// waits at most ~1 s. For interpreter exit and after exceptions.
  void abandon();
  [[nodiscard]] bool is_open() const;

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
  /// What became of a transaction of this node that ended as unknown.
  [[nodiscard]] TransactionOutcome outcome(TxnId id) const;

  void set_window(const ClusterWindow& window);
  [[nodiscard]] ClusterWindow window() const;
  /// Progress::cooperative: takes part in the exchange now; true when something happened. Cheap
  /// when nothing is there.
  bool progress();
  /// For people: "MPI (MPICH 5.0.2, 4 ranks)", or "embedded".
  [[nodiscard]] std::string describe() const;

 private:
  explicit Database(std::shared_ptr<DatabaseCore> core);
  std::shared_ptr<DatabaseCore> core_;
};

}  // namespace exdb
