// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/database.hpp"

#include <cstdio>
#include <random>

#include "database/alone_route.hpp"
#include "database/checkpoints.hpp"
#include "database/core.hpp"
#include "database/open.hpp"
#include "database/open_shared.hpp"
#include "database/restore_copies.hpp"
#include "durability/disk_folder.hpp"

namespace exdb {
namespace {

/// Connections hold one pin each; views of ended transactions and cursors of past statements hold
/// theirs until they go. Places are cheap (a cache line), so there are plenty.
std::uint32_t readers_for(std::uint32_t max_connections) { return max_connections * 4 + 256; }

Status check_options(const std::string& name, const std::shared_ptr<const Dictionary>& dictionary,
                     const DatabaseOptions& options) {
  const auto wrong = [](std::string text) {
    return Status(ErrorCode::cluster_invalid_parameter, std::move(text));
  };
  if (name.empty()) return wrong("dbname is empty");
  if (!dictionary)
    return wrong(
        "no dictionary: load_dictionary() / Dictionary::parse() makes one from the schema");
  if (options.max_connections < 1 || options.max_connections > 100'000) {
    return wrong("db_max_connections " + std::to_string(options.max_connections) +
                 " is not within 1..100000");
  }
  if (options.segment_bytes < (std::size_t{1} << 16)) {
    return wrong("db_segment_size " + std::to_string(options.segment_bytes) +
                 " is less than 65536 bytes");
  }
  return {};
}

/// The same on every node, so it may be thrown before they have met.
void check_shared(const DatabaseOptions& options, const std::optional<ClusterParams>& cluster) {
  const auto wrong = [](const char* text) {
    throw Error(ErrorCode::cluster_invalid_parameter, text);
  };
  if (options.shared && !cluster)
    wrong(
        "is_shm: a replica is shared by the processes of a host in a cluster, and this database "
        "has "
        "none: pass clusterParams or comm to open, or open it without is_shm");
  if (options.shared && !cluster->hosts)
    wrong(
        "is_shm needs to know which nodes share a host: ClusterParams::hosts, which "
        "exdb::mpi::host_groups(comm) makes; over TCP and where nodes come and go each process "
        "keeps "
        "a replica of its own");
  if (!options.shared && cluster && cluster->hosts)
    wrong("ClusterParams::hosts is for databases with DatabaseOptions::shared (is_shm)");
  if (!options.shared && cluster && !cluster->transport)
    wrong("ClusterParams without a transport: exdb::mpi::transport(comm) makes one");
}

/// Rows of a class that is declared so live as long as the process that made them. In one commit.
void empty_transient_classes(Database& database) {
  const auto connection = database.connect();
  connection->start();
  std::uint64_t deleted = 0;
  for (const auto& type : database.dictionary()->classes())
    if (type.transient && !(database.clustered() && type.local))
      deleted += connection->delete_all(type);
  if (deleted == 0) {
    connection->rollback();
  } else {
    connection->commit().or_throw();
  }
}

void open_disk(DatabaseCore& core) {
  const auto& disk = *core.options.disk;
  check_copies(core.options, 1).or_throw();
  if (auto nodes = nodes_below(disk_folders(), disk.path); nodes && !nodes->empty())
    throw Error(ErrorCode::unsupported, "'" + disk.path + "' has the database of a cluster (" +
                                            node_folder(disk.path, nodes->front()) +
                                            "): open it with comm, if need be with one rank");
  auto folder = DiskFolder::hold(disk.path);
  folder.status().or_throw();
  Durable::Options options;
  options.name = core.name;
  options.log.fsync = disk.fsync;
  options.checkpoint_bytes = disk.checkpoint_bytes;
  options.checkpoint_every = disk.checkpoint_every;
  const auto random = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  auto durable =
      Durable::open(std::move(*folder), core.dictionary, core.storage, std::move(options), random);
  durable.status().or_throw();
  core.replica = (*durable)->take_replica();
  core.description = "embedded, on disk";
  core.route = (*durable)->make_route(*core.replica, core.commit_lock, core.next_autoid);
  core.durable = std::move(*durable);
  if (core.durable->was_torn_down())
    std::fprintf(stderr, "exdb: %s\n", core.durable->told().c_str());
}

/// They have ended with what they wrote to.
void end_checkpoints(DatabaseCore& core) {
  const std::lock_guard lock(core.checkpoints_lock);
  core.checkpoints.clear();
}

}  // namespace

std::unique_ptr<Database> Database::open(const std::string& name,
                                         std::shared_ptr<const Dictionary> dictionary,
                                         const DatabaseOptions& options,
                                         std::optional<ClusterParams> cluster) {
  check_shared(options, cluster);
  auto failure = check_options(name, dictionary, options);
  // Without a dictionary there is nothing to tell the others of; an empty one carries the failure
  // to them.
  if (!dictionary && cluster) dictionary = std::move(Dictionary::parse("")).value();
  if (!cluster) failure.or_throw();

  // With a cluster nothing is thrown before all nodes have met in open_cluster.
  auto core = std::make_shared<DatabaseCore>();
  core->name = name;
  core->dictionary = std::move(dictionary);
  core->options = options;
  auto& storage = core->storage;
  storage.segment.unit_bytes = options.segment_bytes;
  storage.readers_max = readers_for(options.max_connections);
  if (options.shared) {
    open_shared(*core, std::move(*cluster), failure);
    return opened(std::move(core));
  }
  if (failure.ok() && !options.disk) {
    auto replica = Replica::create(core->dictionary, storage, cluster.has_value(),
                                   cluster ? NodeId{cluster->transport->self()} : NodeId{});
    if (replica) {
      core->replica = std::move(*replica);
    } else {
      failure = replica.status();
    }
  }
  if (cluster) {
    open_cluster(*core, std::move(*cluster), failure);
    return opened(std::move(core));
  } else if (options.disk) {
    open_disk(*core);
    std::unique_ptr<Database> database(new Database(std::move(core)));
    empty_transient_classes(*database);
    return database;
  } else {
    failure.or_throw();
    core->route = std::make_unique<AloneRoute>(
        *core->replica, std::make_unique<MemoryRoundHistory>(), core->commit_lock);
  }
  return std::unique_ptr<Database>(new Database(std::move(core)));
}

std::unique_ptr<Database> open_on(std::shared_ptr<DatabaseCore> core) {
  return std::unique_ptr<Database>(new Database(std::move(core)));
}

std::unique_ptr<Database> Database::opened(std::shared_ptr<DatabaseCore> core) {
  std::unique_ptr<Database> database(new Database(core));
  empty_transient(*core, [&database] { empty_transient_classes(*database); });
  return database;
}

Database::Database(std::shared_ptr<DatabaseCore> core) : core_(std::move(core)) {}

Database::~Database() { abandon(); }

void count_connection(DatabaseCore& core) {
  if (core.connections.fetch_add(1) < core.options.max_connections) return;
  core.connections.fetch_sub(1);
  throw Error(ErrorCode::no_memory, "database '" + core.name + "' has db_max_connections (" +
                                        std::to_string(core.options.max_connections) +
                                        ") connections open: close one, or open with more");
}

std::unique_ptr<Connection> Database::connect() {
  core_->require_open();
  if (core_->node) core_->node->used();
  count_connection(*core_);
  try {
    return std::unique_ptr<Connection>(new Connection(core_));
  } catch (...) {
    core_->connections.fetch_sub(1);
    throw;
  }
}

void Database::close(std::optional<std::chrono::milliseconds> deadline) {
  // A hold of its own: abandon() in another thread, and what follows it there, may not end what this
  // waits on.
  const auto core = core_;
  if (!core->open.exchange(false)) return;
  if (!core->node) {
    const auto closed = core->durable ? core->durable->close() : Status();
    end_checkpoints(*core);
    return closed.or_throw();
  }
  const auto stopped = close_node(*core, deadline);
  const auto closed = core->durable ? core->durable->close() : Status();
  end_checkpoints(*core);
  stopped.or_throw();
  closed.or_throw();
}

/// Also while another thread is in close(): leaving is what ends its wait, so being closed already
/// is no reason to do nothing.
void Database::abandon() {
  const auto core = core_;
  core->open = false;
  if (core->node) {
    core->node->leave(std::chrono::seconds(1));
    core->node->close(false);
  }
  if (core->durable) (void)core->durable->close();
  end_checkpoints(*core);
}

void Database::checkpoint() {
  const auto core = core_;
  core->require_open();
  write_checkpoint(*core);
}

std::shared_ptr<Checkpoint> Database::begin_checkpoint() { return exdb::begin_checkpoint(core_); }

std::string Database::recovered() const {
  if (core_->restored) return core_->restored->told;
  return core_->durable ? core_->durable->told() : "";
}

DatabaseState Database::state() const {
  using Phase = DatabaseState::Phase;
  if (!core_->open.load())
    return {Phase::closed, false, false, false, "database '" + core_->name + "' is closed"};
  DatabaseState state;
  if (core_->durable && !core_->node) {
    const auto failure = core_->durable->failure();
    if (!failure.ok()) state = {Phase::failed, true, false, true, failure.text()};
  }
  if (!core_->node) return state;
  const auto node = core_->node->state();
  switch (node.phase) {
    case NodeState::Phase::open:
      state.phase = Phase::open;
      break;
    case NodeState::Phase::stopping:
      state.phase = Phase::stopping;
      break;
    case NodeState::Phase::stopped:
      state.phase = Phase::stopped;
      break;
    case NodeState::Phase::left:
      state.phase = Phase::left;
      break;
    case NodeState::Phase::failed:
      state.phase = Phase::failed;
      break;
  }
  state.writes = node.writes;
  state.fresh_reads = node.fresh_reads;
  state.text = node.text;
  if (!node.fresh_reads)
    state.text += "; what this node has at csn " +
                  std::to_string(core_->replica->published().value) + " can still be read";
  return state;
}

bool Database::is_open() const { return core_->open.load(); }
const std::string& Database::name() const { return core_->name; }
const std::shared_ptr<const Dictionary>& Database::dictionary() const { return core_->dictionary; }
bool Database::clustered() const { return core_->node != nullptr; }
std::uint32_t Database::node_id() const { return core_->self.value; }
std::uint32_t Database::nodes() const { return core_->nodes; }
std::string Database::describe() const { return core_->description; }
Csn Database::published() const { return core_->replica->published(); }

std::uint64_t Database::digest() const {
  const std::lock_guard lock(core_->lock());
  return core_->replica->digest();
}

ClusterInfo Database::cluster_info() const {
  auto info = core_->require_cluster("cluster_info").cluster_info();
  const auto applied = core_->route->applied();
  info.remote_commits = applied.remote_committed;
  info.remote_aborts = applied.remote_aborted;
  // In this order: what is held is never above what is published.
  const auto pinned = core_->replica->pinned();
  info.published = core_->replica->published();
  info.oldest_snapshot = pinned.empty() ? info.published : pinned.front();
  info.oldest_snapshot_age = info.published.value - info.oldest_snapshot.value;
  info.snapshots = pinned.size();
  info.versions_pinned = core_->replica->storage_statistics().garbage;
  return info;
}

TransactionOutcome Database::outcome(TxnId id) const {
  const auto code = core_->route->outcome(id);
  if (!code) {
    return core_->durable && core_->durable->never_came(id) ? TransactionOutcome::aborted
                                                            : TransactionOutcome::unknown;
  }
  return *code == ErrorCode::ok ? TransactionOutcome::committed : TransactionOutcome::aborted;
}

void Database::set_window(const ClusterWindow& window) {
  core_->require_cluster("window").set_window(window);
}
ClusterWindow Database::window() const { return core_->require_cluster("window").window(); }
bool Database::progress() { return core_->node && core_->open.load() && core_->node->progress(); }

Statistics Database::statistics() const {
  const auto& counters = core_->counters;
  const auto applied = core_->route->applied();
  const auto storage = core_->replica->storage_statistics();
  Statistics all{
      {"commits", counters.committed},
      {"aborts", counters.aborted},
      {"conflicts", counters.conflicts},
      {"rollbacks", counters.rolled_back},
      {"read_only_commits", counters.read_only},
      {"transactions_applied", applied.committed},
      {"transactions_refused", applied.aborted},
      {"rows_written", applied.rows_written},
      {"fragments_received", applied.fragments},
      {"csn", core_->replica->published().value},
      {"connections", core_->connections},
      {"memory_reserved_bytes", storage.bytes_reserved},
      {"memory_used_bytes", storage.bytes_used},
      {"garbage", storage.garbage},
      {"rows", storage.rows},
      {"named_snapshots", core_->replica->names().size()},
  };
  if (core_->durable) {
    const auto disk = core_->durable->counters();
    if (!core_->node) all["rounds"] = disk.rounds;
    all.merge(Statistics{{"log_bytes", disk.log_bytes},
                         {"log_groups", disk.log_groups},
                         {"checkpoints", disk.checkpoints},
                         {"checkpoint_bytes", disk.checkpoint_bytes}});
  }
  if (!core_->node) return all;
  const auto node = core_->node->statistics();
  const auto transport = core_->node->transport_statistics();
  all.merge(Statistics{
      {"rounds", node.rounds},
      {"rounds_empty", node.rounds_empty},
      {"items_sent", node.items_sent},
      {"items_received", node.items_received},
      {"exchange_ns_total", node.exchange_ns_total},
      {"exchange_ns_median", node.exchange_ns_median},
      {"exchange_ns_p99", node.exchange_ns_p99},
      {"apply_ns_total", node.apply_ns_total},
      {"views", node.views},
      {"states_taken", node.states_taken},
      {"frames_sent", transport.frames_sent},
      {"frames_received", transport.frames_received},
      {"bytes_sent", transport.bytes_sent},
      {"bytes_received", transport.bytes_received},
      {"frames_long", transport.frames_long},
      {"collectives", transport.collectives},
      {"polls", transport.polls},
      {"sleeps", transport.sleeps},
      {"sync_msg_objects", core_->sync_msg_objects},
      {"sync_msg_bytes", core_->sync_msg_bytes},
  });
  return all;
}

}  // namespace exdb
