// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A transaction over a replica of its own and a route that tests can bend: what is sent ahead is
// counted and taken or refused, and the limit of a record is as small as one likes.
#pragma once
#include "database/alone_route.hpp"
#include "database/transaction.hpp"
#include "database_fixture.hpp"

namespace exdb {

/// With classes set apart, as in a cluster; commits are applied at once.
class FakeRoute final : public ReplicaRoute {
 public:
  FakeRoute(Replica& replica, std::mutex& lock)
      : ReplicaRoute(replica, NodeId{}, true), alone_(replica, rounds(), lock), lock_(lock) {}

  Status fresh() override { return {}; }
  Status at_least(Csn csn) override { return alone_.at_least(csn); }
  [[nodiscard]] std::size_t record_bytes_max() const override { return record_bytes_max_; }
  ItemOutcome commit_local(Outgoing& out) override {
    while (!replica_.local()->take_turn(std::chrono::microseconds(100))) continue;
    return replica_.local()->commit(out.local, out.shared, lock_);
  }
  Result<std::shared_ptr<PendingItem>> submit(Outgoing& out) override {
    record_bytes_ = 0;
    for (const auto& op : out.shared.ops) record_bytes_ += op.bytes.size();
    return alone_.submit(out);
  }
  ItemOutcome wait(PendingItem& item) override { return alone_.wait(item); }
  [[nodiscard]] bool sends_ahead() const override { return sends_ahead_; }
  bool send_ahead(TxnId /*id*/, std::vector<std::byte> part, int /*priority*/) override {
    ++attempts_;
    if (has_room_) bytes_ahead_ += part.size();
    return has_room_;
  }
  void discard(TxnId /*id*/) override { ++discards_; }

  std::size_t record_bytes_max_ = std::size_t{1} << 30;
  bool sends_ahead_ = false, has_room_ = true;
  int attempts_ = 0, discards_ = 0;
  std::size_t bytes_ahead_ = 0, record_bytes_ = 0;

 private:
  static std::unique_ptr<RoundHistory> rounds() { return std::make_unique<MemoryRoundHistory>(); }
  AloneRoute alone_;
  std::mutex& lock_;
};

/// A database core over a FakeRoute.
class FakeRouteTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  std::shared_ptr<DatabaseCore> core = make_core();
  FakeRoute& route = static_cast<FakeRoute&>(*core->route);
  const ClassDef& item = *schema->find_class("Item");
  const ClassDef& scratch = *schema->find_class("Scratch");

  std::shared_ptr<DatabaseCore> make_core() const {
    auto made = std::make_shared<DatabaseCore>();
    made->name = "fake";
    made->dictionary = schema;
    made->replica = Replica::create(schema, {}, true, NodeId{}).value();
    made->route = std::make_unique<FakeRoute>(*made->replica, made->commit_lock);
    made->connections = 1;
    return made;
  }
  static RowHandle handle(RowId row) { return RowHandle::of(row, 0); }
  static RowId put(Transaction& transaction, const ClassDef& type, int id) {
    const auto row = transaction.insert(type);
    transaction.write(type, handle(row), sizeof id, [&](RowBuilder& to) { to.set("id", id); });
    return row;
  }
  /// Samples of so many bytes, in no index.
  void give(Transaction& transaction, RowId row, std::size_t bytes) const {
    const std::vector<double> samples(bytes / sizeof(double), 1.5);
    transaction.write(item, handle(row), bytes, [&](RowBuilder& to) {
      to.set_raw("samples", FieldType::float64, std::as_bytes(std::span(samples)));
    });
  }
  std::size_t given(Transaction& transaction, RowId row) const {
    return transaction.row(item, handle(row))->raw("samples").bytes().size();
  }
};

}  // namespace exdb
