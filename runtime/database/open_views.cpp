// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening a node where nodes come and go: alone, and on disk with its own folder.
#include <cstdio>

#include "base/hash.hpp"
#include "database/cluster_route.hpp"
#include "database/open.hpp"
#include "database/restore_node.hpp"

namespace exdb {
namespace {

/// All that may take a while is a part or a multiple of the keep-alive.
ViewTiming timing_of(const ClusterParams& params, const Transport& transport) {
  const ViewTime beat = params.keep_alive_time;
  ViewTiming timing;
  timing.beat = beat;
  timing.suspect = beat * params.keep_alive_probes;
  timing.link_grace = timing.patience = timing.form_grace = timing.backoff = 2 * beat;
  timing.grace = timing.stagger = beat / 5;
  // Nobody comes back from the dead.
  if (transport.gone_is_final()) timing.link_grace = timing.grace;
  timing.stall = 2 * timing.suspect;
  timing.backoff_max = 60 * beat;
  return timing;
}

Status check_keep_alive(const ClusterParams& params) {
  using namespace std::chrono_literals;
  if (params.keep_alive_time < 5ms || params.keep_alive_time > 1h)
    return invalid_parameter("keepAliveTime must be 5 ms at least, and an hour at most");
  if (params.keep_alive_probes < 2 || params.keep_alive_probes > 1000)
    return invalid_parameter("keepAliveProbes " + std::to_string(params.keep_alive_probes) +
                             " is not within 2..1000");
  return {};
}

/// What has another schema or other qranks is of another cluster: its frames are dropped, should the
/// transport let them through.
std::uint64_t cluster_id_of(const DatabaseCore& core, const ClusterParams& params) {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  out.put(params.cluster_id);
  out.put(core.dictionary->hash());
  for (const auto& node : params.nodes) out.put(node.qrank);
  return hash_bytes(bytes, 0);
}

/// 1234567 as 1,234,567.
std::string in_threes(std::uint64_t number) {
  auto text = std::to_string(number);
  for (auto at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

/// Of a node on disk: its folder, whose state becomes core.replica.
Result<RestoredNode> restore_own(DatabaseCore& core, std::uint64_t cluster_id) {
  auto found = restore_node({core.name, core.dictionary, core.storage, *core.options.disk,
                             MemberId{core.self.value}, cluster_id});
  if (!found) return found;
  auto& recovered = found->recovered;
  core.restored.emplace();
  core.restored->told = recovered.told;
  core.restored->worth_telling = recovered.worth_telling;
  core.restored->marks = recovered.marks;
  if (recovered.worth_telling)
    std::fprintf(stderr, "exdb[node %u] %s\n", core.self.value, recovered.told.c_str());
  core.durable =
      std::make_unique<Durable>(std::move(recovered), core.dictionary, durable_options(core));
  core.replica = core.durable->take_replica();
  return found;
}

/// Before the node is made: its history, what it must not forget, and where states go.
void add_store(DatabaseCore& core, RestoredNode restored, Node::Options& options) {
  const auto marks = [&core] { return marks_of(core); };
  const auto applied = restored.begin.applied.round;
  const auto history = core.durable->make_stable_history(std::move(restored.begin), marks);
  auto& membership = *options.membership;
  membership.incarnation = restored.memory
                               ? next_life(*restored.memory)
                               : first_life(std::chrono::system_clock::now().time_since_epoch());
  membership.sink = &core.durable->make_stored_state(*core.replica_state, marks);
  membership.store = history.get();
  membership.memory = std::move(restored.memory);
  membership.applied = applied;
  membership.horizon = restored.horizon;
  options.history = history;
}

}  // namespace

/// Nobody has to be told of a failure here: the others do without this node.
void open_by_views(DatabaseCore& core, ClusterParams params, std::unique_ptr<Transport> transport,
                   Status failure) {
  if (failure.ok()) failure = check_keep_alive(params);
  if (failure.ok() && core.options.disk && params.quorum)
    failure = {
        ErrorCode::unsupported,
        "is_disk with quorumCallback where nodes come and go: who goes on without a majority "
        "may have to give up what it has acknowledged, and on disk nothing is given up; leave "
        "one of the two out"};
  if (failure.ok() && core.options.disk && core.options.disk->copies != 0)
    failure = {ErrorCode::unsupported,
               "durable_copies where nodes come and go: there each node counts by what is on its "
               "own disk, so all of them keep a copy; leave it out"};
  if (failure.ok() && params.node_id && *params.node_id != transport->self())
    failure =
        invalid_parameter("nodeId " + std::to_string(*params.node_id) +
                          " is not that of the transport, " + std::to_string(transport->self()));
  if (!failure.ok()) {
    transport->close(false);
    failure.or_throw();
  }
  fill_core(core, params, transport->self(), transport->size());
  core.description = transport->describe();
  const auto cluster_id = cluster_id_of(core, params);
  std::optional<RestoredNode> restored;
  if (core.options.disk) {
    auto found = restore_own(core, cluster_id);
    if (!found) {
      transport->close(false);
      found.status().or_throw();
    }
    restored.emplace(std::move(*found));
  }
  core.replica->expect_repeats();
  core.replica_state =
      std::make_unique<ReplicaState>(*core.replica, core.dictionary, core.storage, core.self,
                                     SnapshotBounds{static_cast<std::size_t>(core.sync_msg_objects),
                                                    static_cast<std::size_t>(core.sync_msg_bytes)});
  core.replica_state->tell_progress([self = core.self.value](auto rows, auto of) {
    std::fprintf(stderr, "exdb[node %u] joining: %s of %s rows\n", self, in_threes(rows).c_str(),
                 in_threes(of).c_str());
  });
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto life = static_cast<std::uint64_t>(std::chrono::nanoseconds(since_1970).count());
  const bool own_listener = core.options.own_listener && params.progress != Progress::cooperative;
  const auto patience = params.connect_timeout;
  const auto cancelled = params.cancelled;
  auto options = options_of(core, params, cluster_id);
  options.membership = {timing_of(params, *transport), Incarnation{life}, core.replica_state.get(),
                        core.replica_state.get()};
  if (restored) add_store(core, std::move(*restored), options);
  auto made = std::make_unique<Node>(std::move(transport), *core.replica, std::move(options));
  auto& node = *made;
  core.node = std::move(made);
  core.drive_lock = &node.drive_lock();
  core.route =
      std::make_unique<ClusterRoute>(*core.replica, node, core.self, core.mode_mask, core.open);
  core.route->number_from(first_number_after(0));
  core.next_autoid = autoids_from(life);
  core.autoids_settled = false;
  begin_life(core);
  node.start(own_listener);
  const bool seated = node.wait_seated(patience, cancelled.get());
  settle_autoids(core);
  if (seated) return;
  node.failure().or_throw();
  if (cancelled && *cancelled)
    throw Error(ErrorCode::interrupted, "open was interrupted before this node was a member");
  if (const auto refused = node.refused(); !refused.ok()) {
    node.close(false);
    refused.or_throw();
  }
  auto why = node.state().text;
  if (why.empty()) why = "this node is not a member of the cluster yet, commits wait until it is";
  if (const auto refusals = node.refusals(); !refusals.empty()) why += "; " + refusals;
  std::fprintf(stderr, "exdb[node %u] warning: database '%s' is open and can be read; %s\n",
               core.self.value, core.name.c_str(), why.c_str());
}

}  // namespace exdb
