// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Point-to-point sending. A frame that fits the receiver's buffer is one message on the control
// communicator; a longer one is announced there and follows on the data communicator in pieces that
// an int can count.
//
// Invariants
//   I1  A frame is kept alive until MPI has let go of it, and no longer.
//   I2  Messages to one peer are handed to MPI in the order of the calls.
// Threads: one at a time (the transport's lock).
// Failure: a Status of a failed MPI call; the transport then ends.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "doorbell.hpp"
#include "exdb/transport.hpp"

namespace exdb::mpi {

class Outbox {
 public:
  /// `inline_bytes[r]`: what rank r's receives hold, at most this node's own send buffer.
  Outbox(MPI_Comm control, MPI_Comm data, std::vector<std::size_t> inline_bytes, Doorbell& doorbell)
      : control_(control),
        data_(data),
        inline_bytes_(std::move(inline_bytes)),
        doorbell_(doorbell) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  [[nodiscard]] bool fits(std::uint32_t to, std::size_t bytes) const {
    return bytes <= inline_bytes_[to];
  }
  /// `after_collective`: a broadcast that must not overtake the collective ones before it.
  Status send(std::uint32_t to, const Frame& frame, bool after_collective);
  /// The last message to `to`: how many exchanges this node has begun.
  Status send_end(std::uint32_t to, std::uint64_t exchanges);
  /// Lets go of what MPI has taken. Rings those again whose answer a long transfer needs.
  Status step();
  [[nodiscard]] bool empty() const { return sending_.empty(); }

 private:
  struct Sending {
    MPI_Request request;
    std::uint32_t to;
    Frame frame;  ///< kept alive; none for a number
    std::unique_ptr<std::uint64_t> number;
  };
  MPI_Comm control_, data_;
  std::vector<std::size_t> inline_bytes_;
  Doorbell& doorbell_;
  std::vector<Sending> sending_;

  Status hand_over(MPI_Comm communicator, int tag, std::uint32_t to, const void* data,
                   std::size_t bytes, Frame frame, std::unique_ptr<std::uint64_t> number);
};

}  // namespace exdb::mpi
