// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What every Transport must do, as a typed suite over a Fabric: the way of getting at the
// transports of one cluster. Tests are written SPMD, as an MPI program is: the body of a test is
// run once for each node; in process for all nodes in threads, under mpiexec for the one node of
// each process.
//
//   struct MyFabric : Fabric { … };   // default constructible, on every process alike
//   INSTANTIATE_TYPED_TEST_SUITE_P(My, TransportSuite, testing::Types<MyFabric>);
//
// A failed check does not end a body, so that no node leaves the others waiting. Every wait has a
// deadline.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "exdb/transport.hpp"

namespace exdb::conformance {

class Fabric {
 public:
  virtual ~Fabric() = default;
  [[nodiscard]] virtual std::uint32_t nodes() const = 0;
  /// Fresh transports of this process, over the same nodes as ever. COLLECTIVE.
  virtual std::vector<std::unique_ptr<Transport>> make() = 0;
  /// Waits for all nodes, by other means than the transport. Called by every node.
  virtual void barrier() = 0;
};

constexpr auto deadline = std::chrono::seconds(60);

inline Frame frame_of(std::uint64_t number, std::size_t bytes = 16) {
  auto frame = std::make_shared<std::vector<std::byte>>(std::max(bytes, sizeof(number)));
  for (std::size_t i = 0; i < frame->size(); ++i) (*frame)[i] = std::byte(number + 31 * i);
  std::memcpy(frame->data(), &number, sizeof(number));
  return frame;
}

/// Collects what arrives, and checks that it is whole.
class Collector : public FrameSink {
 public:
  void on_frame(std::uint32_t from, std::span<const std::byte> frame) override {
    std::uint64_t number = 0;
    ASSERT_GE(frame.size(), sizeof(number));
    std::memcpy(&number, frame.data(), sizeof(number));
    const auto expected = frame_of(number, frame.size());
    EXPECT_EQ(std::memcmp(frame.data(), expected->data(), frame.size()), 0)
        << "frame " << number << " from " << from << " is not as it was sent";
    numbers[from].push_back(number);
    sizes[from].push_back(frame.size());
    ++count;
  }
  void on_gone(std::uint32_t node) override { gone.push_back(node); }

  std::map<std::uint32_t, std::vector<std::uint64_t>> numbers;
  std::map<std::uint32_t, std::vector<std::size_t>> sizes;
  std::vector<std::uint32_t> gone;
  std::uint64_t count = 0;
};

/// Polls until at least `count` frames are there in all: a quick node may be ahead.
inline void receive(Transport& transport, Collector& into, std::uint64_t count) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (into.count < count && std::chrono::steady_clock::now() < until) {
    bool any = false;
    const auto status = transport.poll(into, any);
    ASSERT_TRUE(status.ok()) << status.text();
    if (!any) transport.wait(std::chrono::microseconds(100));
  }
  EXPECT_GE(into.count, count) << "node " << transport.self();
}

/// Nothing more arrives for a while. (Not a proof: a duplicate would come at once.)
inline void receive_nothing(Transport& transport, Collector& into) {
  const auto before = into.count;
  for (int i = 0; i < 20; ++i) {
    bool any = false;
    EXPECT_TRUE(transport.poll(into, any).ok());
    transport.wait(std::chrono::microseconds(200));
  }
  EXPECT_EQ(into.count, before) << "node " << transport.self();
}

template <class FabricType>
class TransportSuite : public testing::Test {
 protected:
  using Body = std::function<void(Transport&)>;

  /// Runs `body` for each node of this process; then closes collectively unless the body has
  /// closed.
  void spmd(const Body& body) {
    auto transports = fabric_.make();
    std::vector<std::thread> threads;
    const auto one = [&](Transport& transport) {
      body(transport);
      fabric_.barrier();
      transport.close(true);
    };
    for (std::size_t i = 1; i < transports.size(); ++i)
      threads.emplace_back([&, i] { one(*transports[i]); });
    one(*transports[0]);
    for (auto& thread : threads) thread.join();
  }

  void send_to_all(Transport& transport, const Frame& frame) {
    for (std::uint32_t to = 0; to < transport.size(); ++to)
      if (to != transport.self()) this->expect_ok(transport.send(to, frame));
  }
  void expect_ok(const Status& status) { EXPECT_TRUE(status.ok()) << status.text(); }

  FabricType fabric_;
};

inline std::vector<std::uint64_t> counting(std::uint64_t count) {
  std::vector<std::uint64_t> numbers(count);
  for (std::uint64_t i = 0; i < count; ++i) numbers[i] = i;
  return numbers;
}

TYPED_TEST_SUITE_P(TransportSuite);

TYPED_TEST_P(TransportSuite, knows_its_place) {
  this->spmd([&](Transport& transport) {
    EXPECT_EQ(transport.size(), this->fabric_.nodes());
    EXPECT_LT(transport.self(), transport.size());
    EXPECT_FALSE(transport.describe().empty());
    (void)transport.crowded();
  });
}

TYPED_TEST_P(TransportSuite, gathers_from_all_what_each_has_given) {
  this->spmd([&](Transport& transport) {
    // Of different lengths, one of them empty.
    const std::vector<std::byte> mine(transport.self() * 1000, std::byte(transport.self()));
    auto all = transport.collective_gather(mine, std::chrono::seconds(30));
    ASSERT_TRUE(all.ok()) << all.status().text();
    ASSERT_EQ(all->size(), transport.size());
    for (std::uint32_t node = 0; node < transport.size(); ++node)
      EXPECT_EQ((*all)[node], std::vector<std::byte>(node * 1000, std::byte(node)));
  });
}

TYPED_TEST_P(TransportSuite, sends_many_small_frames_whole_once_and_in_order) {
  constexpr std::uint64_t frames = 2000;
  this->spmd([&](Transport& transport) {
    Collector got;
    for (std::uint64_t i = 0; i < frames; ++i) this->send_to_all(transport, frame_of(i));
    receive(transport, got, frames * (transport.size() - 1));
    receive_nothing(transport, got);
    for (std::uint32_t from = 0; from < transport.size(); ++from)
      if (from != transport.self()) {
        EXPECT_EQ(got.numbers[from], counting(frames));
      }
  });
}

TYPED_TEST_P(TransportSuite, keeps_the_order_of_long_and_short_frames) {
  const std::vector<std::size_t> sizes{8,  100'000,  9,      64 * 1024, 64 * 1024 + 1,
                                       10, 16'384,   16'385, 11,        2 * 1024 * 1024,
                                       12, 1'000'003};
  this->spmd([&](Transport& transport) {
    Collector got;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      this->send_to_all(transport, frame_of(i, sizes[i]));
    receive(transport, got, sizes.size() * (transport.size() - 1));
    for (std::uint32_t from = 0; from < transport.size(); ++from) {
      if (from == transport.self()) continue;
      EXPECT_EQ(got.numbers[from], counting(sizes.size()));
      EXPECT_EQ(got.sizes[from], sizes);
    }
    if (transport.size() > 1) {
      EXPECT_GT(transport.statistics().frames_long, 0U);
    }
  });
}

TYPED_TEST_P(TransportSuite, broadcasts_to_all_others_in_order) {
  constexpr std::uint64_t rounds = 300;
  this->spmd([&](Transport& transport) {
    Collector got;
    for (std::uint64_t i = 0; i < rounds; ++i) {
      this->expect_ok(transport.broadcast(
          frame_of(i, 8 + (i * 7919 + transport.self()) % (i % 50 == 0 ? 200'000 : 100))));
      receive(transport, got, (i + 1) * (transport.size() - 1));
    }
    receive_nothing(transport, got);
    for (std::uint32_t from = 0; from < transport.size(); ++from)
      if (from != transport.self()) {
        EXPECT_EQ(got.numbers[from], counting(rounds));
      }
  });
}

TYPED_TEST_P(TransportSuite, keeps_one_order_of_sends_and_broadcasts_unless_collective) {
  constexpr std::uint64_t frames = 400;
  this->spmd([&](Transport& transport) {
    if (transport.broadcast_is_collective()) return;
    Collector got;
    for (std::uint64_t i = 0; i < frames; ++i) {
      const auto frame = frame_of(i, i % 40 == 7 ? 150'000 : 20);
      if (i % 3 == 0)
        this->expect_ok(transport.broadcast(frame));
      else
        this->send_to_all(transport, frame);
    }
    receive(transport, got, frames * (transport.size() - 1));
    for (std::uint32_t from = 0; from < transport.size(); ++from)
      if (from != transport.self()) {
        EXPECT_EQ(got.numbers[from], counting(frames));
      }
  });
}

TYPED_TEST_P(TransportSuite, a_collective_broadcast_arrives_after_all_have_made_theirs) {
  this->spmd([&](Transport& transport) {
    if (!transport.broadcast_is_collective() || transport.size() == 1) return;
    Collector got;
    // All but the last make theirs; a doorbell must get through meanwhile.
    const auto last = transport.size() - 1;
    if (transport.self() != last) {
      this->expect_ok(transport.send(last, frame_of(0)));
      this->expect_ok(transport.broadcast(frame_of(1)));
    } else {
      receive(transport, got, last);
    }
    this->fabric_.barrier();
    bool any = false;
    this->expect_ok(transport.poll(got, any));
    EXPECT_EQ(got.count, transport.self() == last ? last : 0U);
    this->fabric_.barrier();
    if (transport.self() == last) this->expect_ok(transport.broadcast(frame_of(1)));
    receive(transport, got, transport.self() == last ? 2 * last : last);
  });
}

TYPED_TEST_P(TransportSuite, leaves_out_a_removed_node) {
  this->spmd([&](Transport& transport) {
    Collector got;
    const auto removed = transport.size() - 1;
    this->expect_ok(transport.broadcast(frame_of(0)));
    receive(transport, got, transport.size() - 1);
    if (transport.size() > 1 && transport.self() != removed) {
      transport.remove(removed);
      for (std::uint64_t i = 1; i <= 50; ++i) {
        this->expect_ok(transport.broadcast(frame_of(i)));
        receive(transport, got, transport.size() - 1 + i * (transport.size() - 2));
      }
    }
    this->fabric_.barrier();
    if (transport.self() == removed) receive_nothing(transport, got);
  });
}

TYPED_TEST_P(TransportSuite, wait_returns_within_its_cap) {
  this->spmd([&](Transport& transport) {
    // No bound in time is asserted but the test's own: that it comes back is what counts.
    for (const auto cap : {std::chrono::microseconds(0), std::chrono::microseconds(50),
                           std::chrono::microseconds(20'000)})
      transport.wait(cap);
    EXPECT_GE(transport.statistics().sleeps, 1U);
  });
}

TYPED_TEST_P(TransportSuite, wake_ends_a_wait_and_is_not_lost_when_it_comes_first) {
  this->spmd([&](Transport& transport) {
    transport.wake();
    transport.wait(deadline);
    std::atomic<bool> back{false};
    std::thread sleeper([&] {
      transport.wait(deadline);
      back = true;
    });
    while (!back) {
      transport.wake();
      std::this_thread::yield();
    }
    sleeper.join();
  });
}

TYPED_TEST_P(TransportSuite, polls_and_sends_beside_a_sleeping_wait) {
  this->spmd([&](Transport& transport) {
    Collector got;
    std::atomic<bool> over{false};
    std::thread sleeper([&] {
      for (; !over; std::this_thread::yield()) transport.wait(std::chrono::milliseconds(5));
    });
    const auto until = std::chrono::steady_clock::now() + deadline;
    for (std::uint64_t i = 0; i < 40; ++i) {
      this->send_to_all(transport, frame_of(i));
      while (got.count < (i + 1) * (transport.size() - 1) &&
             std::chrono::steady_clock::now() < until) {
        bool any = false;
        this->expect_ok(transport.poll(got, any));
        if (!any) std::this_thread::yield();
      }
    }
    EXPECT_EQ(got.count, 40U * (transport.size() - 1));
    over = true;
    transport.wake();
    sleeper.join();
  });
}

TYPED_TEST_P(TransportSuite, counts_frames_and_bytes) {
  this->spmd([&](Transport& transport) {
    Collector got;
    const auto others = transport.size() - 1;
    const auto before = transport.statistics();
    for (std::uint64_t i = 0; i < 10; ++i) this->send_to_all(transport, frame_of(i, 100));
    receive(transport, got, 10 * others);
    const auto after = transport.statistics();
    EXPECT_EQ(after.frames_sent - before.frames_sent, 10U * others);
    EXPECT_EQ(after.frames_received - before.frames_received, 10U * others);
    EXPECT_GE(after.bytes_sent - before.bytes_sent, 1000U * others);
    EXPECT_GE(after.bytes_received - before.bytes_received, 1000U * others);
    if (others > 0) {
      EXPECT_GT(after.polls, before.polls);
    }
  });
}

TYPED_TEST_P(TransportSuite, what_was_sent_before_a_collective_close_arrives) {
  this->spmd([&](Transport& transport) {
    Collector got;
    this->send_to_all(transport, frame_of(0, 500'000));
    receive(transport, got, transport.size() - 1);
    // Nodes come to the close in different order.
    std::this_thread::sleep_for(std::chrono::milliseconds(transport.self() * 3));
    transport.close(true);
    transport.close(true);
    transport.close(false);
  });
}

TYPED_TEST_P(TransportSuite, a_local_close_waits_for_nobody) {
  this->spmd([&](Transport& transport) {
    Collector got;
    this->send_to_all(transport, frame_of(0));
    receive(transport, got, transport.size() - 1);
    this->fabric_.barrier();
    if (transport.self() % 2 == 0) {
      transport.close(false);
      bool any = false;
      EXPECT_FALSE(transport.poll(got, any).ok()) << "use after close";
      EXPECT_FALSE(transport.broadcast(frame_of(1)).ok());
    }
    this->fabric_.barrier();
    transport.close(false);
  });
}

REGISTER_TYPED_TEST_SUITE_P(
    TransportSuite, knows_its_place, gathers_from_all_what_each_has_given,
    sends_many_small_frames_whole_once_and_in_order, keeps_the_order_of_long_and_short_frames,
    broadcasts_to_all_others_in_order, keeps_one_order_of_sends_and_broadcasts_unless_collective,
    a_collective_broadcast_arrives_after_all_have_made_theirs, leaves_out_a_removed_node,
    wait_returns_within_its_cap, wake_ends_a_wait_and_is_not_lost_when_it_comes_first,
    polls_and_sends_beside_a_sleeping_wait, counts_frames_and_bytes,
    what_was_sent_before_a_collective_close_arrives, a_local_close_waits_for_nobody);

}  // namespace exdb::conformance
