// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/open.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <set>

#include "base/hash.hpp"
#include "database/checkpoints.hpp"
#include "database/cluster_route.hpp"
#include "database/dictionary_difference.hpp"
#include "database/kept_copies.hpp"
#include "exdb/collective_gather.hpp"

namespace exdb {
namespace {}  // namespace

Status check_copies(const DatabaseOptions& options, std::uint32_t replicas) {
  if (!options.disk || options.disk->copies <= replicas) return {};
  return invalid_parameter("durable_copies " + std::to_string(options.disk->copies) +
                           " is more than the " + std::to_string(replicas) +
                           (options.shared ? " hosts" : " nodes") + " that could keep one");
}

/// What this node alone can see to be wrong.
Status check_params(const ClusterParams& params, std::uint32_t nodes) {
  if (!params.local_failure.ok()) return params.local_failure;
  if (params.node_id && *params.node_id >= nodes) {
    return invalid_parameter("nodeId " + std::to_string(*params.node_id) + " is not one of the " +
                             std::to_string(nodes) + " nodes (0.." + std::to_string(nodes - 1) +
                             ")");
  }
  if (!params.nodes.empty() && params.nodes.size() != nodes) {
    return invalid_parameter("nodes lists " + std::to_string(params.nodes.size()) +
                             " nodes, but the communicator has " + std::to_string(nodes) +
                             " ranks");
  }
  if (params.conn_pool_factor < 1 || params.conn_pool_factor > 1000) {
    return invalid_parameter("conn_pool_factor " + std::to_string(params.conn_pool_factor) +
                             " is not within 1..1000 percent");
  }
  if (params.sync_msg_objects == 0) return invalid_parameter("sync_msg_objects must be at least 1");
  if (params.mode_mask & ~(cluster_mode_debug_output | cluster_mode_early_data_send)) {
    return invalid_parameter("mode_mask " + std::to_string(params.mode_mask) +
                             " has unknown bits; known are MCO_CLUSTER_MODE_DEBUG_OUTPUT 1 and "
                             "MCO_CLUSTER_MODE_EARLY_DATA_SEND 2");
  }
  return {};
}

namespace {

/// Duplicates first: where two ranks give one number, to name them both says more than that one of
/// them is wrong.
Status check_node_ids(const std::vector<Hello>& hellos) {
  std::map<std::uint32_t, std::size_t> seen;
  for (std::size_t rank = 0; rank < hellos.size(); ++rank) {
    const auto [first, fresh] = seen.try_emplace(hellos[rank].node_id, rank);
    if (!fresh) {
      return {ErrorCode::cluster_duplicate_node,
              "nodeId " + std::to_string(hellos[rank].node_id) + " is given by ranks " +
                  std::to_string(first->second) + " and " + std::to_string(rank) +
                  "; with MPI the nodeId must be the rank in the communicator (or None)"};
    }
  }
  for (std::size_t rank = 0; rank < hellos.size(); ++rank) {
    if (hellos[rank].node_id != rank) {
      return invalid_parameter(
          "rank " + std::to_string(rank) + " gives nodeId " + std::to_string(hellos[rank].node_id) +
          "; with MPI the nodeId must be the rank in the communicator (or None)");
    }
  }
  return {};
}

/// What must agree, of node 0 and this one. Equal hashes are equal schemas; the outlines are for
/// people.
Status compare(const std::vector<Hello>& hellos, std::size_t node) {
  const auto& first = hellos[0];
  const auto& other = hellos[node];
  const auto both = "nodes 0 and " + std::to_string(node);
  const std::string name = "node " + std::to_string(node);
  if (other.dictionary != first.dictionary) {
    const auto difference =
        first_difference(first.dictionary_outline, other.dictionary_outline, "node 0", name);
    return {ErrorCode::cluster_incompatible, both + " have different dictionaries" +
                                                 (difference.empty() ? "" : ": " + difference) +
                                                 "; every node must load the same schema"};
  }
  if (other.shared != first.shared)
    return {ErrorCode::cluster_incompatible,
            both + " disagree about is_shm: all nodes must open with is_shm alike"};
  if (other.disk != first.disk)
    return {ErrorCode::cluster_incompatible,
            both + " disagree about is_disk: " + (first.disk ? "node 0" : name) +
                " opens the database on disk; all must, or none"};
  if (other.copies != first.copies)
    return {ErrorCode::cluster_incompatible,
            both + " disagree about durable_copies: " + std::to_string(first.copies) + " and " +
                std::to_string(other.copies) + " (0: every node keeps a copy)"};
  if (other.qranks == first.qranks) return {};
  if (other.qranks.size() != first.qranks.size())
    return {ErrorCode::cluster_incompatible, both + " give qranks of different numbers of nodes"};
  const auto [at_first, at_other] =
      std::mismatch(first.qranks.begin(), first.qranks.end(), other.qranks.begin());
  const auto of = at_first - first.qranks.begin();
  return {ErrorCode::cluster_incompatible,
          both + " give different qranks in nodes: that of node " + std::to_string(of) + " is " +
              std::to_string(*at_first) + " on node 0 and " + std::to_string(*at_other) + " on " +
              name + "; they must be the same everywhere"};
}

}  // namespace

std::vector<std::byte> Hello::encode() const {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  out.put(version);
  out.put(static_cast<std::int32_t>(failure));
  out.put_text(failure_text);
  out.put(node_id);
  out.put(dictionary);
  out.put_text(dictionary_outline);
  out.put(random);
  out.put_varint(qranks.size());
  for (const auto qrank : qranks) out.put(qrank);
  out.put(std::uint8_t(disk));
  out.put(copies);
  out.put(std::uint8_t(shared));
  return bytes;
}

Result<Hello> Hello::decode(Bytes bytes) {
  ByteReader in(bytes);
  Hello hello;
  hello.version = in.get<std::uint32_t>();
  if (in.ok() && hello.version != version_now) {
    return {ErrorCode::cluster_incompatible, "it speaks protocol " + std::to_string(hello.version) +
                                                 ", this node " + std::to_string(version_now) +
                                                 ": all nodes need the same version of exdb"};
  }
  hello.failure = static_cast<ErrorCode>(in.get<std::int32_t>());
  hello.failure_text = in.get_text();
  hello.node_id = in.get<std::uint32_t>();
  hello.dictionary = in.get<std::uint64_t>();
  hello.dictionary_outline = in.get_text();
  hello.random = in.get<std::uint64_t>();
  const auto count = in.get_varint();
  if (count > in.remaining()) return {ErrorCode::cluster_protocol, "its greeting cannot be read"};
  for (std::uint64_t i = 0; i < count; ++i) hello.qranks.push_back(in.get<std::uint32_t>());
  hello.disk = in.get<std::uint8_t>() != 0;
  hello.copies = in.get<std::uint32_t>();
  hello.shared = in.get<std::uint8_t>() != 0;
  if (!in.ok()) return {ErrorCode::cluster_protocol, "its greeting cannot be read"};
  return hello;
}

/// A node's own failure goes before what the nodes disagree about: it may be the cause (a schema that
/// could not be read is an empty dictionary here).
Status judge(const std::vector<Hello>& hellos) {
  for (std::size_t node = 0; node < hellos.size(); ++node) {
    if (hellos[node].failure == ErrorCode::ok) continue;
    return {hellos[node].failure,
            "node " + std::to_string(node) + ": " + hellos[node].failure_text};
  }
  if (auto status = check_node_ids(hellos); !status) return status;
  for (std::size_t node = 1; node < hellos.size(); ++node) {
    if (auto status = compare(hellos, node); !status) return status;
  }
  return {};
}

/// The random number makes two openings of one job different clusters: a frame that was left over
/// from the first is recognised in the second.
Hello greeting(const DatabaseCore& core, const ClusterParams& params, std::uint32_t self,
               const Status& failure) {
  Hello mine;
  mine.failure = failure.code();
  mine.failure_text = failure.text();
  mine.node_id = params.node_id.value_or(self);
  mine.dictionary = core.dictionary->hash();
  mine.dictionary_outline = outline_of(*core.dictionary, Hello::outline_bytes_max);
  mine.random = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  for (const auto& node : params.nodes) mine.qranks.push_back(node.qrank);
  mine.disk = core.options.disk.has_value();
  mine.copies = core.options.disk ? core.options.disk->copies : 0;
  mine.shared = core.options.shared;
  return mine;
}

/// What all of them say, or the first that cannot be read. The same bytes on every node, so the same
/// answer.
Status read_all(const std::vector<std::vector<std::byte>>& greetings) {
  std::vector<Hello> hellos;
  for (std::size_t node = 0; node < greetings.size(); ++node) {
    auto hello = Hello::decode(greetings[node]);
    if (!hello)
      return {hello.status().code(), "node " + std::to_string(node) + ": " + hello.status().text()};
    hellos.push_back(std::move(*hello));
  }
  return judge(hellos);
}

void fill_core(DatabaseCore& core, const ClusterParams& params, std::uint32_t self,
               std::uint32_t nodes) {
  core.self = NodeId{self};
  core.nodes = nodes;
  core.mode_mask = params.mode_mask;
  core.sync_msg_objects = params.sync_msg_objects;
  core.sync_msg_bytes = params.sync_msg_bytes == 0 ? std::uint64_t{1} << 20 : params.sync_msg_bytes;
}

Node::Options options_of(const DatabaseCore& core, ClusterParams& params,
                         std::uint64_t cluster_id) {
  Node::Options options;
  options.name = core.name;
  options.nodes = std::move(params.nodes);
  options.cluster_id = cluster_id;
  options.window = params.window;
  options.in_exchange_max =
      std::max<std::uint32_t>(1, core.options.max_connections * params.conn_pool_factor / 100);
  options.mode_mask = params.mode_mask;
  options.progress = params.progress;
  options.timeout = params.timeout;
  options.notify = std::move(params.notify);
  options.quorum = std::move(params.quorum);
  return options;
}

Durable::Options durable_options(const DatabaseCore& core) {
  Durable::Options options;
  options.name = core.name;
  options.log.fsync = core.options.disk->fsync;
  options.checkpoint_bytes = core.options.disk->checkpoint_bytes;
  options.checkpoint_every = core.options.disk->checkpoint_every;
  return options;
}

Status restore(DatabaseCore& core, CollectiveGather& gather, std::uint32_t self,
               std::vector<bool> replicas, std::uint64_t epoch_name) {
  RestoreRequest request;
  request.name = core.name;
  request.dictionary = core.dictionary;
  request.storage = core.storage;
  request.disk = *core.options.disk;
  request.gather = &gather;
  request.self = self;
  request.replicas = std::move(replicas);
  request.epoch_name = epoch_name;
  auto restored = collective_restore(std::move(request));
  if (!restored) return restored.status();
  core.restored = std::move(*restored);
  if (self == 0 && core.restored->worth_telling)
    std::fprintf(stderr, "exdb: %s\n", core.restored->told.c_str());
  core.replica = std::move(core.restored->replica);
  if (!core.restored->recovered) return {};
  core.durable = std::make_unique<Durable>(std::move(*core.restored->recovered), core.dictionary,
                                           durable_options(core));
  core.replica = core.durable->take_replica();
  return {};
}

void add_history(DatabaseCore& core, Node::Options& options,
                 const std::vector<std::uint32_t>& members) {
  if (!core.restored) return;
  std::shared_ptr<DurableHistory> own;
  if (core.durable) {
    // With copies all wait for each of them.
    std::optional<MemberId> answered;
    if (core.options.disk->copies == 0)
      answered =
          MemberId{std::uint32_t(std::ranges::find(members, core.self.value) - members.begin())};
    own = core.durable->make_history([&core] { return marks_of(core); }, answered);
    options.history = own;
    options.finality = own;
  } else {
    options.history = std::make_shared<MemoryRoundHistory>();
    options.history->restart(core.restored->newest, true).or_throw();
  }
  if (core.options.disk->copies == 0) return;
  std::vector<MemberId> keepers;
  for (std::uint32_t member = 0; member < members.size(); ++member)
    if (core.restored->keeps[members[member]] && members[member] != core.self.value)
      keepers.push_back({member});
  options.finality = std::make_shared<KeptCopies>(std::move(keepers), std::move(own),
                                                  core.restored->newest.round, core.name);
}

void empty_transient(DatabaseCore& core, const std::function<void()>& delete_them) {
  if (!core.restored || !core.restored->transient_rows) return;
  if (core.self == NodeId{0}) return delete_them();
  // The first commit there is.
  core.route->at_least(core.restored->csn.next()).or_throw();
}

/// What a node has given out and nobody has in a log is passed over: of transactions by the clock, of
/// autoids by so many that none gives more between two syncs.
void begin_life(DatabaseCore& core) {
  if (!core.restored) return;
  constexpr std::uint64_t autoids_in_doubt = std::uint64_t{1} << 20;
  const auto& marks = core.restored->marks;
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto life = static_cast<std::uint64_t>(std::chrono::nanoseconds(since_1970).count());
  core.route->number_from(first_number_after(marks.sequence));
  core.next_autoid = std::max(autoids_from(life), marks.autoid + autoids_in_doubt);
  watch_checkpoints(core);
  if (core.durable) core.durable->watch(*core.replica, *core.drive_lock);
}

/// Whatever is wrong here is told to the others and thrown only when they know: a node that threw at
/// once would leave them in the gather until its timeout.
void open_cluster(DatabaseCore& core, ClusterParams params, Status local_failure) {
  auto transport = std::move(params.transport);
  auto failure = local_failure.ok() ? check_params(params, transport->size()) : local_failure;
  if (failure.ok()) failure = check_copies(core.options, transport->size());
  if (params.nodes.empty()) params.nodes.resize(transport->size());
  CollectiveGather* const gather = transport->gather();
  if (gather == nullptr)
    return open_by_views(core, std::move(params), std::move(transport), failure);
  auto gathered = gather->collective_gather(
      greeting(core, params, transport->self(), failure).encode(), params.timeout);
  if (!gathered) {
    // Somebody is missing, so a collective close would wait for him.
    transport->close(false);
    gathered.status().or_throw();
  }
  if (const auto verdict = read_all(*gathered); !verdict.ok()) {
    transport->close(true);
    verdict.or_throw();
  }
  std::uint64_t cluster_id = 0;
  for (const auto& each : *gathered) cluster_id = hash_bytes(each, cluster_id);
  if (core.options.disk) {
    const std::vector<bool> replicas(transport->size(), true);
    if (const auto verdict = restore(core, *gather, transport->self(), replicas, cluster_id);
        !verdict.ok()) {
      transport->close(true);
      verdict.or_throw();
    }
  }

  fill_core(core, params, transport->self(), transport->size());
  core.description = transport->describe();
  const bool own_listener = core.options.own_listener && params.progress != Progress::cooperative;
  auto options = options_of(core, params, cluster_id);
  std::vector<std::uint32_t> members(core.nodes);
  std::iota(members.begin(), members.end(), 0U);
  add_history(core, options, members);
  auto made = std::make_unique<Node>(std::move(transport), *core.replica, std::move(options));
  auto& node = *made;
  core.node = std::move(made);
  core.drive_lock = &node.drive_lock();
  core.route =
      std::make_unique<ClusterRoute>(*core.replica, node, core.self, core.mode_mask, core.open);
  begin_life(core);
  // Last: from here on rounds may come.
  node.start(own_listener);
}

}  // namespace exdb
