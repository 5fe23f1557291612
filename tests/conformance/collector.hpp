// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Frames whose content is known by their number, and a sink that checks it.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "exdb/transport.hpp"

namespace exdb::conformance {

constexpr auto deadline = std::chrono::seconds(60);

inline Frame frame_of(std::uint64_t number, std::size_t bytes = 16) {
  auto frame = std::make_shared<std::vector<std::byte>>(std::max(bytes, sizeof(number)));
  for (std::size_t i = 0; i < frame->size(); ++i) (*frame)[i] = std::byte(number + 31 * i);
  std::memcpy(frame->data(), &number, sizeof(number));
  return frame;
}

/// Collects what arrives, and checks that it is whole.
class Collector : public FrameSink {
 public:
  void on_frame(std::uint32_t from, std::span<const std::byte> frame) override {
    std::uint64_t number = 0;
    ASSERT_GE(frame.size(), sizeof(number));
    std::memcpy(&number, frame.data(), sizeof(number));
    const auto expected = frame_of(number, frame.size());
    EXPECT_EQ(std::memcmp(frame.data(), expected->data(), frame.size()), 0)
        << "frame " << number << " from " << from << " is not as it was sent";
    numbers[from].push_back(number);
    sizes[from].push_back(frame.size());
    ++count;
  }
  void on_gone(std::uint32_t node) override { gone.push_back(node); }
  void on_up(std::uint32_t node, std::uint32_t incarnation) override {
    ups.emplace_back(node, incarnation);
  }

  std::map<std::uint32_t, std::vector<std::uint64_t>> numbers;
  std::map<std::uint32_t, std::vector<std::size_t>> sizes;
  std::vector<std::uint32_t> gone;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ups;  ///< node, incarnation
  std::uint64_t count = 0;
};

}  // namespace exdb::conformance
