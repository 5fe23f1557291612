// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What processes of one cluster on one host share: who is on which host (HostCard), and the
// doorbell page, one line of memory for each node, in which a sleeping node says so and by which it
// is woken. MPI has nothing to wait on: without it an idle node naps and polls.
//
// Protocol of a wake-up. Sleeper: sleepers += 1; look once more for what it waits for; futex-wait
// on `word` as it was before. Waker: put the message where the sleeper looks; sleepers += 0, and if
// that was not 0: word += 1, futex-wake. Of the two additions one is first, and the other's thread
// sees what came before it. Rejected: waking before the message is there, to save the wake-up's
// time. The scheduler likes to put who is woken on the
// waker's processor, where it then looks in vain and keeps the sender from sending: the answer of a
// sleeping node took 330 µs instead of 140.
//
// The page is a memfd of the lowest node on the host; the others open it through /proc/<pid>/fd and
// believe it only when its first line has the nonce that travelled with the card. Nothing has a
// name in a file system, so nothing is left behind. Which nodes share a host is told by boot id and
// pid namespace: a launcher's word (MPI_Comm_split_type) does not promise that /proc/<pid> of the
// other means the same process here.
//
// Invariants
//   I1  Only nodes whose page was mapped and verified by both sides are rung.
//   I2  sleep() returns within its cap; after wake() at once, also when wake() came first.
// Threads: ring, wake: any. sleep: any number. offer, map, confirm: once each, in this order.
// Failure: none: a node without a page sleeps by its own line, and the cap alone ends its sleep.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace exdb {

/// What a node tells about its host and its page. Travels as bytes.
struct HostCard {
  std::uint64_t boot[2] = {0, 0};
  std::uint64_t pid_namespace = 0;
  std::uint64_t pretended = 0;  ///< forced grouping, for tests of several hosts on one machine
  std::uint64_t nonce = 0;      ///< of this process's offer: random, 0 = there was no randomness
  std::uint64_t unit_set = 0;   ///< Topology::set_hash
  std::uint32_t units = 1;
  std::int32_t pid = 0;
  std::int32_t page = -1;  ///< descriptor of the offered page in process `pid`; -1 = none
  std::uint32_t unused = 0;
  [[nodiscard]] bool same_host(const HostCard& other) const {
    return boot[0] == other.boot[0] && boot[1] == other.boot[1] &&
           pid_namespace == other.pid_namespace && pretended == other.pretended;
  }
};

class Doorbell {
 public:
  Doorbell() = default;
  ~Doorbell();
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  /// Makes a page for `nodes` lines and describes this process. The environment variable
  /// EXDB_PRETENDED_HOSTS=k splits the nodes into k hosts.
  HostCard offer(std::uint32_t self, std::uint32_t nodes);
  /// Maps the page of the lowest node on this host. True when it was verified. Every node must have
  /// offered and none may have confirmed.
  bool map(const std::vector<HostCard>& cards, std::uint32_t self);
  /// `mapped[n]`: node n said true. Closes the descriptor: from here on the mapping is all that is
  /// left.
  void confirm(const std::vector<HostCard>& cards, const std::vector<std::uint8_t>& mapped,
               std::uint32_t self);
  /// Whether ring(node) reaches it.
  [[nodiscard]] bool reaches(std::uint32_t node) const {
    return node < reachable_.size() && reachable_[node];
  }

  /// After something for `node` was put where it looks. No system call unless it sleeps.
  void ring(std::uint32_t node) {
    if (reaches(node)) ring_reachable(node);
  }
  void wake();
  /// `look()` is asked once more after the others can see that this node sleeps; true = do not
  /// sleep.
  template <class Look>
  void sleep(std::chrono::nanoseconds cap, Look look) {
    Line& line = *own_;
    if (woken_.exchange(false)) return;
    const std::uint32_t seen = line.word.load();
    line.sleepers.fetch_add(1);
    if (!look() && !woken_.exchange(false)) nap(line, seen, cap);
    line.sleepers.fetch_sub(1);
  }

 private:
  struct alignas(64) Line {
    std::atomic<std::uint32_t> word{0};
    std::atomic<std::uint32_t> sleepers{0};
    std::uint64_t nonce = 0;  ///< in the first line of a page, which belongs to no node
  };
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

  std::vector<bool> reachable_;
  Line private_line_;
  Line* own_ = &private_line_;
  Line* page_ = nullptr;
  std::size_t page_bytes_ = 0;
  int descriptor_ = -1;
  std::uint64_t nonce_ = 0;
  std::atomic<bool> woken_{false};

  void ring_reachable(std::uint32_t node);
  void drop_page();
  bool map_descriptor(int descriptor, std::uint64_t nonce);
  static void nap(Line& line, std::uint32_t seen, std::chrono::nanoseconds cap);
};

}  // namespace exdb
