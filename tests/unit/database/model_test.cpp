// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Interleaved random transactions on several connections against a model that keeps every committed
// state: what each transaction reads is its snapshot with its own writes, and which of them commit
// is what first-committer-wins says.
#include <map>
#include <random>
#include <set>

#include "database_fixture.hpp"

namespace exdb {
namespace {

using State = std::map<int, int>;  // id -> price

struct Worker {
  std::unique_ptr<Connection> con;
  bool open = false;
  std::uint64_t began = 0;  // csn
  State view;
  std::set<int> wrote;
  std::set<int> read;  // ids looked for, found or not
  bool serializable = false;
};

class ModelTest : public DatabaseTest, public ::testing::WithParamInterface<unsigned> {};

TEST_P(ModelTest, interleaved_transactions_read_and_commit_as_the_model_says) {
  std::mt19937 random(GetParam());
  std::vector<State> history{{}};          // by csn
  std::vector<std::set<int>> changed{{}};  // ids changed by the commit with that csn
  std::vector<Worker> workers(6);
  for (auto& worker : workers) worker.con = db->connect();

  const auto changed_since = [&](const Worker& worker, const std::set<int>& ids) {
    for (std::size_t csn = worker.began + 1; csn < changed.size(); ++csn) {
      for (const int id : ids) {
        if (changed[csn].contains(id)) return true;
      }
    }
    return false;
  };

  int commits = 0, conflicts = 0;
  for (int step = 0; step < 6000; ++step) {
    auto& worker = workers[random() % workers.size()];
    if (!worker.open) {
      worker.serializable = random() % 2;
      worker.con->start(
          with(worker.serializable ? Isolation::serializable : Isolation::repeatable_read));
      worker.began = history.size() - 1;
      ASSERT_EQ(worker.con->snapshot().value, worker.began);
      worker.view = history.back();
      worker.wrote.clear();
      worker.read.clear();
      worker.open = true;
      continue;
    }
    const int id = static_cast<int>(random() % 25);
    const auto action = random() % 10;
    if (action < 7) {
      const auto row = get(*worker.con, id);
      worker.read.insert(id);
      const auto expected = worker.view.find(id);
      ASSERT_EQ(row.has_value(), expected != worker.view.end())
          << "step " << step << ", id " << id << ", snapshot " << worker.began << ", newest "
          << history.size() - 1;
      if (row) {
        ASSERT_EQ(row->get("price").as_int(), expected->second);
      }
      if (action < 3) continue;
      const int wanted = static_cast<int>(random() % 1000);
      if (!row) {
        put(*worker.con, id, wanted);
        worker.view[id] = wanted;
      } else if (action == 3) {
        Object(*row).remove();
        worker.view.erase(id);
      } else {
        Object(*row).set("price", wanted);
        worker.view[id] = wanted;
      }
      worker.wrote.insert(id);
      continue;
    }
    worker.open = false;
    if (action == 9) {
      worker.con->rollback();
      continue;
    }
    const auto result = worker.con->commit();
    // Rows that were made and removed again leave nothing to certify.
    std::set<int> net;
    for (const int wrote : worker.wrote) {
      if (worker.view.contains(wrote) || history[worker.began].contains(wrote)) net.insert(wrote);
    }
    if (net.empty()) {
      ASSERT_TRUE(result);
      continue;
    }
    // Writes of a row that the snapshot had conflict with any change of it; new rows only with a
    // row that is there now.
    bool must_abort = worker.serializable && changed_since(worker, worker.read);
    for (const int wrote : net) {
      const bool had = history[worker.began].contains(wrote);
      if (had ? changed_since(worker, {wrote}) : history.back().contains(wrote)) must_abort = true;
    }
    ASSERT_EQ(result.code, must_abort ? ErrorCode::conflict : ErrorCode::ok) << result.text;
    if (must_abort) {
      ++conflicts;
      continue;
    }
    ++commits;
    auto next = history.back();
    for (const int wrote : net) {
      const auto value = worker.view.find(wrote);
      if (value == worker.view.end()) {
        next.erase(wrote);
      } else {
        next[wrote] = value->second;
      }
    }
    history.push_back(std::move(next));
    changed.push_back(net);
    ASSERT_EQ(result.csn.value, history.size() - 1);
  }
  EXPECT_GT(commits, 100);
  EXPECT_GT(conflicts, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range(1u, 9u));

}  // namespace
}  // namespace exdb
