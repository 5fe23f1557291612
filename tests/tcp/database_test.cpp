// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases over TCP whose nodes come and go: plain, with a secret, and with TLS.
#include "proxy.hpp"
#include "tcp_databases.hpp"

namespace exdb::tcp {
namespace {

using namespace std::chrono_literals;

enum class Security { plain, secret, tls };

class Databases : public ::testing::TestWithParam<Security> {
 protected:
  Databases() : three(3) {
    if (GetParam() == Security::secret) three.nodes.inside.secret.assign(32, std::byte{7});
    if (GetParam() == Security::tls) three.nodes.inside.channels = tls_channels(3);
  }
  TcpDatabases three;
};

TEST_P(Databases, opened_in_any_order_commit_are_equal_and_close_together) {
  for (const auto& order : {std::array{2U, 0U, 1U}, std::array{1U, 2U, 0U}}) {
    std::vector<std::future<void>> opening;
    for (const auto node : order) {
      opening.push_back(std::async(std::launch::async, [this, node] { three.open(node); }));
      std::this_thread::sleep_for(100ms);
    }
    for (auto& each : opening) ASSERT_NO_THROW(each.get());
    for (int i = 0; i < 30; ++i) {
      const auto stored = three.store(i % 3, i, 100 + i);
      ASSERT_TRUE(stored.committed()) << i << ": " << stored.text;
    }
    three.expect_equal();
    EXPECT_EQ(three.price(2, 29), 129);
    three.close_all();
    for (auto& each : three.db) each.reset();
  }
}

TEST_P(Databases, one_that_is_killed_comes_back_and_gets_the_rounds_it_lacks) {
  three.open_all();
  for (int i = 0; i < 20; ++i) three.must_store(i % 3, i, i);
  three.kill(2);
  for (int i = 20; i < 40; ++i) three.must_store(i % 2, i, i);
  three.open(2);
  EXPECT_EQ(three.price(2, 3), 3);
  EXPECT_EQ(three.price(2, 39), 39);
  EXPECT_EQ(three.db[2]->statistics().at("states_taken"), 0U);
  three.must_store(2, 40, 40);
  three.expect_equal();
  three.close_all();
}

TEST_P(Databases, one_that_is_killed_comes_back_and_gets_the_state) {
  three.open_all();
  // More than a node keeps of rounds.
  for (int i = 0; i < 40; ++i) three.must_store(i % 3, i, i, std::size_t{1} << 17);
  three.kill(0);
  three.must_store(1, 40, 40);
  three.open(0);
  EXPECT_EQ(three.db[0]->statistics().at("states_taken"), 1U);
  EXPECT_EQ(three.price(0, 7), 7);
  EXPECT_EQ(three.price(0, 40), 40);
  three.must_store(0, 41, 41);
  three.expect_equal();
  three.close_all();
}

INSTANTIATE_TEST_SUITE_P(Tcp, Databases,
                         ::testing::Values(Security::plain, Security::secret, Security::tls),
                         [](const auto& one) {
                           return one.param == Security::plain    ? "plain"
                                  : one.param == Security::secret ? "secret"
                                                                  : "tls";
                         });

TEST(TcpDatabase, without_quorum_reads_and_refuses_to_write_until_there_is_one) {
  TcpDatabases three(3);
  three.open(1, [](ClusterParams& p, TcpParams&, Inside&) { p.connect_timeout = 50ms; });
  EXPECT_FALSE(three.db[1]->state().writes);
  EXPECT_EQ(three.price(1, 1), -1);
  EXPECT_EQ(three.store(1, 1, 1).code, ErrorCode::cluster_no_quorum);
  three.open(2);
  EXPECT_TRUE(eventually([&] { return three.db[1]->state().writes; }));
  EXPECT_TRUE(three.store(1, 1, 10).committed());
  EXPECT_TRUE(eventually([&] { return three.price(2, 1) == 10; }));
}

TEST(TcpDatabase, that_lost_its_quorum_reads_what_it_has_and_writes_again_when_it_is_back) {
  TcpDatabases three(3);
  three.open_all();
  three.must_store(0, 1, 10);
  EXPECT_TRUE(eventually([&] { return three.price(1, 1) == 10; }));
  three.kill(0);
  three.kill(2);
  EXPECT_TRUE(eventually([&] { return !three.db[1]->state().writes; }));
  EXPECT_EQ(three.store(1, 2, 20).code, ErrorCode::cluster_no_quorum);
  EXPECT_EQ(three.price(1, 1), 10);
}

/// Nodes 0 and 1, the link between which a test can cut.
struct Cut {
  explicit Cut(std::uint32_t qrank_of_0) : two(2), proxy(two.nodes.params.nodes[0]) {
    two.params.nodes[0].qrank = qrank_of_0;
    two.params.keep_alive_probes = 10;
    two.open_all([this](ClusterParams&, TcpParams& tcp, Inside&) {
      if (tcp.self == 1) tcp.nodes[0] = proxy.address();
    });
  }
  TcpDatabases two;
  Proxy proxy;
};

TEST(TcpDatabase, two_equal_halves_both_stop_writing_and_go_on_together) {
  Cut cut(1);
  cut.two.must_store(0, 1, 1);
  cut.proxy.let_through(false);
  for (const auto node : {0U, 1U}) {
    EXPECT_TRUE(eventually([&] { return !cut.two.db[node]->state().writes; }));
    EXPECT_EQ(cut.two.store(node, 5, 5).code, ErrorCode::cluster_no_quorum);
  }
  cut.proxy.let_through(true);
  for (const auto node : {0U, 1U}) cut.two.must_store(node, 10 + int(node), 10);
  cut.two.expect_equal();
}

TEST(TcpDatabase, of_two_halves_the_heavier_goes_on_and_the_other_takes_over_what_it_missed) {
  Cut cut(2);
  cut.two.must_store(1, 1, 1);
  cut.proxy.let_through(false);
  EXPECT_TRUE(eventually([&] { return !cut.two.db[1]->state().writes; }));
  cut.two.must_store(0, 2, 2);
  EXPECT_EQ(cut.two.store(1, 5, 5).code, ErrorCode::cluster_no_quorum);
  cut.proxy.let_through(true);
  cut.two.must_store(1, 3, 3);
  EXPECT_EQ(cut.two.price(1, 2), 2);
  cut.two.expect_equal();
}

}  // namespace
}  // namespace exdb::tcp
