// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The doorbell between two processes: a fork is node 1, cards travel by pipes. The sleeps are
// longer than the test may take: only being woken ends them.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "exdb/host.hpp"

namespace exdb {
namespace {

constexpr auto longer_than_the_test = std::chrono::minutes(10);

/// One way in each direction.
class Wire {
 public:
  Wire() {
    if (pipe(down_) != 0 || pipe(up_) != 0) std::abort();
  }
  template <class T>
  T swap(bool child, const T& mine) {
    T theirs{};
    if (write(child ? up_[1] : down_[1], &mine, sizeof mine) != sizeof mine ||
        read(child ? down_[0] : up_[0], &theirs, sizeof theirs) != sizeof theirs)
      _exit(9);
    return theirs;
  }

 private:
  int down_[2] = {-1, -1}, up_[2] = {-1, -1};
};

struct Met {
  std::vector<HostCard> cards;
  std::uint32_t self = 0;
};

/// Offers, swaps, maps and confirms, as an opening does. `lie` may change what this node tells.
Met meet(Doorbell& bell, Wire& wire, bool child,
         const std::function<void(HostCard&)>& lie = nullptr) {
  Met met{{}, child ? 1U : 0U};
  HostCard mine = bell.offer(met.self, 2);
  if (lie) lie(mine);
  const HostCard theirs = wire.swap(child, mine);
  met.cards = child ? std::vector{theirs, mine} : std::vector{mine, theirs};
  const std::uint8_t mapped = bell.map(met.cards, met.self) ? 1 : 0;
  const std::uint8_t other = wire.swap(child, mapped);
  bell.confirm(met.cards, child ? std::vector{other, mapped} : std::vector{mapped, other},
               met.self);
  return met;
}

/// Runs `body(true)` in a fork and `body(false)` here. The fork's result is its exit code.
void two_processes(const std::function<int(bool)>& body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(body(true));
  EXPECT_EQ(body(false), 0);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the other process: " << status;
}

TEST(Doorbell, a_message_then_a_ring_ends_the_other_process_s_sleep_every_time) {
  Wire wire;
  // The messages themselves: two counters that both see.
  auto* const message = static_cast<std::atomic<int>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  two_processes([&](bool child) {
    Doorbell bell;
    const Met met = meet(bell, wire, child);
    const std::uint32_t other = 1 - met.self;
    if (!bell.reaches(other)) return 1;
    for (int turn = 1; turn <= 500; ++turn) {
      // In turn: one speaks, the other sleeps. Some come before the sleep, some into it.
      if ((turn % 2 == 0) == child) {
        if (turn % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        message[0].store(turn);
        bell.ring(other);
      } else {
        while (message[0].load() < turn)
          bell.sleep(longer_than_the_test, [&] { return message[0].load() >= turn; });
      }
    }
    return 0;
  });
  munmap(message, 4096);
}

TEST(Doorbell, a_page_whose_nonce_is_another_is_not_believed) {
  Wire wire;
  two_processes([&](bool child) {
    Doorbell bell;
    const Met met = meet(bell, wire, child, [&](HostCard& card) { card.nonce += child ? 0 : 1; });
    // Node 0 maps its own page by what it knows itself; node 1 refuses what it was told.
    return bell.reaches(1 - met.self) ? 1 : 0;
  });
}

TEST(Doorbell, nodes_of_different_hosts_do_not_ring_each_other) {
  setenv("EXDB_PRETENDED_HOSTS", "2", 1);
  Wire wire;
  two_processes([&](bool child) {
    Doorbell bell;
    const Met met = meet(bell, wire, child);
    if (met.cards[0].same_host(met.cards[1]) || bell.reaches(1 - met.self)) return 1;
    bell.ring(1 - met.self);  // changes nothing
    bell.sleep(std::chrono::microseconds(100), [] { return false; });
    return 0;
  });
  unsetenv("EXDB_PRETENDED_HOSTS");
}

TEST(Doorbell, wake_is_not_lost_when_it_comes_before_the_sleep) {
  Doorbell bell;  // without a page: of this process alone
  bell.wake();
  bell.sleep(longer_than_the_test, [] { return false; });
  std::thread waker([&] { bell.wake(); });
  bell.sleep(longer_than_the_test, [] { return false; });
  waker.join();
}

TEST(Doorbell, leaves_no_descriptor_behind) {
  const auto descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = descriptors();
  for (int turn = 0; turn < 20; ++turn) {
    Doorbell confirmed, forgotten;
    const std::vector<HostCard> cards{confirmed.offer(0, 1)};
    forgotten.offer(0, 1);
    const std::uint8_t mapped = confirmed.map(cards, 0) ? 1 : 0;
    EXPECT_EQ(mapped, 1);
    confirmed.confirm(cards, {mapped}, 0);
    EXPECT_FALSE(confirmed.reaches(0)) << "nobody rings itself";
  }
  EXPECT_EQ(descriptors(), before);
}

}  // namespace
}  // namespace exdb
