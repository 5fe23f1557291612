// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A network and a clock that exist in memory only. Each pair of nodes has a connection that is made,
// breaks and is made again; what travels on it arrives in order, each connection at a pace of its
// own. A break loses what was sent last, from a random place on, and each end hears of it at a time
// of its own, or not at all while the other end is silent.
//
// Invariants
//   N1  Frames of one connection arrive in order, without a gap, between on_up and on_down of the
//       receiver (Transport I1, I5).
//   N2  What happens depends on the seed and the calls, on nothing else.
// Threads: none.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <vector>

#include "exdb/transport.hpp"

namespace exdb::simulation {

using Time = std::chrono::nanoseconds;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : engine_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  Time within(Time bound) { return Time(std::int64_t(below(std::uint64_t(bound.count()) + 1))); }
  Time between(Time low, Time high) { return low + within(high - low); }

 private:
  std::mt19937_64 engine_;
};

/// Things that happen at a time; those of the same time in the order in which they were asked for.
class Clock {
 public:
  using Action = std::function<void()>;
  [[nodiscard]] Time now() const { return now_; }
  void at(Time time, Action action) {
    events_.push({std::max(time, now_), ++count_, std::move(action)});
  }
  void after(Time delay, Action action) { at(now_ + delay, std::move(action)); }
  /// Does the next thing; false when there is none.
  bool step() {
    if (events_.empty()) return false;
    auto event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.time;
    event.action();
    return true;
  }

 private:
  struct Event {
    Time time;
    std::uint64_t number;
    Action action;
    bool operator<(const Event& other) const {
      return std::pair(time, number) > std::pair(other.time, other.number);
    }
  };
  Time now_{0};
  std::uint64_t count_ = 0;
  std::priority_queue<Event> events_;
};

/// Who is told what arrives. A node that is down is told nothing.
class NetworkUser {
 public:
  virtual ~NetworkUser() = default;
  virtual void on_frame(std::uint32_t node, std::uint32_t from, const Frame& frame) = 0;
  virtual void on_link(std::uint32_t node, std::uint32_t other, bool up) = 0;
};

class VirtualNetwork {
 public:
  VirtualNetwork(std::uint32_t nodes, Clock& clock, Random& random, NetworkUser& user);

  void send(std::uint32_t from, std::uint32_t to, Frame frame);
  /// A node begins or ends to exist. `silent`: the others' ends do not hear of its end.
  void node_up(std::uint32_t node);
  void node_down(std::uint32_t node, bool silent);
  /// No connection between these two until there were as many heal() as cut().
  void cut(std::uint32_t one, std::uint32_t other);
  /// The same for all pairs, at a bad moment: what is on its way to `lucky` still arrives there, and
  /// nothing anywhere else.
  void cut_all_but_to(std::uint32_t lucky);
  void heal(std::uint32_t one, std::uint32_t other);
  void heal_all();
  /// Nothing arrives from `from` at `to` before this time; then it does, unless the link broke.
  void stall(std::uint32_t from, std::uint32_t to, Time until);
  /// Frames from `from` to `to` take this much longer.
  void slow(std::uint32_t from, std::uint32_t to, Time extra) { way(from, to).extra = extra; }

 private:
  /// One direction of a connection.
  struct Way {
    Time pace{0}, extra{0}, not_before{0};
    Time last_arrival{0};
    Time cut_off{Time::max()};  ///< what would arrive later is lost
    std::deque<Frame> under_way;
  };
  struct Pair {
    std::uint64_t epoch = 0;  ///< odd while there is a connection
    std::uint32_t cuts = 0;
    Time free_at{0};  ///< both ends have heard of the break before
    bool told[2] = {false, false};
    std::shared_ptr<Way> ways[2];
  };

  Pair& pair(std::uint32_t one, std::uint32_t other) {
    return pairs_[std::min(one, other) * nodes_ + std::max(one, other)];
  }
  Way& way(std::uint32_t from, std::uint32_t to) { return *pair(from, to).ways[from < to ? 0 : 1]; }
  void deliver(std::uint32_t from, std::uint32_t to, const std::shared_ptr<Way>& way);
  void disconnect(std::uint32_t one, std::uint32_t other, bool silent_one, bool silent_other,
                  std::optional<std::uint32_t> lucky = {});
  void tell_down(std::uint32_t node, std::uint32_t other, Time at);
  void connect_if_possible(std::uint32_t one, std::uint32_t other);
  void connect(std::uint32_t one, std::uint32_t other);

  std::uint32_t nodes_;
  Clock& clock_;
  Random& random_;
  NetworkUser& user_;
  std::vector<bool> up_;
  std::vector<Pair> pairs_;
};

}  // namespace exdb::simulation
