// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Recognises that two processes of one host close two shared databases in opposite order. Between
// hosts the leaders do (cluster/opposite_order.hpp): a host says stop in the rounds only when all
// of its processes have stopped, so where those of each host agree on the order, a wait between
// hosts is one between leaders.
//
// In the segment of each database a process says in the stop of which other one the thread waits
// that would stop this one (`waits_in`). Who waits in stop here, keeps that other one open, and has
// seen that for long enough is part of the two; it says so in the other's segment (`accuses`)
// before it goes, and who waits there and keeps this one knows it by that.
//
// Invariants
//   I1  Both are told: `accuses` is written before the process stops or leaves the other database,
//       and looked at before any stop there comes back.
//   I2  What a process says of itself it takes back when the wait is over; `accuses` stays.
// Threads: all functions from any thread that waits in stop; of several one looks.
#pragma once
#include <chrono>
#include <map>
#include <mutex>

#include "cluster/closing.hpp"
#include "host/host_segment.hpp"

namespace exdb {

class HostOrder {
 public:
  using Clock = std::chrono::steady_clock;

  /// `timeout`: of the database; the shorter it is, the sooner an order is told. `name`: of it.
  HostOrder(HostSegment& segment, Closing& closing, std::uint32_t self, std::string name,
            std::chrono::milliseconds timeout);

  /// What a keeper of this database says (Closing::Say), written into the segment.
  static void say(HostSegment& segment, std::uint32_t self, std::uint64_t cluster_id, bool accuses);

  /// The error of an opposite order, or ok. Looks now and then, however often it is called.
  Status look(Clock::time_point now);
  /// The same, as far as another process has told it already.
  [[nodiscard]] Status told() const;

 private:
  struct Sighting {
    std::uint64_t cluster_id = 0;
    Clock::time_point since;
  };
  [[nodiscard]] Status error(std::uint32_t node, const std::string& kept) const;

  HostSegment& segment_;
  Closing& closing_;
  const std::uint32_t self_;
  const std::string name_;
  const Clock::duration sure_after_;
  std::mutex looking_;
  // Under it.
  Clock::time_point next_look_;
  std::map<std::uint32_t, Sighting> sightings_;  ///< by node
};

}  // namespace exdb
