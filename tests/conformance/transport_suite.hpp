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
#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "collector.hpp"
#include "exdb/collective_gather.hpp"

namespace exdb::conformance {

class Fabric {
 public:
  virtual ~Fabric() = default;
  [[nodiscard]] virtual std::uint32_t nodes() const = 0;
  /// Fresh transports of this process, over the same nodes as ever. COLLECTIVE.
  virtual std::vector<std::unique_ptr<Transport>> make() = 0;
  /// Waits for all nodes, by other means than the transport. Called by every node.
  virtual void barrier() = 0;
  /// Whether nodes can crash and come back here; if not, why.
  [[nodiscard]] virtual bool can_restart() const { return false; }
  /// The last make()'s node goes without a word. / Its next incarnation.
  virtual void crash(std::uint32_t /*node*/) {}
  virtual std::unique_ptr<Transport> restart(std::uint32_t /*node*/) { return nullptr; }
};

/// Polls until `done`; a check fails when that takes longer than the deadline.
template <class Done>
void poll_until(Transport& transport, Collector& into, Done done) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (!done() && std::chrono::steady_clock::now() < until) {
    bool any = false;
    const auto status = transport.poll(into, any);
    ASSERT_TRUE(status.ok()) << status.text();
    if (!any) transport.wait(std::chrono::microseconds(100));
  }
  EXPECT_TRUE(done()) << "node " << transport.self();
}

/// Polls until at least `count` frames are there in all: a quick node may be ahead.
inline void receive(Transport& transport, Collector& into, std::uint64_t count) {
  poll_until(transport, into, [&] { return into.count >= count; });
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
    CollectiveGather* const gather = transport.gather();
    if (gather == nullptr) return;  // optional
    auto all = gather->collective_gather(mine, std::chrono::seconds(30));
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

TYPED_TEST_P(TransportSuite, a_removed_node_may_be_added_again_where_it_can_rejoin) {
  this->spmd([&](Transport& transport) {
    const auto removed = transport.size() - 1;
    if (transport.size() == 1) return;
    if (!transport.can_rejoin()) {
      EXPECT_TRUE(transport.broadcast_is_collective()) << "the only reason there is";
      this->fabric_.barrier();
      EXPECT_EQ(transport.add(removed).code(), ErrorCode::unsupported);
      return;
    }
    Collector got;
    constexpr std::uint64_t rounds = 20;
    const auto others = transport.size() - 1;
    // Without it, then with it again; it hears the second part only, and is heard in it.
    if (transport.self() != removed) {
      transport.remove(removed);
      for (std::uint64_t i = 0; i < rounds; ++i)
        this->expect_ok(transport.broadcast(frame_of(i, 500)));
      receive(transport, got, rounds * (others - 1));
    }
    this->fabric_.barrier();
    if (transport.self() != removed) {
      this->expect_ok(transport.add(removed));
      this->expect_ok(transport.add(removed));
    }
    this->fabric_.barrier();
    const auto before = transport.self() == removed ? 0 : rounds * (others - 1);
    for (std::uint64_t i = rounds; i < 2 * rounds; ++i) {
      this->expect_ok(transport.broadcast(frame_of(i, i == rounds + 3 ? 200'000 : 500)));
      receive(transport, got, before + (i + 1 - rounds) * others);
    }
    receive_nothing(transport, got);
    for (std::uint32_t from = 0; from < transport.size(); ++from) {
      if (from == transport.self()) continue;
      const bool apart = from == removed || transport.self() == removed;
      const auto numbers = counting(2 * rounds);
      EXPECT_EQ(got.numbers[from],
                std::vector(numbers.begin() + (apart ? rounds : 0), numbers.end()));
    }
  });
}

TYPED_TEST_P(TransportSuite, a_node_that_crashed_comes_back_as_another_incarnation) {
  if (!this->fabric_.can_restart()) GTEST_SKIP() << "no node can be started again here";
  this->spmd([&](Transport& transport) {
    const auto lost = transport.size() - 1;
    Collector got;
    const auto others = transport.size() - 1;
    const auto one_round = [&](Transport& with, std::uint64_t number, std::uint64_t count) {
      this->expect_ok(with.broadcast(frame_of(number)));
      receive(with, got, count);
    };
    one_round(transport, 0, others);
    this->fabric_.barrier();
    if (transport.self() == lost) {
      // On its way when it crashes: arrives before the news of the crash, or never.
      this->expect_ok(transport.broadcast(frame_of(1)));
      this->fabric_.crash(lost);
      bool any = false;
      EXPECT_FALSE(transport.poll(got, any).ok());
      EXPECT_FALSE(transport.broadcast(frame_of(2)).ok());
      this->fabric_.barrier();
      const auto again = this->fabric_.restart(lost);
      EXPECT_EQ(again->gather(), nullptr) << "nobody gathers with it";
      this->fabric_.barrier();
      got = {};
      one_round(*again, 10, others);
      receive_nothing(*again, got);
      for (std::uint32_t from = 0; from < lost; ++from)
        EXPECT_EQ(got.numbers[from], std::vector<std::uint64_t>{10})
            << "nothing of the time before is left for it";
      EXPECT_FALSE(transport.poll(got, any).ok()) << "the old incarnation stays dead";
      again->close(false);
      return;
    }
    poll_until(transport, got, [&] { return !got.gone.empty(); });
    EXPECT_EQ(got.gone, std::vector<std::uint32_t>{lost});
    EXPECT_TRUE(got.ups.empty());
    const auto of_first = got.numbers[lost].size();
    this->expect_ok(transport.send(lost, frame_of(3)));  // lost, and no failure
    this->fabric_.barrier();
    poll_until(transport, got, [&] { return !got.ups.empty(); });
    EXPECT_EQ(got.ups, (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{lost, 1}}));
    EXPECT_EQ(got.numbers[lost].size(), of_first) << "nothing arrives between gone and up";
    this->fabric_.barrier();
    one_round(transport, 10, got.count + others);
    EXPECT_EQ(got.numbers[lost].back(), 10U);
  });
}

TYPED_TEST_P(TransportSuite, takes_no_more_than_its_bound_for_a_node_that_takes_nothing) {
  constexpr std::size_t frame_bytes = 128 * 1024;
  this->spmd([&](Transport& transport) {
    if (transport.size() == 1) return;
    Collector got;
    const auto bound = transport.send_bound_bytes();
    std::uint64_t handed = 0;
    this->fabric_.barrier();
    // Node 0 does not poll. Everybody else hands it as much as it may.
    if (transport.self() != 0) {
      const auto most = bound / frame_bytes + 1 + Transport::frames_always_taken;
      while (transport.has_room(0) && handed <= most)
        this->expect_ok(transport.send(0, frame_of(handed++, frame_bytes)));
      EXPECT_LE(handed, most) << "it queues without bound";
      EXPECT_GE(handed * frame_bytes, bound) << "the bound is what it says";
      EXPECT_FALSE(transport.send(0, frame_of(handed, frame_bytes)).ok());
      if (!transport.broadcast_is_collective()) {
        EXPECT_FALSE(transport.has_room(transport.self())) << "nor a broadcast";
        EXPECT_FALSE(transport.broadcast(frame_of(handed, frame_bytes)).ok());
      }
    }
    this->fabric_.barrier();
    if (transport.self() == 0) {
      poll_until(transport, got, [&] {
        for (std::uint32_t from = 1; from < transport.size(); ++from)
          if (got.numbers[from].empty() || got.sizes[from].back() == frame_bytes) return false;
        return true;
      });
      for (std::uint32_t from = 1; from < transport.size(); ++from)
        EXPECT_EQ(got.numbers[from], counting(got.numbers[from].size()))
            << "what was refused is not there, what was taken is";
      this->send_to_all(transport, frame_of(0));
    } else {
      poll_until(transport, got, [&] { return transport.has_room(0); });
      this->expect_ok(transport.send(0, frame_of(handed, 16)));
      // Only polling moves what is on its way.
      receive(transport, got, 1);
    }
  });
}

TYPED_TEST_P(TransportSuite, always_takes_as_many_frames_as_the_round_protocol_needs) {
  this->spmd([&](Transport& transport) {
    if (transport.size() == 1) return;
    // Each alone fills the bound: the batches of two rounds, whatever they hold, and two doorbells.
    const auto frame = frame_of(0, transport.send_bound_bytes());
    Collector got;
    this->fabric_.barrier();
    if (transport.self() != 0) {
      for (std::size_t i = 0; i < Transport::frames_always_taken; ++i)
        this->expect_ok(transport.send(0, frame));
      EXPECT_FALSE(transport.has_room(0));
    }
    this->fabric_.barrier();
    const auto count = Transport::frames_always_taken * (transport.size() - 1);
    if (transport.self() == 0) {
      receive(transport, got, count);
      this->send_to_all(transport, frame_of(0));
    } else {
      poll_until(transport, got, [&] { return transport.has_room(0); });
      receive(transport, got, 1);
    }
  });
}

TYPED_TEST_P(TransportSuite, a_broadcast_that_the_others_do_not_join_is_bounded_too) {
  this->spmd([&](Transport& transport) {
    if (!transport.broadcast_is_collective() || transport.size() == 1) return;
    constexpr std::size_t frame_bytes = 256 * 1024;
    const auto most =
        transport.send_bound_bytes() / frame_bytes + 1 + Transport::frames_always_taken;
    Collector got;
    std::uint64_t handed = 0;
    if (transport.self() == 0) {
      while (transport.has_room(0) && handed <= most)
        this->expect_ok(transport.broadcast(frame_of(handed++, frame_bytes)));
      EXPECT_LE(handed, most);
      EXPECT_FALSE(transport.broadcast(frame_of(handed)).ok());
      for (std::uint32_t to = 1; to < transport.size(); ++to)
        this->expect_ok(transport.send(to, frame_of(handed)));
    } else {
      receive(transport, got, 1);
      handed = got.numbers[0].front();
    }
    this->fabric_.barrier();
    const auto before = got.count;
    for (std::uint64_t i = 0; i < handed; ++i) {
      if (transport.self() != 0) this->expect_ok(transport.broadcast(frame_of(i)));
      receive(transport, got, before + (i + 1) * (transport.size() - 1));
    }
    EXPECT_TRUE(transport.has_room(transport.self()));
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
    a_removed_node_may_be_added_again_where_it_can_rejoin,
    a_node_that_crashed_comes_back_as_another_incarnation,
    takes_no_more_than_its_bound_for_a_node_that_takes_nothing,
    always_takes_as_many_frames_as_the_round_protocol_needs,
    a_broadcast_that_the_others_do_not_join_is_bounded_too, wait_returns_within_its_cap,
    wake_ends_a_wait_and_is_not_lost_when_it_comes_first, polls_and_sends_beside_a_sleeping_wait,
    counts_frames_and_bytes, what_was_sent_before_a_collective_close_arrives,
    a_local_close_waits_for_nobody);

}  // namespace exdb::conformance
