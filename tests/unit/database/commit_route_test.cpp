// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Commits without a cluster are rounds of one, and go the way that rounds go.
#include "cluster/commit_window.hpp"
#include "fake_route.hpp"

namespace exdb {
namespace {

/// Keeps what it is given, and fails when told to.
class WatchedHistory final : public RoundHistory {
 public:
  Status append(CompletedRound&& round) override {
    if (full) return {ErrorCode::no_memory, "the disk is full"};
    return inside.append(std::move(round));
  }
  Status sync() override {
    ++syncs;
    return inside.sync();
  }
  [[nodiscard]] Chain chain() const override { return inside.chain(); }
  [[nodiscard]] const CompletedRound& held(Round round) const override {
    return inside.held(round);
  }
  void release(Round upto) override { inside.release(upto); }
  Status read_from(Round from, const Reader& each) const override {
    return inside.read_from(from, each);
  }

  MemoryRoundHistory inside{std::size_t{1} << 20};
  int syncs = 0;
  bool full = false;
};

class AloneRouteTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  const ClassDef& item = *schema->find_class("Item");
  WatchedHistory* history = nullptr;
  std::shared_ptr<DatabaseCore> core = make_core();

  std::shared_ptr<DatabaseCore> make_core() {
    auto made = std::make_shared<DatabaseCore>();
    auto watched = std::make_unique<WatchedHistory>();
    history = watched.get();
    made->dictionary = schema;
    made->replica = Replica::create(schema, {}, false, NodeId{}).value();
    made->route =
        std::make_unique<AloneRoute>(*made->replica, std::move(watched), made->commit_lock);
    made->connections = 1;
    return made;
  }
  CommitResult put(Transaction& transaction, int id) {
    transaction.begin({});
    const auto row = RowHandle::of(transaction.insert(item), 0);
    transaction.write(item, row, sizeof id, [&](RowBuilder& to) { to.set("id", id); });
    return transaction.commit();
  }
};

TEST_F(AloneRouteTest, a_commit_is_a_round_that_another_replica_can_apply) {
  Transaction transaction(core);
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(put(transaction, id).csn.value, std::uint64_t(id));
  EXPECT_EQ(put(transaction, 3).code, ErrorCode::duplicate) << "it never leaves";
  EXPECT_EQ(history->chain().round, Round{3});
  EXPECT_EQ(history->syncs, 3);
  const auto other = Replica::create(schema, {}, false, NodeId{}).value();
  const auto status = history->read_from(Round{1}, [&](const CompletedRound& round) {
    std::vector<RoundItem> items;
    EXPECT_EQ(round.batches.size(), 1U);
    auto read = decode_items(round.batches[0].member, round.batches[0].payload, items);
    if (!read.ok()) return read;
    EXPECT_EQ(items.size(), 1U);
    EXPECT_EQ(round.batches[0].header.digest, other->digest()) << "of the state before";
    std::vector<ItemOutcome> outcomes;
    return other->apply_round(round.round, items, Csn{}, {true}, outcomes);
  });
  EXPECT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(other->digest(), core->replica->digest());
  EXPECT_EQ(other->published(), Csn{3});
}

TEST_F(AloneRouteTest, a_commit_that_the_history_does_not_take_is_not_shown_nor_is_any_after_it) {
  Transaction transaction(core);
  ASSERT_TRUE(put(transaction, 1));
  history->full = true;
  const auto refused = put(transaction, 2);
  EXPECT_EQ(refused.code, ErrorCode::no_memory);
  EXPECT_NE(refused.text.find("the disk is full"), std::string::npos) << refused.text;
  history->full = false;
  EXPECT_EQ(put(transaction, 3).code, ErrorCode::no_memory);
  EXPECT_EQ(core->replica->published(), Csn{1});
}

TEST_F(AloneRouteTest, a_commit_has_a_name_of_its_own) {
  Transaction transaction(core);
  const auto one = put(transaction, 1), two = put(transaction, 2);
  EXPECT_NE(one.id.sequence, 0U);
  EXPECT_NE(one.id, two.id);
}

}  // namespace
}  // namespace exdb
