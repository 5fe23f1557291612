// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the MPI tests share: opening, frames whose content says where they come from, and a sink
// that checks them.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "exdb/mpi.hpp"

namespace exdb::mpi_testing {

inline int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}
inline int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// {from, number, bytes that follow from both}; at least 8 bytes.
inline Frame numbered_frame(std::uint32_t from, std::uint32_t number, std::size_t bytes) {
  auto frame = std::make_shared<std::vector<std::byte>>(std::max<std::size_t>(bytes, 8));
  std::memcpy(frame->data(), &from, 4);
  std::memcpy(frame->data() + 4, &number, 4);
  for (std::size_t i = 8; i < frame->size(); ++i)
    (*frame)[i] = static_cast<std::byte>(from * 31 + number * 7 + i);
  return frame;
}

/// Expects the frames 0, 1, 2, … of every node.
class NumberedSink : public FrameSink {
 public:
  explicit NumberedSink(std::uint32_t nodes) : next_(nodes) {}
  void on_frame(std::uint32_t from, std::span<const std::byte> frame) override {
    ASSERT_LT(from, next_.size());
    ASSERT_GE(frame.size(), 8U);
    std::uint32_t says = 0, number = 0;
    std::memcpy(&says, frame.data(), 4);
    std::memcpy(&number, frame.data() + 4, 4);
    EXPECT_EQ(says, from);
    EXPECT_EQ(number, next_[from]) << "from node " << from;
    const auto wanted = numbered_frame(from, number, frame.size());
    EXPECT_TRUE(std::equal(frame.begin(), frame.end(), wanted->begin(), wanted->end()));
    next_[from] = number + 1;
    bytes_ += frame.size();
  }
  void on_gone(std::uint32_t) override {
    FAIL() << "a plain MPI job never tells that a rank has gone";
  }
  [[nodiscard]] std::uint32_t received(std::uint32_t from) const { return next_[from]; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// True when `count` frames have come from every node but `self` and those `left_out`.
  [[nodiscard]] bool all(std::uint32_t self, std::uint32_t count,
                         std::int64_t left_out = -1) const {
    for (std::uint32_t node = 0; node < next_.size(); ++node) {
      if (node != self && node != left_out && next_[node] < count) return false;
    }
    return true;
  }

 private:
  std::vector<std::uint32_t> next_;
  std::uint64_t bytes_ = 0;
};

inline std::unique_ptr<Transport> open(const mpi::Options& options = {},
                                       MPI_Comm communicator = MPI_COMM_WORLD) {
  auto made = mpi::transport(communicator, options);
  EXPECT_TRUE(made.ok()) << made.status().text();
  return made ? std::move(made).value() : nullptr;
}

/// Polls until `done`; the watchdog of the main ends a test that never gets there.
template <class Done>
void poll_until(Transport& transport, FrameSink& sink, Done done) {
  while (!done()) {
    bool any = false;
    Status status = transport.poll(sink, any);
    ASSERT_TRUE(status.ok()) << status.text();
    if (!any) transport.wait(std::chrono::microseconds(200));
  }
}

}  // namespace exdb::mpi_testing
