// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a Transport counts, for whoever writes one.
//
// Invariants
//   I1  A counter has one writer at a time (the rule of transport.hpp: one thread sends and polls,
//       one sleeps), so counting is a load and a store: no locked instruction, of which a commit
//       would otherwise meet seven.
// Threads: statistics() by any, beside the writers.
// Failure: none.
#pragma once
#include <atomic>

#include "exdb/transport.hpp"

namespace exdb {

class Counter {
 public:
  void add(std::uint64_t more) {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct TransportCounters {
  Counter frames_sent, frames_received, bytes_sent, bytes_received, frames_long, collectives, polls,
      sleeps;

  /// `copies` receivers get a frame of `bytes`; `is_long`: as a second message.
  void count_sent(std::uint64_t copies, std::size_t bytes, bool is_long) {
    frames_sent.add(copies);
    bytes_sent.add(copies * bytes);
    if (is_long) frames_long.add(copies);
  }
  void count_received(std::size_t bytes) {
    frames_received.add(1);
    bytes_received.add(bytes);
  }
  [[nodiscard]] TransportStatistics statistics() const {
    TransportStatistics result;
    result.frames_sent = frames_sent.value();
    result.frames_received = frames_received.value();
    result.bytes_sent = bytes_sent.value();
    result.bytes_received = bytes_received.value();
    result.frames_long = frames_long.value();
    result.collectives = collectives.value();
    result.polls = polls.value();
    result.sleeps = sleeps.value();
    return result;
  }
};

}  // namespace exdb
