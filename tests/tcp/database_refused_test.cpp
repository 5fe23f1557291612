// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who does not belong to a cluster is told so by open, and the cluster goes on.
#include "tcp_databases.hpp"

namespace exdb::tcp {
namespace {

using namespace std::chrono_literals;

Status opened(TcpDatabases& nodes, std::uint32_t node, const TcpDatabases::Change& change) {
  try {
    nodes.open(node, change);
    return {};
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
}

void expect(const Status& status, ErrorCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status.text();
  EXPECT_NE(status.text().find(part), std::string::npos) << status.text();
}

struct Misfit {
  const char* name;
  ErrorCode code;
  std::string part;  ///< of the text
  TcpDatabases::Change change;
};

std::vector<Misfit> misfits() {
  return {{"schema", ErrorCode::cluster_incompatible, "dictionaries differ",
           [](ClusterParams&, TcpParams& tcp, Inside&) { tcp.schema_hash[9] = std::byte{1}; }},
          {"cluster", ErrorCode::cluster_incompatible, "another cluster",
           [](ClusterParams&, TcpParams& tcp, Inside&) { tcp.cluster_id = 5; }},
          // The transport does not know of these.
          {"qranks", ErrorCode::cluster_incompatible, "qranks",
           [](ClusterParams& p, TcpParams&, Inside&) { p.nodes[0].qrank = 2; }},
          {"secret", ErrorCode::cluster_protocol, "secret",
           [](ClusterParams&, TcpParams&, Inside& i) { i.secret.assign(32, std::byte{1}); }},
          {"certificate", ErrorCode::cluster_protocol, "certificate",
           [](ClusterParams&, TcpParams&, Inside& i) { i.channels = tls_channels(3); }}};
}

class Refused : public ::testing::TestWithParam<std::tuple<std::size_t, std::uint32_t>> {};

TEST_P(Refused, one_that_does_not_fit_is_told_why_and_the_others_go_on) {
  const auto misfit = misfits()[std::get<0>(GetParam())];
  const auto node = std::get<1>(GetParam());
  TcpDatabases three(3);
  if (misfit.part == "certificate")
    three.nodes.inside.channels = tls_channels(3);
  else
    three.nodes.inside.secret.assign(32, std::byte{7});
  std::vector<std::future<void>> opening;
  for (std::uint32_t other = 0; other < 3; ++other)
    if (other != node)
      opening.push_back(std::async(std::launch::async, [&, other] { three.open(other); }));
  for (auto& each : opening) each.get();
  const auto fine = node == 0 ? 1U : 0U;
  three.must_store(fine, 1, 1);
  // Where nobody who refuses it has a name for it (it is dialled, and proves nothing), only the end
  // of connect_timeout tells that it is all of them.
  const auto status = opened(three, node, [&](ClusterParams& p, TcpParams& tcp, Inside& inside) {
    p.connect_timeout = 3s;
    misfit.change(p, tcp, inside);
  });
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.text().find(misfit.part), std::string::npos) << status.text();
  EXPECT_EQ(status.code(), misfit.code) << status.text();
  three.must_store(fine, 2, 2);
  EXPECT_EQ(three.db[fine]->cluster_info().active_nodes(), 2U);
  // And it may come as it should be.
  three.open(node);
  EXPECT_EQ(three.price(node, 2), 2);
}

INSTANTIATE_TEST_SUITE_P(Tcp, Refused,
                         ::testing::Combine(::testing::Range<std::size_t>(0, 5),
                                            ::testing::Values(0U, 2U)),
                         [](const auto& one) {
                           return misfits()[std::get<0>(one.param)].name +
                                  std::string("_of_node_") + std::to_string(std::get<1>(one.param));
                         });

TEST(RefusedAtOnce, a_majority_that_refuses_is_not_waited_for) {
  TcpDatabases three(3);
  std::vector<std::future<void>> opening;
  for (const auto node : {0U, 1U})
    opening.push_back(std::async(std::launch::async, [&, node] { three.open(node); }));
  for (auto& each : opening) each.get();
  // connect_timeout is the test's patience.
  const auto began = std::chrono::steady_clock::now();
  expect(opened(three, 2,
                [](ClusterParams&, TcpParams& tcp, Inside&) { tcp.schema_hash[9] = std::byte{1}; }),
         ErrorCode::cluster_incompatible, "dictionaries differ");
  EXPECT_LT(std::chrono::steady_clock::now() - began, patience);
}

TEST(RefusedByOne, a_node_that_finds_a_quorum_is_opened_whoever_else_does_not_fit) {
  TcpDatabases three(3);
  std::vector<std::future<Status>> opening;
  for (const auto node : {0U, 1U, 2U})
    opening.push_back(std::async(std::launch::async, [&, node] {
      return opened(three, node, [node](ClusterParams&, TcpParams& tcp, Inside&) {
        if (node == 2) tcp.schema_hash[9] = std::byte{1};
      });
    }));
  EXPECT_TRUE(opening[0].get().ok());
  EXPECT_TRUE(opening[1].get().ok());
  expect(opening[2].get(), ErrorCode::cluster_incompatible, "dictionaries differ");
  three.must_store(0, 1, 1);
}

TEST(Duplicate, of_two_processes_with_one_number_the_older_is_told_and_the_newer_stands) {
  TcpDatabases three(3);
  three.nodes.inside.incarnation = 100;
  three.open_all();
  three.must_store(1, 1, 1);
  auto older = std::move(three.db[1]);
  three.open(1, [](ClusterParams&, TcpParams&, Inside& inside) { inside.incarnation = 200; });
  EXPECT_TRUE(eventually([&] { return older->state().phase == DatabaseState::Phase::failed; }));
  EXPECT_NE(older->state().text.find("newer process"), std::string::npos) << older->state().text;
  three.must_store(1, 2, 2);
}

TEST(Duplicate, one_that_is_older_than_the_process_that_is_there_is_refused_by_open) {
  TcpDatabases three(3);
  three.nodes.inside.incarnation = 200;
  three.open_all();
  auto newer = std::move(three.db[1]);
  expect(opened(three, 1,
                [](ClusterParams&, TcpParams&, Inside& inside) { inside.incarnation = 100; }),
         ErrorCode::cluster_duplicate_node, "newer process");
  three.must_store(0, 2, 2);
  three.db[1] = std::move(newer);
  three.must_store(1, 3, 3);
}

}  // namespace
}  // namespace exdb::tcp
