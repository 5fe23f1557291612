// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes that are started in any order, leave, come back, or should not be there; and what the
// operating system sees of them.
#include <fcntl.h>
#include <sys/wait.h>

#include <condition_variable>
#include <filesystem>

#include "proxy.hpp"

namespace exdb::tcp {
namespace {

using conformance::frame_of;

void expect_all_reach_all(std::vector<Polled*> nodes) {
  const auto others = nodes.size() - 1;
  for (Polled* node : nodes) {
    node->got = {};
    EXPECT_TRUE(node->transport->broadcast(frame_of(node->transport->self())).ok());
  }
  poll_all(nodes, [&] {
    return std::all_of(nodes.begin(), nodes.end(),
                       [&](Polled* node) { return node->got.count == others; });
  });
}

auto all_up(const std::vector<Polled*>& nodes) {
  return [nodes] {
    return std::all_of(nodes.begin(), nodes.end(), [](Polled* node) { return node->all_up(); });
  };
}

class Start : public testing::TestWithParam<std::array<std::uint32_t, 3>> {};

TEST_P(Start, in_this_order_and_apart_they_find_each_other) {
  Nodes nodes(3);
  nodes.params.connect_timeout_ms = 100;
  std::array<Polled, 3> polled;
  std::vector<Polled*> started;
  for (const auto node : GetParam()) {
    polled[node].transport = nodes.make(node);
    started.push_back(&polled[node]);
    // Long enough for several dials in vain, and their time limits.
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    poll_all(started, [&] { return std::chrono::steady_clock::now() >= until; });
  }
  poll_all(started, all_up(started));
  expect_all_reach_all(started);
  for (Polled* node : started)
    EXPECT_EQ(node->transport->link_statistics().opened, 2U) << "one link a pair";
}

INSTANTIATE_TEST_SUITE_P(Nodes, Start,
                         testing::Values(std::array<std::uint32_t, 3>{0, 1, 2},
                                         std::array<std::uint32_t, 3>{2, 1, 0},
                                         std::array<std::uint32_t, 3>{1, 2, 0}));

/// Two nodes that see each other.
struct Two {
  Nodes nodes{2};
  Polled zero, one;
  std::vector<Polled*> both{&zero, &one};

  void start() {
    zero.transport = nodes.make(0);
    one.transport = nodes.make(1);
    poll_all(both, all_up(both));
    zero.got = one.got = {};
  }
};

TEST(Nodes, a_first_poll_tells_that_nobody_is_there) {
  Nodes nodes(3);
  Polled alone{nodes.make(1), {}, {}};
  alone.poll();
  EXPECT_EQ(alone.got.gone, (std::vector<std::uint32_t>{0, 2}));
  EXPECT_TRUE(alone.transport->broadcast(frame_of(1)).ok()) << "lost, and no failure";
}

TEST(Nodes, a_machine_is_crowded_by_those_that_run_there_and_not_by_those_that_could) {
  Nodes nodes(4);
  nodes.inside.processors = 2;
  nodes.params.keep_alive_time_ms = 3'600'000;
  std::array<Polled, 3> polled;
  std::vector<Polled*> running;
  for (std::uint32_t node = 0; node < 3; ++node) {
    polled[node].transport = nodes.make(node);
    running.push_back(&polled[node]);
    poll_all(running, [&] {
      return std::all_of(running.begin(), running.end(),
                         [&](Polled* each) { return each->up.size() == node; });
    });
    for (Polled* each : running) EXPECT_EQ(each->transport->crowded(), node == 2) << node;
  }
  polled[1].transport->close(false);
  poll_all({&polled[0], &polled[2]},
           [&] { return polled[0].up.size() == 1 && polled[2].up.size() == 1; });
  EXPECT_FALSE(polled[0].transport->crowded());
  EXPECT_FALSE(polled[2].transport->crowded());
}

TEST(Nodes, one_that_closes_is_gone_at_once_after_all_it_sent) {
  for (const bool collective : {false, true}) {
    Two two;
    two.nodes.params.keep_alive_time_ms = 3'600'000;
    two.start();
    for (std::uint64_t i = 0; i < 20; ++i)
      ASSERT_TRUE(two.one.transport->send(0, frame_of(i, 50'000)).ok());
    std::thread closing([&] { two.one.transport->close(collective); });
    poll_all({&two.zero}, [&] { return !two.zero.got.gone.empty(); });
    closing.join();
    EXPECT_EQ(two.zero.got.count, 20U);
    EXPECT_EQ(two.nodes.lines->with("it has left"), 1U) << two.nodes.lines->all();
  }
}

TEST(Nodes, one_that_is_killed_and_started_again_is_another_incarnation) {
  Two two;
  two.nodes.params.keep_alive_time_ms = 3'600'000;
  two.start();
  for (std::uint32_t start = 1; start <= 3; ++start) {
    ASSERT_TRUE(two.zero.transport->send(1, frame_of(77)).ok());  // of the time before
    two.one.transport->abandon();
    two.one = {two.nodes.make(1), {}, {}};
    poll_all(two.both, all_up(two.both));
    poll_all(two.both, [&] { return two.zero.got.ups.size() == start; });
    EXPECT_EQ(two.zero.got.gone.size(), start);
    EXPECT_EQ(two.zero.got.ups.back(), (std::pair<std::uint32_t, std::uint32_t>{1, start}));
    EXPECT_EQ(two.one.got.count, 0U);
  }
  expect_all_reach_all(two.both);
}

TEST(Nodes, the_one_dialled_may_be_started_again_too) {
  Two two;
  two.nodes.params.keep_alive_time_ms = 3'600'000;
  two.start();
  two.zero.transport->abandon();
  two.zero = {two.nodes.make(0), {}, {}};
  poll_all(two.both, [&] { return two.one.got.ups.size() == 1 && two.zero.all_up(); });
  EXPECT_EQ(two.one.got.ups.back(), (std::pair<std::uint32_t, std::uint32_t>{0, 1}));
  expect_all_reach_all(two.both);
}

TEST(Nodes, an_older_process_with_the_same_number_is_told_to_end) {
  Two two;
  two.nodes.inside.incarnation = 100;
  two.start();
  Polled newer;
  Inside inside;
  inside.incarnation = 200;
  newer.transport = two.nodes.make(1, inside);
  poll_all({&two.zero, &newer}, [&] { return newer.all_up() && two.zero.got.ups.size() == 1; });
  // The older one meets the end of its link, dials again and is told.
  Status status;
  poll_all({&two.zero, &newer}, [&] {
    bool any = false;
    status = two.one.transport->poll(two.one.got, any);
    return !status.ok();
  });
  EXPECT_EQ(status.code(), ErrorCode::cluster_duplicate_node) << status.text();
  EXPECT_FALSE(two.one.transport->broadcast(frame_of(1)).ok());
  std::vector<Polled*> rest{&two.zero, &newer};
  expect_all_reach_all(rest);
}

TEST(Nodes, a_process_started_again_with_its_clock_set_back_gets_in) {
  Two two;
  two.nodes.params.keep_alive_time_ms = 3'600'000;
  two.nodes.inside.incarnation = 100;
  two.start();
  two.one.transport->abandon();
  poll_all({&two.zero}, [&] { return two.zero.transport->link_statistics().broken == 1; });
  two.nodes.inside.incarnation = 50;
  two.one = {two.nodes.make(1), {}, {}};
  poll_all(two.both, all_up(two.both));
  expect_all_reach_all(two.both);
}

TEST(Nodes, of_other_clusters_schemas_secrets_or_sizes_are_refused_and_told_why) {
  const struct {
    const char* why;
    std::function<void(TcpParams&, Inside&)> change;
  } cases[] = {
      {"another cluster", [](TcpParams& p, Inside&) { p.cluster_id = 5; }},
      {"dictionaries differ", [](TcpParams& p, Inside&) { p.schema_hash[3] = std::byte{1}; }},
      {"secret", [](TcpParams&, Inside& i) { i.secret.assign(32, std::byte{1}); }},
      {"nodes", [](TcpParams& p, Inside&) { p.nodes.push_back("127.0.0.1:9"); }}};
  for (const auto& one : cases) {
    Nodes nodes(2);
    Polled zero{nodes.make(0), {}, {}};
    TcpParams params = nodes.of(1);
    Inside inside;
    one.change(params, inside);
    auto made = TcpTransport::make(params, inside);
    ASSERT_TRUE(made.ok());
    Polled other{*std::move(made), {}, {}};
    poll_all({&zero, &other}, [&] {
      return zero.transport->link_statistics().refused >= 2 &&
             other.transport->link_statistics().refused >= 2;
    });
    EXPECT_TRUE(zero.up.empty() && other.up.empty());
    EXPECT_EQ(nodes.lines->with(one.why), 2U) << "a line each:\n" << nodes.lines->all();
  }
}

TEST(Nodes, over_ipv6_where_there_is_one) {
  if (!bound_socket(AF_INET6)) GTEST_SKIP() << "no IPv6 here";
  Nodes nodes(2, AF_INET6);
  Polled zero{nodes.make(0), {}, {}}, one{nodes.make(1), {}, {}};
  std::vector<Polled*> both{&zero, &one};
  poll_all(both, all_up(both));
  expect_all_reach_all(both);
  EXPECT_NE(zero.transport->describe().find("[::1]:"), std::string::npos);
}

TEST(Nodes, by_names_that_take_their_time_and_change) {
  Nodes nodes(2);
  const auto real = nodes.params.nodes[0];
  nodes.params.nodes[0] = "node0.test" + real.substr(real.rfind(':'));
  std::mutex mutex;
  std::condition_variable changed;
  bool answer = false;
  std::atomic<int> asked{0};
  Inside inside;
  inside.resolve = [&](const Address& address, int) -> Result<std::vector<SocketAddress>> {
    if (address.host != "node0.test") return resolve(address, AF_INET);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return answer; });
    // The first answers are: no such name; an address where nobody is, and the right one.
    if (++asked == 1) return Status(ErrorCode::cluster, "no node0.test");
    auto addresses = resolve(*parse_address("127.0.0.1:1"), AF_INET).value();
    addresses.push_back(resolve(*parse_address(real), AF_INET).value().front());
    return addresses;
  };
  Polled one{nodes.make(1, inside), {}, {}}, zero{nodes.make(0), {}, {}};
  // The resolver hangs; poll does not.
  for (int i = 0; i < 100; ++i) one.poll();
  EXPECT_EQ(asked, 0);
  {
    const std::lock_guard lock(mutex);
    answer = true;
    changed.notify_all();
  }
  std::vector<Polled*> both{&zero, &one};
  poll_all(both, all_up(both));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(nodes.lines->with("no node0.test"), 1U);
  expect_all_reach_all(both);
}

TEST(Nodes, one_that_ends_while_the_resolver_hangs_does_not_wait_for_it) {
  Nodes nodes(2);
  nodes.params.nodes[0] = "node0.test:1";
  const auto release = std::make_shared<std::atomic<bool>>(false);
  const auto asked = std::make_shared<std::atomic<bool>>(false);
  Inside inside;
  inside.resolve = [release, asked](const Address&, int) -> Result<std::vector<SocketAddress>> {
    *asked = true;
    while (!*release) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Status(ErrorCode::cluster, "too late");
  };
  Polled one{nodes.make(1, inside), {}, {}};
  poll_all({&one}, [&] { return asked->load(); });
  one.transport.reset();  // before the resolver's answer
  *release = true;
}

TEST(Nodes, close_their_descriptors_on_exec) {
  Two two;
  const auto open_descriptors = [] {
    std::set<int> numbers;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
      numbers.insert(std::stoi(entry.path().filename()));
    // Without the one of this very look.
    std::erase_if(numbers, [](int number) { return fcntl(number, F_GETFD) < 0; });
    return numbers;
  };
  const auto before = open_descriptors();
  two.start();
  int ours = 0;
  for (const int number : open_descriptors()) {
    const int flags = fcntl(number, F_GETFD);
    if (before.contains(number)) continue;
    EXPECT_NE(flags & FD_CLOEXEC, 0)
        << std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(number));
    ++ours;
  }
  EXPECT_GE(ours, 8) << "epoll, eventfd, listener and a link, twice";
}

TEST(Nodes, in_a_forked_child_refuse_and_do_no_harm) {
  Two two;
  two.start();
  const pid_t child = fork();
  if (child == 0) {
    bool any = false;
    const bool refused = !two.zero.transport->poll(two.zero.got, any).ok() &&
                         !two.zero.transport->broadcast(frame_of(1)).ok();
    two.zero.transport.reset();
    two.one.transport.reset();
    _exit(refused ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expect_all_reach_all(two.both);
  EXPECT_TRUE(two.zero.got.gone.empty() && two.one.got.gone.empty());
}

TEST(Nodes, give_out_what_a_sink_left_though_no_socket_has_more) {
  // Four, so that epoll is asked which links have something.
  Nodes nodes(4);
  nodes.params.keep_alive_time_ms = 3'600'000;
  std::array<Polled, 4> polled;
  std::vector<Polled*> all;
  for (std::uint32_t node = 0; node < 4; ++node) {
    polled[node].transport = nodes.make(node);
    all.push_back(&polled[node]);
  }
  poll_all(all, all_up(all));
  struct Throws : FrameSink {
    std::uint64_t frames = 0;
    void on_frame(std::uint32_t, std::span<const std::byte>) override {
      ++frames;
      throw std::runtime_error("on purpose");
    }
    void on_gone(std::uint32_t) override {}
  } sink;
  for (std::size_t i = 0; i < 20; ++i) ASSERT_TRUE(polled[0].transport->send(1, frame_of(i)).ok());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (sink.frames < 20 && std::chrono::steady_clock::now() < until) {
    bool any = false;
    try {
      ASSERT_TRUE(polled[1].transport->poll(sink, any).ok());
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_EQ(sink.frames, 20U);
}

TEST(Nodes, wake_a_thread_that_sleeps_by_a_frame) {
  Two two;
  two.nodes.params.keep_alive_time_ms = 3'600'000;
  two.start();
  std::atomic<bool> got{false};
  std::thread sleeper([&] {
    const auto until = std::chrono::steady_clock::now() + conformance::deadline;
    while (two.one.got.count == 0 && std::chrono::steady_clock::now() < until) {
      two.one.transport->wait(conformance::deadline);
      two.one.poll();
    }
    got = two.one.got.count == 1;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_TRUE(two.zero.transport->send(1, frame_of(1)).ok());
  sleeper.join();
  EXPECT_TRUE(got);
  EXPECT_LT(two.one.transport->statistics().sleeps, 100U);
}

}  // namespace
}  // namespace exdb::tcp
