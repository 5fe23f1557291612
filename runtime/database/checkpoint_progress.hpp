// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What is told on stderr of a checkpoint that takes long: nothing before the first five seconds are
// over, then a line each five.
//
// Threads: as the stream within.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "cluster/state_transfer.hpp"

namespace exdb {

class CheckpointProgress final : public StateStream {
 public:
  CheckpointProgress(StateStream& within, std::string name)
      : within_(within), name_(std::move(name)), told_(Clock::now()) {}

  bool next(std::vector<std::byte>& chunk) override {
    if (!within_.next(chunk)) return false;
    bytes_ += chunk.size();
    if (const auto now = Clock::now(); now - told_ >= apart) {
      told_ = now;
      std::fprintf(stderr, "exdb: checkpoint of database '%s': %llu MB of rows written\n",
                   name_.c_str(), static_cast<unsigned long long>(bytes_ / 1'000'000));
    }
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds apart{5};

  StateStream& within_;
  const std::string name_;
  Clock::time_point told_;
  std::uint64_t bytes_ = 0;
};

}  // namespace exdb
