// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Transport moves frames between the nodes of one cluster. It is the whole of what the runtime
// knows about networks: MPI (mpi/), TCP (tcp/) and the in-process one for tests implement it, and
// the same conformance suite runs over each.
//
// Invariants
//   I1  Frames from one node to another arrive whole, once, in the order of the calls; send and
//       broadcast keep one order (where a broadcast is collective, sends keep theirs and broadcasts
//       theirs, but a send may overtake a broadcast).
//   I2  send, broadcast and poll never block; memory for what is on its way is the only thing they
//       need.
//   I3  wait() returns within its cap; and soon after wake(), or after a frame arrived where the
//       transport can tell. A wake() or a frame that came between the last poll() and wait() is not
//       slept over.
// Threads: send, broadcast, remove, poll and close by one thread at a time (the caller holds the
//   drive lock). wait() by one thread at a time too, but without the drive lock: beside poll(),
//   send() and broadcast() of another. wake, statistics, crowded, self and size by any.
// Failure: a failed transport says so from poll(); frames handed over before may or may not have
//   arrived.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb {

/// One message, shared by all its receivers and never changed after it was handed over.
using Frame = std::shared_ptr<const std::vector<std::byte>>;

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  /// `frame` is valid during the call only.
  virtual void on_frame(std::uint32_t from, std::span<const std::byte> frame) = 0;
  /// The transport knows that a node is gone for good (TCP; a plain MPI job never tells).
  virtual void on_gone(std::uint32_t node) = 0;
};

struct TransportStatistics {
  std::uint64_t frames_sent = 0, frames_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t frames_long =
      0;  ///< did not fit a receive buffer and travelled as a second message
  std::uint64_t collectives = 0;  ///< exchanges made by a collective call
  std::uint64_t polls = 0, sleeps = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual std::uint32_t self() const = 0;
  [[nodiscard]] virtual std::uint32_t size() const = 0;
  /// For people: "MPI (MPICH 5.0.2, 4 ranks)".
  [[nodiscard]] virtual std::string describe() const = 0;

  /// Everybody's `mine`, indexed by node. COLLECTIVE and blocking, with `deadline` after which it
  /// fails (naming who is missing where that can be known). Used once, by open, before any frame.
  virtual Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) = 0;

  virtual Status send(std::uint32_t to, Frame frame) = 0;
  /// To every other node that has not been removed.
  virtual Status broadcast(Frame frame) = 0;
  /// True: a broadcast arrives only after every node has made its own (a collective exchange), so
  /// nodes that have nothing to say must be asked to take part first.
  [[nodiscard]] virtual bool broadcast_is_collective() const = 0;
  /// From now on `node` takes no part in broadcasts. To be called at the same point of the order of
  /// broadcasts everywhere.
  virtual void remove(std::uint32_t node) = 0;

  /// Moves what can be moved and hands arrived frames to `sink`. Sets `any` when something arrived.
  virtual Status poll(FrameSink& sink, bool& any) = 0;
  /// Sleeps until something may have arrived, wake() was called, or `cap` has passed. Holds nothing
  /// that poll() needs: a thread that wants to drive takes over at once while another one sleeps
  /// here.
  virtual void wait(std::chrono::nanoseconds cap) = 0;
  virtual void wake() = 0;
  /// True when more threads than processing units poll on this host: do not spin, yield.
  [[nodiscard]] virtual bool crowded() const = 0;

  [[nodiscard]] virtual TransportStatistics statistics() const = 0;

  /// Ends use. `collective`: every node calls it (waits for what is on its way, frees
  /// communicators); otherwise only local things are let go, and nothing is waited for longer than
  /// a second. Idempotent; send, broadcast and poll fail afterwards.
  virtual void close(bool collective) = 0;
};

}  // namespace exdb
