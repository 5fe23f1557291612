// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What is told of a checkpoint that takes long: nothing before the first five seconds are over, then a
// line each five, on stderr; and a number for who asks.
//
// Threads: as the stream within; `bytes` from any.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>

#include "cluster/state_transfer.hpp"

namespace exdb {

class CheckpointProgress final : public StateStream {
 public:
  using Say = std::function<void(const std::string&)>;
  static constexpr std::chrono::seconds apart_default{5};

  /// `bytes`: counts what was written.
  CheckpointProgress(StateStream& within, std::string name, std::atomic<std::uint64_t>& bytes,
                     std::chrono::nanoseconds apart = apart_default, Say say = to_stderr)
      : within_(within),
        name_(std::move(name)),
        bytes_(bytes),
        apart_(apart),
        say_(std::move(say)),
        told_(Clock::now()) {}

  bool next(std::vector<std::byte>& chunk) override {
    if (!within_.next(chunk)) return false;
    const auto bytes = bytes_.fetch_add(chunk.size()) + chunk.size();
    if (const auto now = Clock::now(); now - told_ >= apart_) {
      told_ = now;
      say_("exdb: checkpoint of database '" + name_ + "': " + std::to_string(bytes / 1'000'000) +
           " MB of rows written");
    }
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static void to_stderr(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

  StateStream& within_;
  const std::string name_;
  std::atomic<std::uint64_t>& bytes_;
  const std::chrono::nanoseconds apart_;
  const Say say_;
  Clock::time_point told_;
};

}  // namespace exdb
