// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Checkpoints of all nodes, beside nodes that close and nodes that leave.
#include "database/checkpoints.hpp"

#include <filesystem>
#include <future>

#include "cluster/local_transport.hpp"
#include "database/open.hpp"
#include "database_fixture.hpp"
#include "gated_folder.hpp"

namespace exdb {
namespace {

/// Nodes on disk in one process.
class CheckpointsTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t nodes = 2;

  void SetUp() override {
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    open_all();
  }
  void TearDown() override {
    close_all();
    std::filesystem::remove_all(path);
  }
  void open_all() {
    everywhere([this](std::uint32_t node) {
      auto core = std::make_shared<DatabaseCore>();
      core->name = "grid";
      core->dictionary = Dictionary::parse(test_schema).value();
      core->storage.segment.unit_bytes = std::size_t{1} << 18;
      core->storage.readers_max = 64;
      core->options.disk.emplace();
      core->options.disk->path = path + "/grid";
      core->options.disk->fsync = false;
      ClusterParams params;
      params.transport = network->endpoint(node);
      params.timeout = std::chrono::seconds(20);
      params.nodes.resize(nodes);
      params.nodes[0].qrank = 3;  // has a quorum without the other
      open_cluster(*core, std::move(params), {});
      cores[node] = core;
      db[node] = open_on(core);
    });
  }
  void close_all() {
    everywhere([this](std::uint32_t node) {
      if (db[node]) db[node]->close();
      db[node].reset();
      cores[node].reset();
    });
  }
  static void everywhere(const std::function<void(std::uint32_t)>& body) {
    std::vector<std::future<void>> running;
    for (std::uint32_t node = 0; node < nodes; ++node)
      running.push_back(std::async(std::launch::async, [&, node] { body(node); }));
    for (auto& each : running) each.get();
  }
  /// Node 1 has written its copy, and can say so only when the gate is open.
  void hold_word_of_node_1() {
    auto& core = *cores[1];
    core.durable->on_written([&core, this](Round round, const Status& status) {
      gate.pass();
      try {
        commit_name(core, AgreedWords::written(core.self, round, status), false, true);
        said = true;
      } catch (const Error&) {
        refused = true;
      }
    });
    gate.set(false);
  }
  [[nodiscard]] std::size_t checkpoints_of(std::uint32_t node) const {
    std::size_t count = 0;
    for (const auto& file :
         std::filesystem::directory_iterator(path + "/grid/node-" + std::to_string(node)))
      count += file.path().filename().string().starts_with("checkpoint-") ? 1 : 0;
    return count;
  }
  bool node_0_sees_node_1_stopped() { return db[0]->cluster_info().nodes[1].stopped; }

  std::string path = (std::filesystem::temp_directory_path() / "exdb-checkpoints-XXXXXX").string();
  std::unique_ptr<LocalNetwork> network =
      std::make_unique<LocalNetwork>(LocalNetwork::Options{nodes, false});
  std::shared_ptr<DatabaseCore> cores[nodes];
  std::unique_ptr<Database> db[nodes];
  Gate gate;
  std::atomic<bool> said{false};
  std::atomic<bool> refused{false};
};

/// AgreedWords W2: what was said in a life before, and is in no checkpoint of it, is in the log, and counts
/// no more.
TEST_F(CheckpointsTest, words_of_a_life_before_are_not_heard_again) {
  commit_name(*cores[0], AgreedWords::checkpoint(), false);
  commit_name(*cores[0], AgreedWords::preempt(), false);
  EXPECT_NE(cores[0]->replica->words().preempt_said(), Csn{});
  close_all();
  network = std::make_unique<LocalNetwork>(LocalNetwork::Options{nodes, false});
  open_all();
  for (const auto& core : cores) {
    EXPECT_EQ(core->replica->words().preempt_said(), Csn{});
    EXPECT_EQ(core->replica->words().newest_checkpoint().round, Round{});
    EXPECT_TRUE(core->replica->words().written_checkpoints().empty());
  }
}

/// A1: who is in close() has not left, and still says what it has written.
TEST_F(CheckpointsTest, one_that_is_closing_is_waited_for_until_it_has_its_copy) {
  hold_word_of_node_1();
  std::thread closing([this] { db[1]->close(); });
  while (!node_0_sees_node_1_stopped()) std::this_thread::yield();
  const auto checkpoint = db[0]->begin_checkpoint();
  gate.wait_for_somebody();
  EXPECT_FALSE(happens_unasked([&] { return checkpoint->done(); }));
  gate.set(true);
  while (!checkpoint->done() && !refused) std::this_thread::yield();
  EXPECT_TRUE(said);
  EXPECT_EQ(checkpoints_of(0), 1U);
  EXPECT_EQ(checkpoints_of(1), 1U);
  db[0]->close();
  closing.join();
}

/// A1: it is not waited for, and named.
TEST_F(CheckpointsTest, one_that_leaves_meanwhile_is_named) {
  hold_word_of_node_1();
  ::testing::internal::CaptureStderr();
  const auto checkpoint = db[0]->begin_checkpoint();
  gate.wait_for_somebody();
  std::thread leaving([this] { db[1]->abandon(); });
  EXPECT_TRUE(checkpoint->wait());
  gate.set(true);
  leaving.join();
  // One that was gone before is not named.
  db[0]->checkpoint();
  const auto told = ::testing::internal::GetCapturedStderr();
  const std::string line =
      "exdb: warning: the checkpoint of database 'grid' is without the copy of node 1, which has "
      "left "
      "meanwhile\n";
  EXPECT_EQ(told.find(line), told.rfind(line)) << told;
  EXPECT_NE(told.find(line), std::string::npos) << told;
}

std::chrono::steady_clock::time_point an_hour_ago() noexcept {
  static std::atomic<int> readings{0};
  return std::chrono::steady_clock::now() - std::chrono::hours(readings++ == 0 ? 1 : 0);
}

/// A2: the hour that it is given has passed by the time that the node has stopped.
TEST_F(CheckpointsTest, closing_waits_for_a_checkpoint_no_longer_than_it_was_told_in_all) {
  hold_word_of_node_1();
  const auto checkpoint = db[0]->begin_checkpoint();
  gate.wait_for_somebody();
  std::thread other([this] { db[0]->close(); });
  cores[1]->open = false;
  EXPECT_TRUE(close_node(*cores[1], std::chrono::hours(1), an_hour_ago).ok());
  EXPECT_FALSE(said);
  gate.set(true);
  other.join();
  db[1].reset();
  EXPECT_FALSE(said);
  EXPECT_THROW((void)checkpoint->wait(), Error);
}

/// A2: within that time it does wait.
TEST_F(CheckpointsTest, closing_waits_for_the_checkpoint_that_it_is_at) {
  hold_word_of_node_1();
  const auto checkpoint = db[0]->begin_checkpoint();
  gate.wait_for_somebody();
  std::thread other([this] { db[0]->close(); });
  std::atomic<bool> closed{false};
  std::thread closing([&] {
    db[1]->close(std::chrono::hours(1));
    closed = true;
  });
  other.join();
  EXPECT_FALSE(happens_unasked([&] { return closed.load(); }));
  gate.set(true);
  closing.join();
  EXPECT_EQ(checkpoints_of(1), 1U);
  EXPECT_THROW((void)checkpoint->wait(), Error);
}

}  // namespace
}  // namespace exdb
