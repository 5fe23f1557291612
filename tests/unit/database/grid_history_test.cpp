// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The random workload on three nodes at once. Each transaction notes what it read and wrote; since
// csns are the serial order, the history is checked afterwards by running it again in that order:
// a serializable transaction must read there what it read when it ran, one under snapshot isolation
// what was committed at its snapshot, and nobody loses an update.
#include <future>
#include <map>
#include <random>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"

namespace exdb {
namespace {

using State = std::map<int, std::pair<int, std::string>>;  // id -> price, name

struct Query {
  enum class Kind { id, prices, name, all } kind = Kind::id;
  int low = 0, high = 0;
  std::string name;
  State answer;

  [[nodiscard]] State ask(const State& state) const {
    State found;
    for (const auto& row : state) {
      const auto& [price, of_name] = row.second;
      if (kind == Kind::all || (kind == Kind::id && row.first == low) ||
          (kind == Kind::prices && price >= low && price <= high) ||
          (kind == Kind::name && of_name == name))
        found.insert(row);
    }
    return found;
  }
};

struct Committed {
  std::uint64_t csn = 0, snapshot = 0;
  bool serializable = false;
  std::vector<Query> queries;  // before its first write
  std::map<int, std::optional<State::mapped_type>> wrote;
  std::map<int, bool> was_there;  // of the ids written: at the snapshot
};

class GridHistoryTest : public ::testing::TestWithParam<std::tuple<unsigned, bool>> {
 protected:
  static constexpr std::uint32_t nodes = 3;
  static constexpr int ids = 40, prices = 40;
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  LocalNetwork network{{nodes, std::get<1>(GetParam())}};
  std::vector<std::unique_ptr<Database>> db;
  const ClassDef& item = *schema->find_class("Item");
  const IndexDef& by_id = *schema->find_index(item.id, "by_id");
  const IndexDef& by_price = *schema->find_index(item.id, "by_price");
  const IndexDef& of_name = *schema->find_index(item.id, "of_name");

  void SetUp() override {
    std::vector<std::future<std::unique_ptr<Database>>> opening;
    for (std::uint32_t node = 0; node < nodes; ++node) {
      opening.push_back(std::async(std::launch::async, [this, node] {
        ClusterParams params;
        params.transport = network.endpoint(node);
        params.timeout = std::chrono::seconds(20);
        DatabaseOptions options;
        options.segment_bytes = std::size_t{4} << 20;
        return Database::open("grid", schema, options, std::move(params));
      }));
    }
    for (auto& each : opening) db.push_back(each.get());
  }

  static void note(State& into, const Object& row) {
    into[static_cast<int>(row.get("id").as_int())] = {static_cast<int>(row.get("price").as_int()),
                                                      std::string(row.get("name").as_text())};
  }
  Query query(Connection& con, std::mt19937& random) {
    Query made;
    switch (random() % 8) {
      case 0:
        made.kind = Query::Kind::all;
        for (auto cursor = con.cursor(item); const auto row = cursor.next();)
          note(made.answer, *row);
        return made;
      case 1:
        made.kind = Query::Kind::name;
        made.name = std::string(1, static_cast<char>('a' + random() % 3));
        for (auto cursor = con.cursor(item, &of_name);
             const auto row = made.answer.empty() ? cursor.find(std::vector<Value>{made.name})
                                                  : cursor.next();)
          note(made.answer, *row);
        return made;
      case 2:
      case 3: {  // from a price on, some steps up or down, and no further
        const bool up = random() % 2;
        const int from = static_cast<int>(random() % prices);
        made.kind = Query::Kind::prices;
        made.low = up ? from : -1;
        made.high = up ? prices : from;
        auto cursor = con.cursor(item, &by_price);
        if (!cursor.search(up ? Operation::greater_or_equals : Operation::less_or_equals,
                           std::vector<Value>{from}))
          return made;
        int last = 0;
        State reached;
        for (int steps = 2;; --steps) {
          const auto row = cursor.next();
          if (!row) break;
          last = static_cast<int>(row->get("price").as_int());
          note(reached, *row);
          if (steps > 0) continue;
          (up ? made.high : made.low) = up ? last - 1 : last + 1;  // equal prices may go on
          break;
        }
        for (const auto& row : reached)
          if (row.second.first >= made.low && row.second.first <= made.high)
            made.answer.insert(row);
        return made;
      }
      default:
        made.low = static_cast<int>(random() % ids);
        if (const auto row = con.find(by_id, std::vector<Value>{made.low})) note(made.answer, *row);
        return made;
    }
  }
  void write(Connection& con, std::mt19937& random, Committed& done) {
    const int id = static_cast<int>(random() % ids);
    auto row = con.find(by_id, std::vector<Value>{id});
    done.was_there.emplace(id, row.has_value());
    if (row && random() % 4 == 0) {
      row->remove();
      // A row that the transaction made itself leaves nothing: somebody else's of that key stays.
      if (done.was_there.at(id))
        done.wrote[id] = std::nullopt;
      else
        done.wrote.erase(id);
      return;
    }
    const State::mapped_type wanted{static_cast<int>(random() % prices),
                                    std::string(1, static_cast<char>('a' + random() % 3))};
    if (!row) {
      row = con.create(item);
      row->set("id", id);
    }
    row->set("price", wanted.first);
    row->set("name", wanted.second);
    done.wrote[id] = wanted;
  }
  std::vector<Committed> work(std::uint32_t node, unsigned seed) {
    std::mt19937 random(seed);
    auto con = db[node]->connect();
    std::vector<Committed> all;
    for (int run = 0; run < 150; ++run) {
      Committed done;
      TransactionOptions options;
      done.serializable = random() % 3 != 0;
      options.isolation = done.serializable ? Isolation::serializable : Isolation::repeatable_read;
      con->start(options);
      done.snapshot = con->snapshot().value;
      for (auto queries = random() % 3 + 1; queries > 0; --queries)
        done.queries.push_back(query(*con, random));
      for (auto writes = random() % 3 + 1; writes > 0; --writes) write(*con, random, done);
      const auto result = con->commit();
      EXPECT_TRUE(result || result.code == ErrorCode::conflict) << result.text;
      if (!result || result.id.sequence == 0) continue;
      done.csn = result.csn.value;
      all.push_back(std::move(done));
    }
    return all;
  }
};

TEST_P(GridHistoryTest, replicas_agree_and_serializable_transactions_ran_as_though_one_by_one) {
  std::vector<std::future<std::vector<Committed>>> running;
  for (unsigned worker = 0; worker < 2 * nodes; ++worker) {
    running.push_back(std::async(std::launch::async, [this, worker] {
      return work(worker % nodes, std::get<0>(GetParam()) * 100 + worker);
    }));
  }
  std::map<std::uint64_t, Committed> by_csn;
  for (auto& each : running)
    for (auto& done : each.get())
      ASSERT_TRUE(by_csn.emplace(done.csn, std::move(done)).second) << "a csn was given twice";
  std::vector<std::future<void>> closing;
  for (auto& each : db)
    closing.push_back(std::async(std::launch::async, [&each] { each->close(); }));
  for (auto& each : closing) each.get();
  for (auto& each : db) {
    EXPECT_EQ(each->digest(), db[0]->digest());
    EXPECT_EQ(each->published().value, by_csn.size());
  }
  std::vector<State> history{{}};
  int serializable = 0;
  for (const auto& [csn, done] : by_csn) {
    ASSERT_EQ(csn, history.size()) << "csns are dense";
    for (const auto& asked : done.queries) {
      ASSERT_EQ(asked.answer, asked.ask(history.at(done.snapshot))) << "csn " << csn;
      if (done.serializable) {
        ASSERT_EQ(asked.answer, asked.ask(history.back())) << "csn " << csn;
      }
    }
    serializable += done.serializable;
    auto next = history.back();
    for (const auto& [id, row] : done.wrote) {
      for (auto between = done.snapshot; between + 1 < csn; ++between) {
        if (!history[done.snapshot].contains(id)) break;  // a new row: a key may be freed meanwhile
        const auto& other = by_csn.at(between + 1).wrote;
        ASSERT_FALSE(other.contains(id)) << "csn " << csn << " lost the update of " << between + 1;
      }
      next.erase(id);
      if (row) next[id] = *row;
    }
    history.push_back(std::move(next));
  }
  EXPECT_GT(serializable, 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, GridHistoryTest,
                         ::testing::Combine(::testing::Range(1u, 5u), ::testing::Bool()));

}  // namespace
}  // namespace exdb
