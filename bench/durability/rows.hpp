// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What both benchmarks of durability have: the rows that they write, of 64 bytes and with a unique key,
// and what they say of commits on a disk beside those in memory.
//
// Threads: plain values, of one thread.
// Failure: as the database's.
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "common/report.hpp"
#include "exdb/exdb.hpp"

namespace exdb::bench {

constexpr int hot_rows = 4096;  ///< that commits change

struct Rows {
  const std::shared_ptr<const Dictionary> schema =
      Dictionary::parse(
          "class Row { int8 id; int8 a; int8 b; int8 c; int8 d; int8 e; int8 f; int8 g;"
          " unique hash<id> by_id; };")
          .value();
  const ClassDef& type = schema->classes()[0];
  const IndexDef& by_id = schema->indexes()[0];
  const Field<std::int64_t> id = type.field<std::int64_t>("id"), a = type.field<std::int64_t>("a");

  void create(Connection& con, std::int64_t key) const { con.create(type).set(id, key); }
  /// In a transaction that is open.
  void change(Connection& con, std::int64_t key, std::int64_t to) const {
    const Value wanted[] = {key};
    con.find(by_id, wanted)->set(a, to);
  }
};

inline double median(std::vector<double> values) { return summary(std::move(values)).median; }

inline void append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// Commits/s with many under way, run by run: in memory, and right after that on the disk.
class BesideMemory {
 public:
  void add(double in_memory, double on_disk) {
    memory_.push_back(in_memory);
    disk_.push_back(on_disk);
    shares_.push_back(on_disk / in_memory);
  }
  /// `possible`: by the device alone, or the exchange and the device.
  void report(Report& to, double possible) const {
    const double disk = median(disk_), memory = median(memory_);
    const auto [lowest, highest] = std::minmax_element(shares_.begin(), shares_.end());
    to.number("disk_windowed_per_s", disk, "commits/s on the disk, many under way")
        .number("disk_windowed_ratio", possible / disk, "  x slower than that (goal: 1.5)")
        .number("memory_beside_per_s", memory, "commits/s in memory, between those")
        .number("disk_share", median(shares_), "  share of that on the disk, run by run")
        .number("disk_share_min", *lowest, "    lowest")
        .number("disk_share_max", *highest, "    highest")
        .number("disk_bound_ratio", std::min(possible, memory) / disk,
                "  x slower than the smaller of both");
  }
  [[nodiscard]] double disk_per_s() const { return median(disk_); }

 private:
  std::vector<double> memory_, disk_, shares_;
};

}  // namespace exdb::bench
