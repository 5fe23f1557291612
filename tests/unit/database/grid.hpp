// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases of one cluster in one process, over the in-process network.
#pragma once
#include <functional>
#include <future>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"

namespace exdb {

struct Grid {
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  LocalNetwork network;
  std::vector<std::unique_ptr<Database>> db;

  explicit Grid(std::uint32_t nodes, bool collective = false,
                const std::function<void(ClusterParams&, std::uint32_t)>& adjust = {},
                std::shared_ptr<const Dictionary> with = nullptr)
      : network({nodes, collective}) {
    if (with) schema = std::move(with);
    std::vector<std::future<std::unique_ptr<Database>>> opening;
    for (std::uint32_t node = 0; node < nodes; ++node) {
      opening.push_back(std::async(std::launch::async, [&, node] {
        ClusterParams params;
        params.transport = network.endpoint(node);
        params.timeout = std::chrono::seconds(20);
        if (adjust) adjust(params, node);
        DatabaseOptions options;
        options.segment_bytes = std::size_t{4} << 20;
        return Database::open("grid", schema, options, std::move(params));
      }));
    }
    for (auto& each : opening) db.push_back(each.get());
  }
  /// Runs `body(node, database)` for all nodes at once.
  void everywhere(const std::function<void(std::uint32_t, Database&)>& body) {
    std::vector<std::future<void>> running;
    for (std::uint32_t node = 0; node < db.size(); ++node) {
      running.push_back(std::async(std::launch::async, [&, node] { body(node, *db[node]); }));
    }
    for (auto& each : running) each.get();
  }
  void close() {
    everywhere([](std::uint32_t, Database& each) { each.close(); });
  }
  const ClassDef& item() { return *schema->find_class("Item"); }
  const IndexDef& by_id() { return *schema->find_index(item().id, "by_id"); }
  std::optional<Object> find(Connection& con, int id) {
    return con.find(by_id(), std::vector<Value>{id});
  }
};

}  // namespace exdb
