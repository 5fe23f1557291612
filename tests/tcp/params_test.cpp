// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Addresses and values as people write them, and what they are told when they are wrong.
#include "params.hpp"

#include <sys/socket.h>

#include "tcp_nodes.hpp"

namespace exdb::tcp {
namespace {

TEST(Address, forms_that_are_right) {
  const struct {
    const char* text;
    const char* host;
    int port;
    bool literal;
  } forms[] = {{"127.0.0.1:7000", "127.0.0.1", 7000, true},
               {"[::1]:1", "::1", 1, true},
               {"[2001:db8::7]:65535", "2001:db8::7", 65535, true},
               {"node-7.example:7000", "node-7.example", 7000, false},
               {"localhost:80", "localhost", 80, false}};
  for (const auto& form : forms) {
    auto address = parse_address(form.text);
    ASSERT_TRUE(address.ok()) << address.status().text();
    EXPECT_EQ(address->host, form.host);
    EXPECT_EQ(address->port, form.port);
    EXPECT_EQ(address->literal, form.literal);
    EXPECT_EQ(address->text(), form.text);
  }
}

TEST(Address, wrong_ones_are_named_with_the_form_wanted) {
  const struct {
    const char* text;
    const char* why;
  } forms[] = {{"", "no port"},
               {"host", "no port"},
               {"host:", "no number"},
               {"host:x", "no number"},
               {"host:0", "no number"},
               {"host:65536", "no number"},
               {"host:-1", "no number"},
               {"host:7000x", "no number"},
               {":7000", "no host"},
               {"[]:7000", "no host"},
               {"::1:7000", "without brackets"},
               {"[::1:7000", "closing bracket"},
               {"[::1]", "no port"},
               {"[::1]7000", "no port"},
               {"[name]:7000", "brackets around"},
               {"[127.0.0.1]:7000", "brackets around"},
               {"a b:7000", "cannot be one"},
               {"http://host:7000", "malformed"}};
  for (const auto& form : forms) {
    auto address = parse_address(form.text);
    ASSERT_FALSE(address.ok()) << form.text;
    const auto text = address.status().text();
    EXPECT_EQ(address.status().code(), ErrorCode::cluster_invalid_parameter);
    EXPECT_NE(text.find("'" + std::string(form.text) + "'"), std::string::npos) << text;
    EXPECT_NE(text.find(form.why), std::string::npos) << text;
    EXPECT_NE(text.find("host:port"), std::string::npos) << text;
  }
}

TEST(Address, a_name_without_address_says_so) {
  auto resolved = resolve(*parse_address("no-such-name.invalid:7000"), AF_UNSPEC);
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(resolved.status().text().find("no-such-name.invalid:7000"), std::string::npos);
}

TcpParams good() {
  TcpParams params;
  params.nodes = {"127.0.0.1:7001", "127.0.0.1:7002"};
  return params;
}

TEST(Params, each_wrong_value_is_named_with_its_key_and_a_remedy) {
  const struct {
    const char* key;
    const char* remedy;
    std::function<void(TcpParams&)> change;
  } cases[] = {
      {"nodes", "give one", [](TcpParams& p) { p.nodes.clear(); }},
      {"nodeId=2", "give 0 to 1", [](TcpParams& p) { p.self = 2; }},
      {"nodes[1]", "host:port", [](TcpParams& p) { p.nodes[1] = "x"; }},
      {"nodes[0] and nodes[1]", "one of its own", [](TcpParams& p) { p.nodes[1] = p.nodes[0]; }},
      {"connectTimeout=0", "give 1 to", [](TcpParams& p) { p.connect_timeout_ms = 0; }},
      {"connectInterval=-1", "give 1 to", [](TcpParams& p) { p.connect_interval_ms = -1; }},
      {"socketSendBuf=-1", "leaves it", [](TcpParams& p) { p.socket_send_buf_bytes = -1; }},
      {"socketRecvBuf=4294967296", "leaves it",
       [](TcpParams& p) { p.socket_recv_buf_bytes = std::int64_t{1} << 32; }},
      {"keepAliveTime=0", "give 1 to", [](TcpParams& p) { p.keep_alive_time_ms = 0; }},
      {"keepAliveProbes=0", "give 1 to", [](TcpParams& p) { p.keep_alive_probes = 0; }},
      {"keepAliveTime", "smaller",
       [](TcpParams& p) {
         p.keep_alive_time_ms = 86'400'000;
         p.keep_alive_probes = 1'000'000;
       }},
      {"socketDomain=1", "AF_INET6", [](TcpParams& p) { p.socket_domain = AF_UNIX; }},
      {"nodes[0]", "socketDomain", [](TcpParams& p) { p.socket_domain = AF_INET6; }},
  };
  ASSERT_TRUE(check(good()).ok());
  for (const auto& one : cases) {
    TcpParams params = good();
    one.change(params);
    const Status status = transport(params).status();
    EXPECT_EQ(status.code(), ErrorCode::cluster_invalid_parameter) << one.key;
    EXPECT_NE(status.text().find(one.key), std::string::npos) << status.text();
    EXPECT_NE(status.text().find(one.remedy), std::string::npos) << status.text();
  }
}

TEST(Params, security_is_refused_or_read_before_any_socket_is_opened) {
  TcpParams params = good();
  params.nodes[1] = "192.0.2.1:7002";
  Status status = transport(params).status();
  EXPECT_EQ(status.code(), ErrorCode::cluster_invalid_parameter);
  EXPECT_NE(status.text().find("insecure_network=True"), std::string::npos) << status.text();
  params.cluster_secret_file = "/no/such/file";
  status = transport(params).status();
  EXPECT_NE(status.text().find("/no/such/file"), std::string::npos) << status.text();
  params = good();
  params.ssl_params.emplace();
  (*params.ssl_params)["no_such_key"] = std::int64_t{1};
  status = transport(params).status();
  EXPECT_NE(status.text().find("no_such_key"), std::string::npos) << status.text();
}

TEST(Listening, a_port_in_use_is_an_error_that_names_it_and_what_to_do) {
  const Descriptor other = bound_socket();
  ASSERT_EQ(::listen(other.get(), 1), 0);
  TcpParams params = good();
  params.nodes[0] = own_address(other.get()).value().text();
  const Status status = transport(params).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.text().find(params.nodes[0]), std::string::npos) << status.text();
  EXPECT_NE(status.text().find("another port"), std::string::npos) << status.text();
}

TEST(Listening, an_address_of_another_machine_is_an_error_that_says_so) {
  TcpParams params = good();
  params.nodes[0] = "192.0.2.1:7001";
  params.insecure_network = true;
  const Status status = transport(params).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.text().find("192.0.2.1:7001"), std::string::npos) << status.text();
  EXPECT_NE(status.text().find("does not have that address"), std::string::npos) << status.text();
}

TEST(Listening, a_port_is_free_again_after_close) {
  const std::string address = [] {
    const Descriptor free = bound_socket();
    return own_address(free.get()).value().text();
  }();
  TcpParams params = good();
  params.nodes[0] = address;
  for (int i = 0; i < 3; ++i) {
    auto made = transport(params);
    ASSERT_TRUE(made.ok()) << made.status().text();
    made.value()->close(false);
  }
}

}  // namespace
}  // namespace exdb::tcp
