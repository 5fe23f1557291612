// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases of one cluster over TCP in this process, opened one by one or together, killed without
// a word and opened again.
#pragma once
#include <atomic>
#include <cstring>
#include <future>

#include "exdb/exdb.hpp"
#include "tls_nodes.hpp"

namespace exdb::tcp {

/// Longer than anything here takes, also with sanitizers on a busy machine.
inline constexpr auto patience = std::chrono::seconds(60);

inline constexpr const char* database_schema = R"(
  declare database test;
  class Item { int4 id; int4 price; vector<double> samples; unique hash<id> by_id; };
)";

inline bool eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// One that a test kills: from the next poll on it is as if its process were gone.
class MortalTransport final : public Transport {
 public:
  using Killed = std::shared_ptr<std::atomic<bool>>;
  MortalTransport(std::unique_ptr<TcpTransport> inner, Killed killed)
      : inner_(std::move(inner)), killed_(std::move(killed)) {}

  [[nodiscard]] std::uint32_t self() const override { return inner_->self(); }
  [[nodiscard]] std::uint32_t size() const override { return inner_->size(); }
  [[nodiscard]] std::string describe() const override { return inner_->describe(); }
  Status send(std::uint32_t to, Frame frame) override { return inner_->send(to, frame); }
  Status broadcast(Frame frame) override { return inner_->broadcast(frame); }
  [[nodiscard]] bool has_room(std::uint32_t node) const override { return inner_->has_room(node); }
  [[nodiscard]] std::size_t send_bound_bytes() const override { return inner_->send_bound_bytes(); }
  void remove(std::uint32_t node) override { inner_->remove(node); }
  Status add(std::uint32_t node) override { return inner_->add(node); }
  Status poll(FrameSink& sink, bool& any) override {
    if (!*killed_) return inner_->poll(sink, any);
    inner_->abandon();
    return {ErrorCode::cluster, "killed by its test"};
  }
  void wait(std::chrono::nanoseconds cap) override { inner_->wait(cap); }
  void wake() override { inner_->wake(); }
  [[nodiscard]] bool wakes() const override { return inner_->wakes(); }
  [[nodiscard]] bool crowded() const override { return inner_->crowded(); }
  [[nodiscard]] TransportStatistics statistics() const override { return inner_->statistics(); }
  void close(bool collective) override { inner_->close(collective); }
  [[nodiscard]] Status refused(std::uint32_t node) const override { return inner_->refused(node); }

 private:
  const std::unique_ptr<TcpTransport> inner_;
  const Killed killed_;
};

class TcpDatabases {
 public:
  explicit TcpDatabases(std::uint32_t count) : nodes(count), db(count), killed_(count) {
    params.connect_timeout = patience;
    params.keep_alive_time = std::chrono::milliseconds(100);
    params.keep_alive_probes = 30;
    params.sync_msg_objects = 7;  // so that a state is many chunks
    params.nodes.resize(count);
  }
  ~TcpDatabases() {
    // Together, as each waits a moment for the others to hear of it.
    std::vector<std::future<void>> closing;
    for (auto& each : db)
      if (each) closing.push_back(std::async(std::launch::async, [&each] { each.reset(); }));
  }

  /// `change` may turn the params of this one node.
  using Change = std::function<void(ClusterParams&, TcpParams&, Inside&)>;
  void open(std::uint32_t node, const Change& change = {}) {
    auto cluster = copy_of_params();
    auto tcp = nodes.of(node);
    const auto hash = schema->hash();
    std::memcpy(tcp.schema_hash.data(), &hash, sizeof(hash));
    Inside inside = nodes.inside;
    if (change) change(cluster, tcp, inside);
    auto made = TcpTransport::make(tcp, std::move(inside));
    if (!made.ok()) throw Error(made.status().code(), made.status().text());
    killed_[node] = std::make_shared<std::atomic<bool>>(false);
    cluster.transport = std::make_unique<MortalTransport>(*std::move(made), killed_[node]);
    DatabaseOptions options;
    options.segment_bytes = std::size_t{4} << 20;
    db[node] = Database::open("tcp", schema, options, std::move(cluster));
  }
  void open_all(const Change& change = {}) {
    std::vector<std::future<void>> opening;
    for (std::uint32_t node = 0; node < db.size(); ++node)
      opening.push_back(
          std::async(std::launch::async, [this, node, change] { open(node, change); }));
    for (auto& each : opening) each.get();
  }
  void kill(std::uint32_t node) {
    *killed_[node] = true;
    db[node].reset();
  }
  void close_all() {
    std::vector<std::future<void>> closing;
    for (auto& each : db)
      closing.push_back(std::async(std::launch::async, [&each] { each->close(); }));
    for (auto& each : closing) EXPECT_NO_THROW(each.get());
  }

  CommitResult store(std::uint32_t on, int id, int price, std::size_t samples = 0) {
    const auto con = db[on]->connect();
    con->start();
    auto object = con->create(item());
    object.set("id", id);
    object.set("price", price);
    const std::vector<double> values(samples, 1.5);
    object.set_raw(item().record.at("samples"), FieldType::float64,
                   std::as_bytes(std::span(values)));
    return con->commit();
  }
  /// One that is committed at last, also while a node is being missed.
  void must_store(std::uint32_t on, int id, int price, std::size_t samples = 0) {
    CommitResult last;
    ASSERT_TRUE(eventually([&] {
      last = store(on, id, price, samples);
      return last.committed();
    })) << id
        << ": " << last.text;
  }
  int price(std::uint32_t on, int id) {
    const auto con = db[on]->connect();
    con->start();
    const auto found = con->find(*schema->find_index(item().id, "by_id"), std::vector<Value>{id});
    const int price = found ? static_cast<int>(found->get("price").as_int()) : -1;
    con->rollback();
    return price;
  }
  void expect_equal() {
    EXPECT_TRUE(eventually([&] {
      return std::all_of(db.begin(), db.end(),
                         [&](const auto& each) { return each->published() == db[0]->published(); });
    }));
    for (const auto& each : db) EXPECT_EQ(each->digest(), db[0]->digest());
  }
  const ClassDef& item() const { return *schema->find_class("Item"); }

  Nodes nodes;
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(database_schema).value();
  ClusterParams params;
  std::vector<std::unique_ptr<Database>> db;

 private:
  ClusterParams copy_of_params() const {
    ClusterParams made;
    made.nodes = params.nodes;
    made.connect_timeout = params.connect_timeout;
    made.keep_alive_time = params.keep_alive_time;
    made.keep_alive_probes = params.keep_alive_probes;
    made.sync_msg_objects = params.sync_msg_objects;
    made.mode_mask = params.mode_mask;
    made.notify = params.notify;
    made.quorum = params.quorum;
    return made;
  }

  std::vector<MortalTransport::Killed> killed_;
};

}  // namespace exdb::tcp
