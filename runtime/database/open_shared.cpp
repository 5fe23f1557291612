// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/open_shared.hpp"

#include <unistd.h>

#include "base/hash.hpp"
#include "database/cluster_route.hpp"
#include "database/leader_route.hpp"
#include "database/open.hpp"
#include "host/host_leader.hpp"

namespace exdb {
namespace {

using Blocks = std::vector<std::vector<std::byte>>;

/// Where a follower finds what its leader has made.
struct Offer {
  std::int32_t pid = 0, replica = -1, segment = -1;
  std::uint64_t nonce = 0;
};

std::vector<std::byte> encode(const Offer& offer) {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  out.put(offer.pid);
  out.put(offer.replica);
  out.put(offer.segment);
  out.put(offer.nonce);
  return bytes;
}

std::vector<std::byte> encode(const Status& status, const Offer& offer = {}) {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  out.put(static_cast<std::int32_t>(status.code()));
  out.put_text(status.text());
  out.put_raw(encode(offer));
  return bytes;
}

/// What this one offers.
Offer offer_in(Bytes block) {
  ByteReader in(block);
  (void)in.get<std::int32_t>();
  (void)in.get_text();
  Offer offer;
  offer.pid = in.get<std::int32_t>();
  offer.replica = in.get<std::int32_t>();
  offer.segment = in.get<std::int32_t>();
  offer.nonce = in.get<std::uint64_t>();
  return offer;
}

/// ok, or the failure of the lowest node that has one.
Status first_failure(const Blocks& blocks) {
  for (const auto& block : blocks) {
    ByteReader in(block);
    const auto code = static_cast<ErrorCode>(in.get<std::int32_t>());
    const std::string text(in.get_text());
    if (!in.ok()) return {ErrorCode::cluster_protocol, "what a node says cannot be read"};
    if (code != ErrorCode::ok) return {code, text};
  }
  return {};
}

/// What followers have open, as their lines say.
class LinesOfFollowers final : public ReplicaReaders {
 public:
  explicit LinesOfFollowers(const HostSegment& segment) : segment_(segment) {}
  [[nodiscard]] Csn oldest_open() const override {
    auto oldest = Csn::max();
    for (std::uint32_t index = 0; index < segment_.followers(); ++index) {
      const auto word = segment_.line(index).oldest_open.load();
      if (word != 0) oldest = std::min(oldest, Csn{word - 1});
    }
    return oldest;
  }
  void committing(TxnId id, Csn csn) const override {
    const auto index = segment_.index_of(id.origin.value);
    if (index == segment_.followers()) return;
    auto& joint = segment_.line(index).joint;
    if (joint.sequence.load() == id.sequence) joint.decided.store(csn.value + 1);
  }
  void decided(TxnId id, ErrorCode code) const override { segment_.outcomes().record(id, code); }

 private:
  const HostSegment& segment_;
};

/// Of this process, on its way to being open.
class Opening {
 public:
  Opening(DatabaseCore& core, ClusterParams params)
      : core_(core), params_(std::move(params)), hosts_(std::move(params_.hosts)) {
    map_ = {hosts_->self(), hosts_->hosts(), hosts_->leaders(), {}};
  }

  void run(Status failure) {
    if (failure.ok()) failure = check_params(params_, hosts_->nodes());
    if (failure.ok())
      failure = check_copies(core_.options, std::uint32_t(hosts_->leaders().size()));
    if (params_.nodes.empty()) params_.nodes.resize(hosts_->nodes());
    map_.nodes = params_.nodes;
    const auto greetings = gather(greeting(core_, params_, map_.self, failure).encode());
    give_up_if(read_all(greetings));
    std::uint64_t cluster_id = 0;
    for (const auto& each : greetings) cluster_id = hash_bytes(each, cluster_id);
    if (core_.options.disk) give_up_if(restore_by_leaders(cluster_id));
    auto made = map_.leads() ? make() : Status();
    if (!made.ok()) made = {made.code(), "node " + std::to_string(map_.self) + ": " + made.text()};
    const auto offers = gather(encode(made, offer_));
    give_up_if(first_failure(offers));
    offer_ = offer_in(offers[map_.leader()]);
    give_up_if(first_failure(gather(encode(map_.leads() ? Status() : attach()))));

    fill_core(core_, params_, map_.self, hosts_->nodes());
    core_.description = hosts_->describe();
    auto transport = hosts_->take_transport();
    transport.status().or_throw();
    if (map_.leads())
      lead(std::move(*transport), cluster_id);
    else
      follow(cluster_id);
  }

 private:
  /// All of them have failed, and know it.
  void give_up_if(const Status& verdict) {
    if (verdict.ok()) return;
    hosts_->close();
    verdict.or_throw();
  }

  /// Without an answer of all there is nobody to close anything with.
  Blocks gather(const std::vector<std::byte>& mine) {
    auto gathered = hosts_->gather().collective_gather(mine, params_.timeout);
    gathered.status().or_throw();
    return std::move(*gathered);
  }

  /// One folder a host, its leader's.
  Status restore_by_leaders(std::uint64_t epoch_name) {
    std::vector<bool> replicas(hosts_->nodes());
    for (const auto leader : map_.leaders) replicas[leader] = true;
    const auto own = core_.storage;
    core_.storage = shared_storage();
    auto status = restore(core_, hosts_->gather(), map_.self, std::move(replicas), epoch_name);
    core_.storage = own;
    return status;
  }

  /// Readers of all processes of the host pin in one table.
  [[nodiscard]] StorageOptions shared_storage() const {
    auto storage = core_.storage;
    storage.segment.shared = true;
    storage.readers_max *= static_cast<std::uint32_t>(map_.followers().size() + 1);
    return storage;
  }

  Status make() {
    const auto followers = map_.followers();
    if (!core_.replica) {
      auto replica = Replica::create(core_.dictionary, shared_storage(), true, NodeId{map_.self});
      if (!replica) return replica.status();
      core_.replica = std::move(*replica);
    }
    std::vector<std::vector<NodeId>> origins(map_.leaders.size());
    for (std::uint32_t node = 0; node < map_.hosts.size(); ++node)
      origins[map_.hosts[node]].push_back(NodeId{node});
    core_.replica->set_origins(std::move(origins));
    auto segment = HostSegment::create(map_.self, hosts_->nodes(), followers);
    if (!segment) return segment.status();
    segment_ = std::move(*segment);
    core_.readers = std::make_unique<LinesOfFollowers>(*segment_);
    core_.replica->set_readers(core_.readers.get());
    offer_ = {static_cast<std::int32_t>(getpid()), core_.replica->shared_fd(),
              segment_->descriptor(), segment_->nonce()};
    return {};
  }

  Status attach() {
    auto status = attach_all();
    if (status.ok()) return {};
    return {
        status.code(),
        "node " + std::to_string(map_.self) + " cannot attach to the memory of node " +
            std::to_string(map_.leader()) + ", which leads its host: " + status.text() +
            ". The processes of a host must run as one user, in one PID namespace; otherwise open "
            "without is_shm"};
  }

  Status attach_all() {
    auto descriptor = open_descriptor_of(offer_.pid, offer_.segment);
    if (!descriptor) return descriptor.status();
    auto segment = HostSegment::attach(*descriptor, offer_.nonce, map_.self);
    if (!segment) return segment.status();
    segment_ = std::move(*segment);
    // Of the process whose nonce was found.
    auto memory = open_descriptor_of(offer_.pid, offer_.replica);
    if (!memory) return memory.status();
    auto& line = segment_->line(segment_->own_index());
    auto replica =
        Replica::attach(core_.dictionary, memory->get(), core_.storage, NodeId{map_.self},
                        &line.oldest_open, {&line.joint.sequence, &line.joint.decided});
    if (!replica) return replica.status();
    core_.replica = std::move(*replica);
    return {};
  }

  void lead(std::unique_ptr<Transport> transport, std::uint64_t cluster_id) {
    const bool own_listener =
        core_.options.own_listener && params_.progress != Progress::cooperative;
    auto options = options_of(core_, params_, cluster_id);
    add_history(core_, options, map_.leaders);
    auto made = std::make_unique<HostLeader>(
        std::move(segment_), map_, std::move(transport), *core_.replica, std::move(options),
        HostLeader::Hooks{[replica = core_.replica.get()](std::uint32_t question, Bytes bytes) {
                            return LeaderRoute::answer(*replica, question, bytes);
                          },
                          [replica = core_.replica.get()] { replica->reap_readers(); }});
    auto& leader = *made;
    core_.node = std::move(made);
    core_.drive_lock = &leader.node().drive_lock();
    core_.route = std::make_unique<ClusterRoute>(*core_.replica, leader.node(), core_.self,
                                                 core_.mode_mask, core_.open, &leader.stopping());
    begin_life(core_);
    // Last: from here on rounds may come.
    leader.start(own_listener);
  }

  void follow(std::uint64_t cluster_id) {
    auto options = options_of(core_, params_, cluster_id);
    auto made = std::make_unique<HostFollower>(
        std::move(segment_), map_, offer_.pid,
        HostFollower::Options{std::move(options.name), cluster_id, params_.timeout,
                              options.in_exchange_max, std::move(options.notify),
                              std::move(options.quorum), true});
    auto& follower = *made;
    core_.node = std::move(made);
    auto route = std::make_unique<LeaderRoute>(*core_.replica, follower, core_.self,
                                               core_.mode_mask, core_.open);
    core_.leader = route.get();
    core_.route = std::move(route);
    begin_life(core_);
    follower.start();
  }

  DatabaseCore& core_;
  ClusterParams params_;
  const std::unique_ptr<HostGroups> hosts_;
  HostMap map_;
  Offer offer_;  ///< what this leader makes, then what the own leader has made
  std::unique_ptr<HostSegment> segment_;
};

}  // namespace

void open_shared(DatabaseCore& core, ClusterParams params, Status local_failure) {
  Opening(core, std::move(params)).run(std::move(local_failure));
}

}  // namespace exdb
