// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "log.hpp"

#include <cstdio>

namespace exdb::tcp {

Log::Log(std::uint32_t node, std::function<void(const std::string&)> write)
    : prefix_("exdb[node " + std::to_string(node) + "] tcp: "), write_(std::move(write)) {}

void Log::line(const std::string& text) const {
  if (write_)
    write_(prefix_ + text);
  else
    std::fputs((prefix_ + text + "\n").c_str(), stderr);
}

void Log::limited(Event event, Clock::time_point now, const std::string& text) {
  Limit& limit = limits_[std::size_t(event)];
  if (limit.last != Clock::time_point::min() && now - limit.last < quiet) {
    ++limit.left_out;
    return;
  }
  const auto left_out = limit.left_out;
  limit = {now, 0};
  line(left_out == 0 ? text : text + " (and " + std::to_string(left_out) + " more like it before)");
}

}  // namespace exdb::tcp
