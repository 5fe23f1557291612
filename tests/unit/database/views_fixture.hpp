// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases whose nodes come and go, in one process.
#pragma once
#include <future>
#include <thread>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"

namespace exdb {

/// What node 0 was told, in order: "+1" for a connect of node 1, "-1" for its disconnect.
class Told {
 public:
  std::function<void(Notification, const NodeInfo&)> writer() {
    return [this](Notification what, const NodeInfo& about) {
      const std::lock_guard lock(mutex_);
      told_ += (what == Notification::connect ? "+" : "-") + std::to_string(about.node_id);
    };
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  mutable std::mutex mutex_;
  std::string told_;
};

class ViewsTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds patience{60};

  explicit ViewsTest(std::uint32_t nodes = 3) : network({.nodes = nodes, .gather = false}) {
    db.resize(nodes);
  }

  std::unique_ptr<Database> open(std::unique_ptr<Transport> transport,
                                 std::chrono::milliseconds connect_timeout = patience) {
    ClusterParams params;
    params.transport = std::move(transport);
    params.keep_alive_time = std::chrono::milliseconds(40);
    params.keep_alive_probes = probes;
    params.connect_timeout = connect_timeout;
    params.sync_msg_objects = 7;  // so that a state is many chunks
    params.notify = notify;
    params.quorum = quorum;
    params.mode_mask = mode_mask;
    DatabaseOptions options;
    options.segment_bytes = std::size_t{4} << 20;
    return Database::open("views", schema, options, std::move(params));
  }
  void open_all() {
    std::vector<std::future<std::unique_ptr<Database>>> opening;
    for (std::uint32_t node = 0; node < db.size(); ++node)
      opening.push_back(
          std::async(std::launch::async, [this, node] { return open(network.endpoint(node)); }));
    for (std::uint32_t node = 0; node < db.size(); ++node) db[node] = opening[node].get();
  }
  void kill(std::uint32_t node) {
    network.crash(node);
    db[node].reset();
  }
  CommitResult store(Database& on, int id, int price, std::size_t samples = 0) {
    const auto con = on.connect();
    con->start();
    auto object = con->create(item);
    object.set("id", id);
    object.set("price", price);
    object.set("name", std::string("x"));
    const std::vector<double> values(samples, 1.5);
    object.set_raw(item.record.at("samples"), FieldType::float64, std::as_bytes(std::span(values)));
    auto result = con->commit();
    if (!result.committed()) last_refusal = result.text;
    return result;
  }
  /// The id of a ticket that is committed, after so many that are not.
  std::uint64_t ticket(Database& on, int before = 0) {
    const auto con = on.connect();
    const auto& type = *schema->find_class("Ticket");
    for (; before > 0; before -= 1000) {
      con->start();
      for (int i = 0; i < 1000; ++i) (void)con->create(type);
      con->rollback();
    }
    con->start();
    const auto id = con->create(type).get("autoid").as_uint();
    const auto result = con->commit();
    EXPECT_TRUE(result.committed()) << result.text;
    return id;
  }
  int price(Database& on, int id) {
    const auto con = on.connect();
    con->start();
    const auto found = con->find(by_id, std::vector<Value>{id});
    const int price = found ? static_cast<int>(found->get("price").as_int()) : -1;
    con->rollback();
    return price;
  }
  static bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  const ClassDef& item = *schema->find_class("Item");
  const IndexDef& by_id = *schema->find_index(item.id, "by_id");
  Told told;  // before the databases, which tell it of their ends
  LocalNetwork network;
  std::vector<std::unique_ptr<Database>> db;
  std::string last_refusal;
  std::function<void(Notification, const NodeInfo&)> notify;
  std::function<bool(const std::vector<std::uint32_t>&)> quorum;
  unsigned mode_mask = 0;
  std::uint32_t probes = 250;  // also on a busy processor
};

}  // namespace exdb
