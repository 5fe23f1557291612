// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Broadcasts as a collective exchange: the k-th broadcasts of all ranks travel together in one
// MPI_Iallgather of fixed cells, {length, the frame if it is short}; when any frame is longer than
// a cell, all long ones follow by MPI_Iallgatherv.
//
// Invariants
//   I1  Every rank makes the same sequence of collective calls: what follows the cells depends on
//       the cells alone.
//   I2  One exchange at a time; the next begins when all frames of the one before were taken.
// Threads: one at a time (the transport's lock).
// Failure: a Status of a failed MPI call. An exchange that a dead rank does not join never ends and
//   cannot be cancelled.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "exdb/send_bound.hpp"
#include "inbox.hpp"

namespace exdb::mpi {

class CollectiveExchange {
 public:
  CollectiveExchange(MPI_Comm communicator, std::uint32_t self, std::uint32_t size,
                     std::size_t inline_bytes);
  CollectiveExchange(const CollectiveExchange&) = delete;
  CollectiveExchange& operator=(const CollectiveExchange&) = delete;

  /// Puts a frame into the next exchange. A null frame: this node has nothing to say in it.
  Status broadcast(Frame frame);
  Status step();
  /// The next frame of a completed exchange. Its bytes are valid until the call after.
  Status next(std::optional<Arrival>& arrival);

  [[nodiscard]] bool fits(std::size_t bytes) const { return bytes <= inline_bytes_; }
  [[nodiscard]] bool under_way() const { return request_ != MPI_REQUEST_NULL; }
  [[nodiscard]] bool idle() const { return !under_way() && !delivering_ && queue_.empty(); }
  /// Exchanges that this node has begun or is bound to begin.
  [[nodiscard]] std::uint64_t promised() const { return begun_ + queue_.size(); }
  [[nodiscard]] bool something_there() const { return delivering_; }
  /// Frames that this node has given and others have not joined.
  [[nodiscard]] const UnderWay& held() const { return held_; }

 private:
  MPI_Comm communicator_;
  std::uint32_t self_, size_;
  std::size_t inline_bytes_, cell_bytes_;
  std::deque<Frame> queue_;
  Frame mine_;
  UnderWay held_;  ///< in queue_ and mine_
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::uint64_t begun_ = 0;
  bool delivering_ = false;
  std::uint32_t next_from_ = 0;
  std::vector<std::byte> my_cell_, cells_;
  // Long frames come in passes, so that one pass can be counted by an int.
  std::uint64_t longest_ = 0;
  std::size_t pass_from_ = 0, pass_each_;
  std::vector<int> counts_, offsets_;
  std::vector<std::byte> pass_;
  std::vector<std::vector<std::byte>> long_;
  bool gathering_long_ = false;

  [[nodiscard]] std::uint64_t length_of(std::uint32_t rank) const;
  [[nodiscard]] bool is_long(std::uint64_t length) const;
  Status begin();
  Status begin_pass();
  void take_pass();
  Status completed();
};

}  // namespace exdb::mpi
