// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a node sends to and gets from each other one. A broadcast is counted once for all, not once
// a node: it is made in every round.
//
// Invariants
//   I1  A node that was removed gets no broadcasts after that.
// Threads: one writer at a time; of() by any beside it.
// Failure: none.
#pragma once
#include <vector>

#include "exdb/cluster_info.hpp"
#include "exdb/transport_counters.hpp"

namespace exdb {

class Traffic {
 public:
  explicit Traffic(std::uint32_t nodes) : nodes_(nodes) {}

  void sent(std::uint32_t to, std::size_t bytes) { nodes_[to].sent.add(bytes); }
  void broadcast(std::size_t bytes) { broadcasts_.add(bytes); }
  void received(std::uint32_t from, std::size_t bytes) { nodes_[from].received.add(bytes); }
  /// Idempotent.
  void removed(std::uint32_t node) {
    auto& link = nodes_[node];
    if (link.removed.load(std::memory_order_relaxed)) return;
    link.sent.add(broadcasts_);
    link.removed.store(true, std::memory_order_release);
  }

  [[nodiscard]] ClusterTraffic of(std::uint32_t node) const {
    const auto& link = nodes_[node];
    const bool removed = link.removed.load(std::memory_order_acquire);
    ClusterTraffic traffic;
    traffic.frames_sent = link.sent.frames.value() + (removed ? 0 : broadcasts_.frames.value());
    traffic.bytes_sent = link.sent.bytes.value() + (removed ? 0 : broadcasts_.bytes.value());
    traffic.frames_received = link.received.frames.value();
    traffic.bytes_received = link.received.bytes.value();
    return traffic;
  }

 private:
  struct Sum {
    Counter frames, bytes;
    void add(std::size_t more) {
      frames.add(1);
      bytes.add(more);
    }
    void add(const Sum& more) {
      frames.add(more.frames.value());
      bytes.add(more.bytes.value());
    }
  };
  struct Link {
    Sum sent, received;
    std::atomic<bool> removed{false};
  };
  std::vector<Link> nodes_;
  Sum broadcasts_;
};

}  // namespace exdb
