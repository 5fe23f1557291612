// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Lines for people. What strangers can cause is limited: one line of each kind in `quiet`, which
// then says how many there were meanwhile.
//
// Threads: one at a time.
// Failure: none.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace exdb::tcp {

enum class Event : unsigned {
  refused,      ///< a hello that does not fit, a wrong certificate, garbage
  silent,       ///< a connection that did not say who it is in time
  crowd,        ///< more strangers than there is room for
  descriptors,  ///< none left
  unreachable,  ///< a node that cannot be connected to
  broken,       ///< a link that broke
  count
};

class Log {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds quiet{10};

  Log(std::uint32_t node, std::function<void(const std::string&)> write);

  /// What happens seldom: a node came, a node has gone.
  void line(const std::string& text) const;
  void limited(Event event, Clock::time_point now, const std::string& text);

 private:
  struct Limit {
    Clock::time_point last = Clock::time_point::min();
    std::uint64_t left_out = 0;
  };
  const std::string prefix_;
  std::function<void(const std::string&)> write_;
  std::array<Limit, std::size_t(Event::count)> limits_;
};

}  // namespace exdb::tcp
