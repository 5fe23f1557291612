// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes that come and go, and a quorumCallback that lets one go on without a majority: who is asked,
// who waits for the answer, and what becomes of the history that another one comes before.
#include <future>

#include "view_node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

/// What the callbacks of the nodes say, and how often they were asked.
class Consent {
 public:
  using Callback = std::function<bool(const std::vector<std::uint32_t>&)>;
  explicit Consent(std::vector<Callback> of_nodes) : of_nodes_(std::move(of_nodes)) {}

  ViewNodeCluster::Change change() {
    return [this](std::uint32_t id, Node::Options& options) {
      options.membership->timing.backoff_max = patience;  // a no is not asked about again
      if (!of_nodes_[id]) return;
      options.quorum = [this, id](const std::vector<std::uint32_t>& neighbours) {
        ++asked;
        return of_nodes_[id](neighbours);
      };
    };
  }
  std::atomic<int> asked{0};

 private:
  std::vector<Callback> of_nodes_;
};

bool yes(const std::vector<std::uint32_t>& /*neighbours*/) { return true; }
bool no(const std::vector<std::uint32_t>& /*neighbours*/) { return false; }

/// Never set, and kept for ever, since a thread is left behind in it.
std::shared_future<void> never() {
  static auto* const promise = new std::promise<void>;
  static const std::shared_future<void> future = promise->get_future().share();
  return future;
}

/// No other node is heard by this one.
bool alone(ViewNodeCluster& cluster, std::uint32_t id) {
  return ViewNodeCluster::eventually([&] {
    std::size_t reached = 0;
    for (const auto& each : cluster.node(id).cluster_info().nodes) reached += each.reached;
    return reached == 1;
  });
}

bool together(ViewNodeCluster& cluster) {
  return ViewNodeCluster::eventually([&] {
    for (std::uint32_t id = 0; id < cluster.size(); ++id)
      if (cluster.node(id).cluster_info().active_nodes() != cluster.size()) return false;
    return true;
  });
}

bool equal(ViewNodeCluster& cluster) {
  return ViewNodeCluster::eventually([&] {
    for (std::uint32_t id = 1; id < cluster.size(); ++id)
      if (cluster.replica(id).list() != cluster.replica(0).list()) return false;
    return true;
  });
}

std::multiset<std::string> texts(ViewNodeCluster& cluster, std::uint32_t id) {
  std::multiset<std::string> texts;
  for (const auto& entry : cluster.replica(id).list()) texts.insert(entry.text);
  return texts;
}

TEST(NodeConsent, OfTwoEqualNodesTheOneThatConsentsGoesOnAndTheOtherFollows) {
  Consent consent({yes, no});
  ViewNodeCluster cluster({.nodes = 2}, consent.change());
  cluster.start_all();
  cluster.must_commit(1, "together");
  cluster.network().mute(1);
  ASSERT_TRUE(alone(cluster, 0));
  // It waits for the answer and is not refused meanwhile.
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(cluster.commit(0, "alone " + std::to_string(i)).code, ErrorCode::ok);
  EXPECT_TRUE(cluster.node(0).wait_fresh().ok());
  EXPECT_TRUE(cluster.node(0).state().writes);
  ASSERT_TRUE(alone(cluster, 1));
  const auto refused = cluster.commit(1, "by the other");
  EXPECT_EQ(refused.code, ErrorCode::cluster_no_quorum);
  EXPECT_FALSE(cluster.node(1).state().writes);
  EXPECT_EQ(cluster.commit(1, "by the other").text, refused.text);
  EXPECT_EQ(consent.asked, 2) << "each once, however many commits there are";

  cluster.network().unmute(1);
  cluster.must_commit(1, "after it was healed");
  EXPECT_TRUE(equal(cluster));
  const auto there = texts(cluster, 0);
  EXPECT_EQ(there.size(), 22U);
  EXPECT_EQ(there.count("alone 19"), 1U);
  EXPECT_EQ(cluster.replica(0).history(), 0U) << "its own history goes on";

  // The same nodes are reached as before, and others were in between: W12.
  cluster.network().mute(1);
  ASSERT_TRUE(alone(cluster, 0));
  cluster.must_commit(0, "alone again");
  ASSERT_TRUE(alone(cluster, 1));
  EXPECT_EQ(cluster.commit(1, "by the other").code, ErrorCode::cluster_no_quorum);
  EXPECT_EQ(consent.asked, 4);
}

/// Both go on, and one history survives. Of the other what was given out is dropped, what waits is
/// refused, and one line says so.
TEST(NodeConsent, OfTwoThatBothGoOnOneHistorySurvivesEverywhere) {
  Consent consent({yes, yes});
  CaptureStderr();
  ViewNodeCluster cluster({.nodes = 2}, consent.change());
  cluster.start_all();
  cluster.must_commit(0, "together");
  EXPECT_TRUE(equal(cluster));
  cluster.network().mute(1);
  for (std::uint32_t id = 0; id < 2; ++id) {
    ASSERT_TRUE(alone(cluster, id));
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(cluster.commit(id, "of " + std::to_string(id)).code, ErrorCode::ok);
  }
  cluster.network().unmute(1);
  ASSERT_TRUE(together(cluster));
  cluster.must_commit(0, "healed");
  cluster.must_commit(1, "healed");
  EXPECT_TRUE(equal(cluster));
  EXPECT_EQ(cluster.replica(0).digest(), cluster.replica(1).digest());
  const auto there = texts(cluster, 0);
  const std::uint32_t lost = there.count("of 0") == 0 ? 0 : 1, survives = 1 - lost;
  EXPECT_EQ(there.count("of " + std::to_string(survives)), 3U);
  EXPECT_EQ(there.count("of " + std::to_string(lost)), 0U);
  EXPECT_EQ(cluster.replica(lost).history(), 1U);
  EXPECT_EQ(cluster.replica(survives).history(), 0U);

  // What began before is refused where the history was given up, and only there.
  for (std::uint32_t id = 0; id < 2; ++id) {
    auto item = std::make_shared<PendingItem>();
    item->origin = NodeId{id};
    item->sequence = 1000 + id;
    const auto status = cluster.node(id).submit(item);
    EXPECT_EQ(status.ok(), id == survives) << status.text();
    if (id == survives)
      EXPECT_EQ(cluster.node(id).wait(*item).code, ErrorCode::ok);
    else
      EXPECT_EQ(status.code(), ErrorCode::conflict);
  }
  const auto said = GetCapturedStderr();
  EXPECT_NE(said.find("exdb[node " + std::to_string(lost)), std::string::npos) << said;
  EXPECT_NE(said.find("3 commits of this node"), std::string::npos) << said;
  const auto first = said.find("is given up for that of");
  EXPECT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("is given up for that of", first + 1), std::string::npos) << said;
}

TEST(NodeConsent, TheLastOfThreeGoesOnAndTheOthersComeBackToItsState) {
  Consent consent({no, no, yes});
  ViewNodeCluster cluster({.nodes = 3}, consent.change());
  cluster.start_all();
  cluster.must_commit(0, "together");
  cluster.kill(0);
  cluster.kill(1);
  ASSERT_TRUE(ViewNodeCluster::eventually(
      [&] { return cluster.commit(2, "alone").code == ErrorCode::ok; }));
  cluster.restart(0);
  cluster.restart(1);
  for (std::uint32_t id = 0; id < 3; ++id) {
    ASSERT_TRUE(cluster.node(id).wait_seated(patience));
    cluster.must_commit(id, "again");
  }
  EXPECT_TRUE(equal(cluster));
  EXPECT_EQ(texts(cluster, 0).count("alone"), 1U);
  EXPECT_EQ(texts(cluster, 0).count("together"), 1U);
}

/// The wait for an answer holds up nobody who ends the node, and a commit that waits is refused then.
TEST(NodeConsent, ACallbackThatNeverAnswersHoldsNobodyUp) {
  const std::vector<std::function<void(Node&)>> ends{
      [](Node& node) { EXPECT_TRUE(node.stop().ok()); }, [](Node& node) { node.leave(1s); },
      [](Node& node) { node.close(false); }};
  for (const auto& end : ends) {
    std::promise<void> asked;
    Consent consent({[&asked](const auto&) {
                       asked.set_value();
                       never().wait();
                       return true;
                     },
                     no});
    auto cluster =
        std::make_unique<ViewNodeCluster>(LocalNetwork::Options{.nodes = 2}, consent.change());
    cluster->start_all();
    cluster->network().mute(1);
    ASSERT_TRUE(alone(*cluster, 0));
    std::atomic<bool> answered{false};
    ItemOutcome outcome;
    std::thread committer([&] {
      outcome = cluster->commit(0, "x");
      answered = true;
    });
    std::thread reader([&] { EXPECT_FALSE(cluster->node(0).wait_fresh().ok()); });
    asked.get_future().wait();
    std::this_thread::sleep_for(30ms);  // so that the commit waits, mostly
    EXPECT_FALSE(answered);
    EXPECT_TRUE(cluster->node(0).state().writes) << "it is for the callback to say";
    end(cluster->node(0));
    committer.join();
    reader.join();
    // One whose thread was too late to wait is told the same by another rule.
    const bool waited = outcome.code == ErrorCode::cluster_no_quorum;
    EXPECT_TRUE(waited || outcome.code == ErrorCode::cluster_stopped) << outcome.text;
    EXPECT_EQ(outcome.text.find("before the quorumCallback had answered") != std::string::npos,
              waited)
        << outcome.text;
    cluster.reset();
  }
}

TEST(NodeConsent, TheCallbackMayUseTheNodeAndOneThatThrowsHasSaidNo) {
  ViewNodeCluster* all = nullptr;
  Consent consent({[&all](const auto&) -> bool {
                     EXPECT_EQ(all->commit(0, "from within").code, ErrorCode::cluster_no_quorum);
                     throw std::runtime_error("no idea");
                   },
                   no});
  CaptureStderr();
  ViewNodeCluster cluster({.nodes = 2}, consent.change());
  all = &cluster;
  cluster.start_all();
  cluster.network().mute(1);
  ASSERT_TRUE(alone(cluster, 0));
  EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::cluster_no_quorum);
  const auto said = GetCapturedStderr();
  EXPECT_NE(said.find("the quorum callback threw: no idea; taken as no"), std::string::npos)
      << said;
}

/// A yes is for those that were reached then: when others come and go it is asked again.
TEST(NodeConsent, EachChangeOfWhoIsReachedIsAskedAbout) {
  std::mutex mutex;
  std::vector<std::vector<std::uint32_t>> asked;
  Consent consent({[&](const std::vector<std::uint32_t>& neighbours) {
                     const std::lock_guard lock(mutex);
                     asked.push_back(neighbours);
                     return true;
                   },
                   yes, no, no});
  ViewNodeCluster cluster({.nodes = 4}, consent.change());
  cluster.start_all();
  cluster.kill(2);
  cluster.kill(3);
  cluster.must_commit(0, "with one");
  cluster.kill(1);
  cluster.must_commit(0, "alone");
  ASSERT_TRUE(alone(cluster, 0));
  // In a thread of its own; where node 0 had made its view without node 1, no commit waited for it.
  ASSERT_TRUE(ViewNodeCluster::eventually([&] {
    const std::lock_guard lock(mutex);
    return asked.size() >= 2;
  }));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(asked.front(), std::vector<std::uint32_t>{1});
  EXPECT_EQ(asked.back(), std::vector<std::uint32_t>{});
  EXPECT_EQ(asked.size(), 2U);
}

}  // namespace
}  // namespace exdb
