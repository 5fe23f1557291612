// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A database on a disk that tests can break: recovery, replica, route and log as open() puts them
// together.
#pragma once
#include "database/transaction.hpp"
#include "database_fixture.hpp"
#include "lent_folder.hpp"

namespace exdb {

/// One life of a database. Its end closes it.
class DurableLife {
 public:
  using Core = std::shared_ptr<DatabaseCore>;

  static std::shared_ptr<const Dictionary> schema() {
    static const auto parsed = Dictionary::parse(test_schema).value();
    return parsed;
  }
  /// Files fill after a few commits; checkpoints come when they are asked for.
  static Durable::Options small_files(bool fsync = true) { return {"test", {2000, fsync}, 0}; }

  static Result<std::unique_ptr<DurableLife>> open(Folder& folder,
                                                   Durable::Options options = small_files()) {
    auto core = std::make_shared<DatabaseCore>();
    core->name = "test";
    core->dictionary = schema();
    core->storage.segment.unit_bytes = std::size_t{1} << 18;
    core->storage.readers_max = 64;
    core->connections = 100;  // of which Transactions give back one each
    constexpr std::uint64_t random = 77;
    auto durable = Durable::open(std::make_unique<LentFolder>(folder), core->dictionary,
                                 core->storage, std::move(options), random);
    if (!durable) return durable.status();
    core->replica = (*durable)->take_replica();
    core->route = (*durable)->make_route(*core->replica, core->commit_lock, core->next_autoid);
    core->durable = std::move(*durable);
    return std::unique_ptr<DurableLife>(new DurableLife(std::move(core)));
  }

  [[nodiscard]] const Core& core() const { return core_; }
  [[nodiscard]] Durable& durable() const { return *core_->durable; }
  [[nodiscard]] Replica& replica() const { return *core_->replica; }

  /// A transaction that creates item `id` and counts one up in the item `counter`, 0 when it is not
  /// there: so that the two can be compared, and two of one counter are in conflict.
  void change(Transaction& transaction, int id, int counter) const {
    transaction.begin({});
    put(transaction, RowHandle::of(transaction.insert(item_), 0), id, id);
    const Value key[] = {std::int64_t{counter}};
    if (const auto found = transaction.find(by_id_, key)) {
      const auto row = RowHandle::of(*found, 0);
      const auto count = int(transaction.row(item_, row)->value("price").as_int());
      put(transaction, row, counter, count + 1);
    } else {
      put(transaction, RowHandle::of(transaction.insert(item_), 0), counter, 1);
    }
  }
  [[nodiscard]] CommitResult commit(int id, int counter) const {
    Transaction transaction(core_);
    change(transaction, id, counter);
    return transaction.commit();
  }
  /// price by id.
  [[nodiscard]] std::map<int, int> items(int upto) const {
    std::map<int, int> found;
    Transaction transaction(core_);
    transaction.begin({});
    for (int id = -10; id <= upto; ++id) {
      const Value key[] = {std::int64_t{id}};
      if (const auto row = transaction.find(by_id_, key))
        found[id] = int(transaction.row(item_, RowHandle::of(*row, 0))->value("price").as_int());
    }
    transaction.rollback();
    return found;
  }
  [[nodiscard]] TransactionOutcome outcome(TxnId id) const {
    const auto code = core_->route->outcome(id);
    if (!code)
      return durable().never_came(id) ? TransactionOutcome::aborted : TransactionOutcome::unknown;
    return *code == ErrorCode::ok ? TransactionOutcome::committed : TransactionOutcome::aborted;
  }

 private:
  explicit DurableLife(Core core) : core_(std::move(core)) {}
  void put(Transaction& transaction, RowHandle row, int id, int price) const {
    transaction.write(item_, row, 2 * sizeof id, [&](RowBuilder& to) {
      to.set("id", id);
      to.set("price", price);
    });
  }

  Core core_;
  const ClassDef& item_ = *schema()->find_class("Item");
  const IndexDef& by_id_ = *schema()->find_index(item_.id, "by_id");
};

}  // namespace exdb
