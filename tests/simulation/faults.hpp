// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What goes wrong in a simulated cluster: at random times, in bursts, and at the very moment at
// which a certain message is sent. Within the failure budget: in memory mode the nodes that have a
// state, and where nodes are on disk the disks that have one, keep a majority of the qrank.
//
// Threads: none.
#pragma once
#include <map>
#include <string>

#include "simulated_cluster.hpp"

namespace exdb::simulation {

class Faults {
 public:
  using Counts = std::map<std::string, std::uint64_t>;

  Faults(SimulatedCluster& cluster, Counts& counts);
  /// From now on, until end().
  void begin();
  /// Nothing new goes wrong, all links are mended, all nodes run.
  void end();

 private:
  void next();
  void strike();
  void at_message(std::uint32_t from, std::uint32_t to, const Frame& frame);
  void count(const std::string& what);
  bool crash(std::uint32_t id, bool silent);
  void restart_later(std::uint32_t id);
  void strike_disks();
  bool forget_beside_override();
  void cut(std::uint32_t one, std::uint32_t other, Time for_so_long);
  void cut_all_but_to(std::uint32_t lucky, Time for_so_long);
  void isolate(std::uint32_t id, Time for_so_long);
  void partition(bool partial);
  void flap(std::uint32_t one, std::uint32_t other, std::uint64_t times);
  void leave(std::uint32_t id);
  [[nodiscard]] Time duration();
  [[nodiscard]] std::uint32_t any_node() { return std::uint32_t(random_.below(cluster_.size())); }
  [[nodiscard]] std::uint32_t other_than(std::uint32_t id);

  SimulatedCluster& cluster_;
  Random& random_;
  Counts& counts_;
  bool on_ = false;
  std::uint64_t round_ = 0;      ///< of begin() and end(): what was asked for before is void
  Time gap_;                     ///< between two faults, on the average
  bool out_counts_;              ///< batches of a view without somebody are struck more often
  std::uint64_t at_message_in_;  ///< one in so many messages of a view change is struck
};

}  // namespace exdb::simulation
