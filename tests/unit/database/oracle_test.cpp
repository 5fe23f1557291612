// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Random transactions of every isolation on several connections, with every way to read, against an
// oracle that keeps all committed states: each read is checked, and each commit ends as the rules
// say, exactly: V1, V2 and, for what serializable ones read, V3.
#include <map>
#include <random>
#include <set>

#include "database_fixture.hpp"

namespace exdb {
namespace {

struct Row {
  int price = 0;
  std::string name;
  bool operator==(const Row&) const = default;
};
using State = std::map<int, Row>;  // by id

/// What a serializable transaction has looked through. A price range includes both ends.
struct Reads {
  std::set<int> ids;  // looked for by id, or shown
  std::set<std::string> names;
  std::vector<std::pair<int, int>> prices;
  bool whole = false;

  [[nodiscard]] bool changed(const State& before, const State& after) const {
    if (whole && before != after) return true;
    for (const auto* one : {&before, &after}) {
      const auto& other = one == &before ? after : before;
      for (const auto& [id, row] : *one) {
        const auto there = other.find(id);
        if (there != other.end() && there->second == row) continue;
        if (ids.contains(id)) return true;
        const bool moved = there == other.end();
        if ((moved || there->second.name != row.name) && names.contains(row.name)) return true;
        if (!moved && there->second.price == row.price) continue;
        for (const auto& [low, high] : prices)
          if (row.price >= low && row.price <= high) return true;
      }
    }
    return false;
  }
};

struct Worker {
  std::unique_ptr<Connection> con;
  bool open = false;
  Isolation isolation = Isolation::repeatable_read;
  std::uint64_t began = 0;
  State snapshot;                     // of the statement under way
  std::map<int, std::uint64_t> base;  // id of a written row -> csn at which it was read; 0 = new
  std::map<int, std::optional<Row>> wrote;
  Reads reads;
  [[nodiscard]] State view() const {
    auto seen = snapshot;
    for (const auto& [id, row] : wrote) {
      seen.erase(id);
      if (row) seen[id] = *row;
    }
    return seen;
  }
};

class OracleTest : public DatabaseTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  static constexpr int ids = 30, prices = 25, low_end = -1, high_end = prices;
  std::mt19937 random{GetParam()};
  std::vector<State> history{{}};  // by csn
  std::vector<Worker> workers{6};
  std::map<ErrorCode, int> ended;

  int below(int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); }
  std::string any_name() { return std::string(1, static_cast<char>('a' + below(3))); }

  void begin(Worker& worker) {
    constexpr Isolation all[] = {Isolation::repeatable_read, Isolation::serializable,
                                 Isolation::serializable, Isolation::read_committed};
    auto con = std::move(worker.con);
    worker = {};
    worker.con = std::move(con);
    worker.isolation = all[below(4)];
    worker.con->start(with(worker.isolation));
    worker.began = history.size() - 1;
    worker.snapshot = history.back();
    worker.open = true;
  }
  /// read_committed: a row that the transaction wrote keeps what it wrote; all else is the newest.
  void statement(Worker& worker) {
    if (worker.isolation == Isolation::read_committed) worker.snapshot = history.back();
  }
  std::uint64_t snapshot_csn(const Worker& worker) const {
    return worker.isolation == Isolation::read_committed ? history.size() - 1 : worker.began;
  }
  static Row row_of(const Object& object) {
    return {static_cast<int>(object.get("price").as_int()),
            std::string(object.get("name").as_text())};
  }

  void read_by_id(Worker& worker) {
    const int id = below(ids);
    statement(worker);
    const auto row = get(*worker.con, id);
    const auto view = worker.view();
    worker.reads.ids.insert(id);
    ASSERT_EQ(row.has_value(), view.contains(id));
    if (row) {
      ASSERT_EQ(row_of(*row), view.at(id));
    }
  }
  /// Walks some steps from a search, perhaps turning round, and stops anywhere.
  void read_range(Worker& worker) {
    statement(worker);
    std::vector<std::pair<int, int>> order;  // (price, id)
    for (const auto& [id, row] : worker.view()) order.emplace_back(row.price, id);
    std::sort(order.begin(), order.end());
    constexpr Operation all[] = {Operation::less_than, Operation::less_or_equals, Operation::equals,
                                 Operation::greater_or_equals, Operation::greater_than};
    const auto operation = all[below(5)];
    const int bound = below(prices);
    const bool down = operation <= Operation::less_or_equals;
    std::erase_if(order, [&](const auto& row) {
      switch (operation) {
        case Operation::less_than:
          return row.first >= bound;
        case Operation::less_or_equals:
          return row.first > bound;
        case Operation::equals:
          return row.first != bound;
        case Operation::greater_or_equals:
          return row.first < bound;
        default:
          return row.first <= bound;
      }
    });
    const int size = static_cast<int>(order.size());
    const int low = operation == Operation::equals || operation == Operation::greater_or_equals
                        ? bound
                    : operation == Operation::greater_than ? bound + 1
                                                           : low_end;
    const int high = operation == Operation::equals || operation == Operation::less_or_equals
                         ? bound
                     : operation == Operation::less_than ? bound - 1
                                                         : high_end;
    auto cursor = worker.con->cursor(item, &by_price);
    ASSERT_EQ(cursor.search(operation, key(bound)), !order.empty());
    // Places: -1 before, size after. The search has looked at the first match already.
    int place = down ? size : -1, lowest = place, highest = place;
    const auto looked_at = [&](int at) {
      lowest = std::min(lowest, at);
      highest = std::max(highest, at);
      if (at >= 0 && at < size) worker.reads.ids.insert(order[static_cast<std::size_t>(at)].second);
    };
    looked_at(down ? size - 1 : 0);
    for (int steps = below(6); steps > 0; --steps) {
      const bool forward = below(4) != 0;
      const bool up = forward != down;
      const auto row = forward ? cursor.next() : cursor.prev();
      place = std::clamp(place + (up ? 1 : -1), -1, size);
      looked_at(place);
      ASSERT_EQ(row.has_value(), place >= 0 && place < size);
      if (!row) continue;
      ASSERT_EQ(row->get("price").as_int(), order[static_cast<std::size_t>(place)].first);
    }
    const int from =
        lowest < 0 ? low : order[static_cast<std::size_t>(std::min(lowest, size - 1))].first;
    const int to =
        highest >= size ? high : order[static_cast<std::size_t>(std::max(highest, 0))].first;
    worker.reads.prices.emplace_back(size == 0 ? low : from, size == 0 ? high : to);
  }
  /// From one price to another, some rows of it, or their number.
  void read_between(Worker& worker) {
    statement(worker);
    const int low = below(prices), high = low + below(6) - 1;
    std::vector<int> expected;
    for (const auto& [id, row] : worker.view())
      if (row.price >= low && row.price <= high) expected.push_back(row.price);
    std::sort(expected.begin(), expected.end());
    if (below(3) == 0) {
      ASSERT_EQ(worker.con->count(by_price, key(low), key(high)), expected.size());
      worker.reads.prices.emplace_back(low, high);
      return;
    }
    const auto limit = static_cast<std::size_t>(below(6));
    auto cursor = worker.con->range(by_price, key(low), key(high), limit);
    int read_to = low - 1;
    for (std::size_t given = 0;; ++given) {
      const auto row = cursor.next();
      ASSERT_EQ(row.has_value(), given < std::min(limit, expected.size()));
      if (!row) {
        if (given < limit) read_to = high;
        break;
      }
      ASSERT_EQ(row->get("price").as_int(), expected[given]);
      worker.reads.ids.insert(static_cast<int>(row->get("id").as_int()));
      read_to = expected[given];
    }
    worker.reads.prices.emplace_back(low, read_to);
  }
  void read_by_name(Worker& worker) {
    statement(worker);
    const auto name = any_name();
    std::set<int> expected, found;
    for (const auto& [id, row] : worker.view())
      if (row.name == name) expected.insert(id);
    auto cursor = worker.con->cursor(item, &of_name);
    ASSERT_EQ(cursor.search(Operation::equals, key(name)), !expected.empty());
    while (const auto row = cursor.next()) found.insert(static_cast<int>(row->get("id").as_int()));
    ASSERT_EQ(found, expected);
    worker.reads.names.insert(name);
    worker.reads.ids.insert(expected.begin(), expected.end());
  }
  void scan(Worker& worker) {
    statement(worker);
    State found;
    const bool up = below(2);
    auto cursor = worker.con->cursor(item);
    for (auto row = up ? cursor.first() : cursor.last(); row;
         row = up ? cursor.next() : cursor.prev())
      ASSERT_TRUE(found.emplace(row->get("id").as_int(), row_of(*row)).second);
    ASSERT_EQ(found, worker.view());
    worker.reads.whole = true;
  }
  void write(Worker& worker) {
    const int id = below(ids);
    statement(worker);
    worker.reads.ids.insert(id);
    const auto row = get(*worker.con, id);
    const auto view = worker.view();
    ASSERT_EQ(row.has_value(), view.contains(id));
    const Row wanted{below(prices), any_name()};
    // The base is of the first write; a row of the snapshot that was removed stays written.
    if (!worker.base.contains(id))
      worker.base[id] = worker.snapshot.contains(id) ? snapshot_csn(worker) : 0;
    if (row && below(3) == 0) {
      Object(*row).remove();
      worker.wrote[id] = std::nullopt;
    } else {
      auto object = row ? *row : put(*worker.con, id, 0);
      object.set("price", wanted.price);
      object.set("name", wanted.name);
      worker.wrote[id] = wanted;
    }
  }
  static bool differ(const State& a, const State& b, int id) {
    const auto in_a = a.find(id), in_b = b.find(id);
    if (in_a == a.end() || in_b == b.end()) return (in_a == a.end()) != (in_b == b.end());
    return !(in_a->second == in_b->second);
  }

  std::vector<std::set<int>> written{{}};  // ids by csn, changed or not
  bool written_since(std::uint64_t csn, int id) {
    for (auto at = csn + 1; at < written.size(); ++at)
      if (written[at].contains(id)) return true;
    return false;
  }

  void commit(Worker& worker) {
    worker.open = false;
    std::map<int, std::optional<Row>> net;
    for (const auto& [id, row] : worker.wrote)
      if (row || worker.base.at(id) != 0) net[id] = row;
    bool refused = false, duplicate = false;
    for (const auto& [id, row] : net) {
      const auto base = worker.base.at(id);
      if (base != 0 && written_since(base, id)) refused = true;
      if (base == 0 && history.back().contains(id)) refused = true;
      // Under read_committed the newest snapshot of the transaction may show the key already.
      if (base == 0 && worker.snapshot.contains(id)) duplicate = true;
    }
    if (worker.isolation == Isolation::serializable && !net.empty()) {
      for (auto csn = worker.began + 1; csn < history.size() && !refused; ++csn) {
        refused = worker.reads.changed(history[csn - 1], history[csn]);
        for (const int id : worker.reads.ids) refused |= written[csn].contains(id);
        refused |= worker.reads.whole;
      }
    }
    const auto result = worker.con->commit();
    ++ended[result.code];
    if (duplicate && result.code == ErrorCode::duplicate) return;
    ASSERT_EQ(result.code, refused ? ErrorCode::conflict : ErrorCode::ok) << result.text;
    if (refused || net.empty()) return;
    auto next = history.back();
    written.emplace_back();
    for (const auto& [id, row] : net) {
      next.erase(id);
      if (row) next[id] = *row;
      written.back().insert(id);
    }
    history.push_back(std::move(next));
    ASSERT_EQ(result.csn.value, history.size() - 1);
  }

  /// Under read_committed a later statement may show that the transaction cannot commit; what it
  /// reads beside the rows that it wrote in vain is not defined then.
  bool in_vain(const Worker& worker) {
    for (const auto& [id, row] : worker.wrote) {
      const auto base = worker.base.at(id);
      if (base != 0 ? written_since(base, id) : history.back().contains(id)) return true;
    }
    return false;
  }

  void step(Worker& worker) {
    if (!worker.open) return begin(worker);
    if (worker.isolation == Isolation::read_committed && in_vain(worker)) return commit(worker);
    const int action = below(20);
    if (action < 6) return write(worker);
    if (action < 9) return read_by_id(worker);
    if (action < 11) return read_range(worker);
    if (action < 13) return read_between(worker);
    if (action < 15) return read_by_name(worker);
    if (action == 15) return scan(worker);
    if (action < 19) return commit(worker);
    worker.con->rollback();
    worker.open = false;
  }
};

TEST_P(OracleTest, every_read_and_every_end_of_a_transaction_is_what_the_oracle_says) {
  for (auto& worker : workers) worker.con = db->connect();
  for (int at = 0; at < 12'000; ++at) {
    auto& worker = workers[random() % workers.size()];
    step(worker);
    if (HasFatalFailure()) {
      FAIL() << "at step " << at << ", isolation " << int(worker.isolation) << ", began at "
             << worker.began << ", newest " << history.size() - 1;
    }
  }
  EXPECT_GT(ended[ErrorCode::ok], 300);
  EXPECT_GT(ended[ErrorCode::conflict], 200);
}

INSTANTIATE_TEST_SUITE_P(Seeds, OracleTest, ::testing::Range(1u, 9u));

}  // namespace
}  // namespace exdb
