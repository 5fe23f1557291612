// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Links that are cut, held back or end one way in the middle of a stream, and nodes that fall
// silent. Time limits are small and nothing is timed: counts tell what happened.
#include "proxy.hpp"

namespace exdb::tcp {
namespace {

using conformance::frame_of;

/// Two nodes; node 1 reaches node 0 through a proxy.
class Links : public testing::Test {
 protected:
  Nodes nodes_{2};
  Proxy proxy_{nodes_.params.nodes[0]};
  Polled zero_, one_;

  void make(std::int64_t keep_alive_time_ms, std::int64_t probes) {
    nodes_.params.keep_alive_time_ms = keep_alive_time_ms;
    nodes_.params.keep_alive_probes = probes;
    nodes_.params.send_bound_bytes = 1 << 20;
    zero_.transport = nodes_.make(0);
    one_.transport = make_one();
    poll_both([&] { return zero_.all_up() && one_.all_up(); });
    zero_.got = one_.got = {};
  }
  std::unique_ptr<TcpTransport> make_one() {
    TcpParams params = nodes_.of(1);
    params.nodes[0] = proxy_.address();
    auto made = TcpTransport::make(params, nodes_.inside);
    EXPECT_TRUE(made.ok()) << made.status().text();
    return *std::move(made);
  }
  template <class Done>
  void poll_both(Done done) {
    poll_all({&zero_, &one_}, done);
  }
  /// Frames of mixed lengths both ways, as there is room for them.
  void stream(std::uint64_t count, const std::function<void(std::uint64_t)>& at_frame) {
    std::uint64_t sent[2] = {0, 0};
    poll_both([&] {
      for (Polled* node : {&zero_, &one_}) {
        auto& next = sent[node->transport->self()];
        const auto other = 1 - node->transport->self();
        for (int burst = 0; burst < 5 && next < count && node->transport->has_room(other);
             ++burst) {
          EXPECT_TRUE(
              node->transport->send(other, frame_of(next, next % 50 == 7 ? 90'000 : 300)).ok());
          at_frame(++next);
        }
      }
      return zero_.got.count >= count && one_.got.count >= count;
    });
  }
  void expect_streamed(std::uint64_t count) {
    std::vector<std::uint64_t> numbers(count);
    for (std::uint64_t i = 0; i < count; ++i) numbers[i] = i;
    EXPECT_EQ(zero_.got.numbers[1], numbers);
    EXPECT_EQ(one_.got.numbers[0], numbers);
    EXPECT_TRUE(zero_.got.gone.empty() && one_.got.gone.empty()) << nodes_.lines->all();
    EXPECT_TRUE(zero_.got.ups.empty() && one_.got.ups.empty()) << nodes_.lines->all();
  }
};

TEST_F(Links, cut_again_and_again_lose_and_repeat_nothing) {
  make(2000, 10);
  proxy_.cut_about_every(300'000);
  proxy_.cut();
  stream(3000, [](std::uint64_t) {});
  expect_streamed(3000);
  EXPECT_GT(proxy_.cuts(), 10U);
  EXPECT_GT(one_.transport->link_statistics().resumed, 10U);
  EXPECT_EQ(one_.transport->link_statistics().gone, 0U);
}

TEST_F(Links, cut_with_a_secret_resume_with_new_keys) {
  nodes_.inside.secret.assign(32, std::byte{9});
  make(2000, 10);
  proxy_.cut_about_every(300'000);
  proxy_.cut();
  stream(1000, [](std::uint64_t) {});
  expect_streamed(1000);
  EXPECT_GT(one_.transport->link_statistics().resumed, 3U);
  EXPECT_EQ(one_.transport->link_statistics().refused, 0U) << nodes_.lines->all();
}

/// What is held is not in a socket: on the loopback what is sent is there at once.
TEST(Hold, keeps_frames_back_until_it_ends_and_loses_none) {
  Nodes nodes(3);
  std::vector<Polled> polled(3);
  for (std::uint32_t node = 0; node < 3; ++node) polled[node].transport = nodes.make(node);
  poll_all({&polled[0], &polled[1], &polled[2]},
           [&] { return std::ranges::all_of(polled, &Polled::all_up); });
  auto& sender = *polled[0].transport;
  sender.hold(true);
  std::uint64_t next = 0;
  for (; next < 5; ++next) EXPECT_TRUE(sender.send(1, frame_of(next)).ok());
  EXPECT_TRUE(sender.broadcast(frame_of(next++)).ok());
  for (int i = 0; i < 20; ++i) {
    polled[1].poll();
    polled[2].poll();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(polled[1].got.count + polled[2].got.count, 0U);
  sender.hold(false);
  poll_all({&polled[1], &polled[2]},
           [&] { return polled[1].got.count == 6 && polled[2].got.count == 1; });
  EXPECT_EQ(polled[1].got.numbers[0], (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5}));
  // From then on they go by themselves.
  EXPECT_TRUE(sender.send(2, frame_of(next)).ok());
  poll_all({&polled[1], &polled[2]}, [&] { return polled[2].got.count == 2; });
}

TEST_F(Links, slow_ones_deliver_all) {
  make(5000, 10);
  proxy_.delay(std::chrono::milliseconds(3));
  stream(300, [](std::uint64_t) {});
  expect_streamed(300);
}

TEST_F(Links, half_closed_ones_are_made_again) {
  make(2000, 10);
  stream(1000, [&](std::uint64_t frame) {
    if (frame % 250 == 0) proxy_.half_close();
  });
  expect_streamed(1000);
  EXPECT_GT(one_.transport->link_statistics().resumed, 0U);
}

TEST_F(Links, that_pass_one_direction_only_are_made_again_before_the_time_is_over) {
  // Long enough for a loaded machine; half of it passes before the dialler tries anew.
  make(400, 10);
  stream(400, [&](std::uint64_t frame) {
    if (frame == 200) proxy_.hold_back_what_is_there();
  });
  expect_streamed(400);
  EXPECT_GE(proxy_.connections(), 2U);
  EXPECT_GE(one_.transport->link_statistics().resumed, 1U);
}

TEST_F(Links, cut_for_longer_than_the_keep_alive_end_the_session_on_both_sides) {
  make(50, 4);
  ASSERT_TRUE(zero_.transport->send(1, frame_of(0)).ok());
  poll_both([&] { return one_.got.count == 1; });
  proxy_.let_through(false);
  poll_both([&] { return proxy_.cuts() == 1; });
  // On its way when the time is over: lost.
  ASSERT_TRUE(zero_.transport->send(1, frame_of(1)).ok());
  poll_both([&] { return !zero_.got.gone.empty() && !one_.got.gone.empty(); });
  EXPECT_EQ(zero_.got.gone, std::vector<std::uint32_t>{1});
  EXPECT_EQ(one_.got.gone, std::vector<std::uint32_t>{0});
  EXPECT_TRUE(zero_.transport->send(1, frame_of(2)).ok()) << "lost, and no failure";
  EXPECT_TRUE(zero_.transport->has_room(1));
  proxy_.let_through(true);
  poll_both([&] { return zero_.all_up() && one_.all_up(); });
  EXPECT_EQ(zero_.got.ups.back(), (std::pair<std::uint32_t, std::uint32_t>{1, 0}))
      << "the same process";
  ASSERT_TRUE(zero_.transport->send(1, frame_of(3)).ok());
  poll_both([&] { return one_.got.count >= 2; });
  EXPECT_EQ(one_.got.numbers[0], (std::vector<std::uint64_t>{0, 3}));
}

TEST_F(Links, idle_ones_are_kept_by_probes) {
  make(40, 5);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  poll_both([&] { return std::chrono::steady_clock::now() >= until; });
  EXPECT_TRUE(zero_.got.gone.empty() && one_.got.gone.empty()) << nodes_.lines->all();
  EXPECT_EQ(zero_.transport->statistics().frames_received, 0U) << "probes are no frames";
}

TEST_F(Links, a_node_that_does_not_read_bounds_the_others_and_is_gone_after_the_keep_alive) {
  make(50, 6);
  // Node 1 is frozen: nobody polls it.
  std::uint64_t handed = 0;
  const std::size_t frame_bytes = 64 * 1024;
  std::size_t most = 0;
  poll_all({&zero_}, [&] {
    while (zero_.got.gone.empty() && zero_.transport->has_room(1)) {
      EXPECT_TRUE(zero_.transport->send(1, frame_of(handed, frame_bytes)).ok());
      ++handed;
    }
    most = std::max<std::size_t>(most, handed * frame_bytes);
    return !zero_.got.gone.empty();
  });
  EXPECT_LE(most, zero_.transport->send_bound_bytes() + 4 * frame_bytes);
  // It wakes up: its own time did not pass, but the other's word counts.
  poll_both([&] { return one_.got.ups.size() == 1 && zero_.all_up(); });
  EXPECT_EQ(one_.got.gone, std::vector<std::uint32_t>{0});
  stream(10, [](std::uint64_t) {});
  EXPECT_EQ(one_.got.numbers[0].back(), 9U);
}

TEST_F(Links, that_a_sink_leaves_by_an_exception_lose_nothing) {
  make(2000, 10);
  struct Throws : FrameSink {
    std::vector<std::size_t> sizes;
    bool throws = true;
    void on_frame(std::uint32_t, std::span<const std::byte> frame) override {
      sizes.push_back(frame.size());
      if (throws) throw std::runtime_error("on purpose");
    }
    void on_gone(std::uint32_t) override {}
  } sink;
  for (std::size_t i = 0; i < 20; ++i)
    ASSERT_TRUE(zero_.transport->send(1, frame_of(i, 8 + i)).ok());
  const auto until = std::chrono::steady_clock::now() + conformance::deadline;
  while (sink.sizes.size() < 20 && std::chrono::steady_clock::now() < until) {
    zero_.poll();
    bool any = false;
    // What is left does not wait for more to come.
    one_.transport->wait(std::chrono::milliseconds(1));
    try {
      ASSERT_TRUE(one_.transport->poll(sink, any).ok());
    } catch (const std::runtime_error&) {
    }
  }
  ASSERT_EQ(sink.sizes.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(sink.sizes[i], 8 + i);
}

}  // namespace
}  // namespace exdb::tcp
